"""Making rooms and agents what an operator says, all at once or not at all (HTTP API §7; design §3.15)."""

from collections.abc import Sequence
from itertools import islice
from typing import Final

from moltnet.core.agents import new_agent
from moltnet.core.errors import Invalid
from moltnet.core.network import NetworkContext
from moltnet.core.rooms import room_from
from moltnet.protocol.administration import (
    ApplyAgent,
    ApplyRequest,
    ApplyResult,
    ChangeAction,
    PlannedChange,
    RemovedKind,
    apply_problems,
)
from moltnet.protocol.ids import AgentId, RoomId
from moltnet.protocol.limits import MAX_REPORTED_PROBLEMS
from moltnet.protocol.rooms import CreateRoomRequest
from moltnet.storage.commands import ApplyNetwork
from moltnet.storage.records import StoredRoom

# Of those who would come or go.
_NAMED_MEMBERS: Final = 8


async def apply_network(context: NetworkContext, request: ApplyRequest) -> ApplyResult:
    """Bind the agents of the request to their credentials and shape its rooms; nothing is ever removed.

    Everything is checked before anything is written, and written in one transaction. An omitted field of a room means
    its default; a removed room is restored. Raises ``Invalid``, ``StorageError``.
    """
    request = _checked(context, request)
    now = context.now()
    # An agent that is there twice has the same key both times; the last name counts.
    agents = {
        agent.id: new_agent(context.id, AgentId(agent.id), agent.name, agent.credential_key, now)
        for agent in request.agents
    }
    rooms = tuple(room_from(room, context.id, now) for room in request.rooms)
    applied = await context.journal.commit(ApplyNetwork(tuple(agents.values()), rooms))
    return ApplyResult(rooms=applied.rooms, agents=tuple(agent.registration for agent in applied.agents))


async def preview_apply(context: NetworkContext, request: ApplyRequest) -> ApplyResult:
    """What ``apply_network`` would change at this moment. Writes nothing. Raises as that does."""
    request = _checked(context, request)
    stored = await context.store.rooms([RoomId(room.id) for room in request.rooms])
    known = {each.room.id: each for each in stored}
    agents = {agent.id: agent for agent in request.agents}
    changes = [
        *(_agent_change(context, agent) for agent in agents.values()),
        *(_room_change(known.get(RoomId(room.id)), room) for room in request.rooms),
    ]
    return ApplyResult(applied=False, changes=tuple(change for change in changes if change is not None))


def _checked(context: NetworkContext, request: ApplyRequest) -> ApplyRequest:
    request = request.trimmed()
    problems = tuple(islice(apply_problems(request, context.id), MAX_REPORTED_PROBLEMS))
    if problems:
        raise Invalid.from_problems(problems)
    return request


def _agent_change(context: NetworkContext, wanted: ApplyAgent) -> PlannedChange | None:
    known = context.directory.agent(wanted.id)
    if known is None:
        return PlannedChange(RemovedKind.AGENT, wanted.id, ChangeAction.CREATE)
    details = []
    if known.credential_key != wanted.credential_key:
        details.append("another credential")
    if wanted.name and wanted.name != known.registration.display_name:
        details.append(f'name "{known.registration.display_name}" becomes "{wanted.name}"')
    return PlannedChange(RemovedKind.AGENT, wanted.id, ChangeAction.CHANGE, "; ".join(details)) if details else None


def _room_change(known: StoredRoom | None, wanted: CreateRoomRequest) -> PlannedChange | None:
    if known is None:
        return PlannedChange(RemovedKind.ROOM, wanted.id, ChangeAction.CREATE, _members_in_words(wanted.members, ()))
    room = known.room
    details = [
        f'{field} "{before}" becomes "{after}"'
        for field, before, after in (
            ("name", room.name, wanted.name),
            ("visibility", room.visibility, wanted.visibility),
            ("write_policy", room.write_policy, wanted.write_policy),
        )
        if before != after
    ]
    if members := _members_in_words(wanted.members, room.members):
        details.append(members)
    if known.removed_at:
        return PlannedChange(RemovedKind.ROOM, wanted.id, ChangeAction.RESTORE, "; ".join(details))
    return PlannedChange(RemovedKind.ROOM, wanted.id, ChangeAction.CHANGE, "; ".join(details)) if details else None


def _members_in_words(after: Sequence[str], before: Sequence[str]) -> str:
    """Who comes and who goes, some of them by name."""
    parts = []
    for word, names in (("adds", sorted({*after} - {*before})), ("removes", sorted({*before} - {*after}))):
        if names:
            more = f" and {len(names) - _NAMED_MEMBERS} more" if len(names) > _NAMED_MEMBERS else ""
            parts.append(f"{word} {', '.join(names[:_NAMED_MEMBERS])}{more}")
    return "; ".join(parts)
