"""What an operator asks of a whole network, and the answers: removals, apply and reload (message model §3, HTTP
API §7)."""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import attrs

from moltnet.protocol.agents import AgentRegistration
from moltnet.protocol.codec import Problem, wire
from moltnet.protocol.ids import NetworkId, id_problem
from moltnet.protocol.limits import MAX_APPLY_ENTRIES, MAX_NAME_CHARACTERS
from moltnet.protocol.rooms import CreateRoomRequest, Room, room_problems

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class RemovedKind(StrEnum):
    AGENT = "agent"
    ROOM = "room"


@attrs.frozen
class RemoveResult:
    """The answer to a removal. ``mode`` is always ``soft``: messages stay."""

    kind: RemovedKind = attrs.field(metadata=wire(always=True))
    id: str = attrs.field(metadata=wire(always=True))
    removed: bool = attrs.field(default=True, metadata=wire(always=True))
    mode: str = attrs.field(default="soft", metadata=wire(always=True))


@attrs.frozen
class ApplyAgent:
    """An agent and the key of the credential that is to own it, ``token:<token id>`` as a rule."""

    id: str = ""
    name: str = ""
    credential_key: str = ""

    def trimmed(self) -> "ApplyAgent":
        return ApplyAgent(self.id.strip(), self.name.strip(), self.credential_key.strip())


@attrs.frozen
class ApplyRequest:
    """What rooms and agents are to be. What is not named stays as it is."""

    network_id: str = ""
    rooms: tuple[CreateRoomRequest, ...] = ()
    agents: tuple[ApplyAgent, ...] = ()

    def trimmed(self) -> "ApplyRequest":
        """The same request with blanks removed and defaults filled in, as in each of its parts."""
        return ApplyRequest(
            self.network_id.strip(),
            tuple(room.trimmed() for room in self.rooms),
            tuple(agent.trimmed() for agent in self.agents),
        )


class ChangeAction(StrEnum):
    CREATE = "create"
    CHANGE = "change"
    RESTORE = "restore"


@attrs.frozen
class PlannedChange:
    """What would become of a room or an agent. ``detail`` says it in words."""

    kind: RemovedKind
    id: str
    action: ChangeAction
    detail: str = ""


@attrs.frozen
class ApplyResult:
    """Rooms and agents of the request as they are now, in its order.

    Of a preview ``applied`` is false, and ``changes`` says what would change, in the same order.
    """

    applied: bool = attrs.field(default=True, metadata=wire(always=True))
    rooms: tuple[Room, ...] = ()
    agents: tuple[AgentRegistration, ...] = ()
    changes: tuple[PlannedChange, ...] | None = None


@attrs.frozen
class ReloadResult:
    """The answer to a reload that was carried out.

    ``changed`` names the blocks of the file that differ from before, ``ended`` counts the attachments and streams whose
    credential it ended, ``notices`` are remarks about the file.
    """

    reloaded: bool = attrs.field(default=True, metadata=wire(always=True))
    changed: tuple[str, ...] = attrs.field(default=(), metadata=wire(always=True))
    ended: int = attrs.field(default=0, metadata=wire(always=True))
    notices: tuple[str, ...] = ()


def apply_problems(request: ApplyRequest, network_id: NetworkId) -> Iterator[Problem]:
    """What is wrong with a trimmed request to the network ``network_id``."""
    if request.network_id not in ("", network_id):
        yield Problem("$.network_id", f'is not this network, which is "{network_id}"')
    for path, entries in (("$.rooms", request.rooms), ("$.agents", request.agents)):
        if len(entries) > MAX_APPLY_ENTRIES:
            yield Problem(path, f"must hold {MAX_APPLY_ENTRIES} entries or fewer")
            return
    yield from _agent_problems(request.agents)
    rooms: set[str] = set()
    for index, room in enumerate(request.rooms):
        yield from room_problems(room, f"$.rooms[{index}]")
        if room.id and room.id in rooms:
            yield Problem(f"$.rooms[{index}].id", "is there twice")
        rooms.add(room.id)


def _agent_problems(agents: tuple[ApplyAgent, ...]) -> Iterator[Problem]:
    keys: dict[str, str] = {}
    for index, agent in enumerate(agents):
        path = f"$.agents[{index}]"
        if not agent.id:
            yield Problem(f"{path}.id", "is required")
        elif (problem := id_problem(agent.id)) is not None:
            yield Problem(f"{path}.id", problem)
        elif ":" in agent.id:
            # Everywhere else such an id means an agent of another network.
            yield Problem(f"{path}.id", "must not hold a colon")
        if not agent.credential_key:
            yield Problem(f"{path}.credential_key", "is required")
        elif _CONTROL.search(agent.credential_key):
            yield Problem(f"{path}.credential_key", "must not hold control characters")
        for field, text in (("name", agent.name), ("credential_key", agent.credential_key)):
            if len(text) > MAX_NAME_CHARACTERS:
                yield Problem(f"{path}.{field}", f"must be {MAX_NAME_CHARACTERS} characters or fewer")
        if agent.id and keys.setdefault(agent.id, agent.credential_key) != agent.credential_key:
            yield Problem(f"{path}.credential_key", f'is not the one that agent "{agent.id}" is given before')
