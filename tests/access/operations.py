"""Everything that can be asked of a network, one entry each: the rows of the access table.

An operation prepares what it needs, asks once, and says in a word what came of it: a status, or what could be seen.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final
from urllib.parse import quote

import attrs

from moltnet.core.agents import claim_agent, remove_agent
from moltnet.core.approvals import request_approval
from moltnet.core.credentials import replace_token
from moltnet.core.messaging import send_message
from moltnet.core.pairings import switch_pairing
from moltnet.core.rooms import create_room, remove_room
from moltnet.protocol.approvals import RequestApprovalRequest
from moltnet.protocol.events import EventType
from moltnet.protocol.ids import AgentId, MessageId, NetworkId, event_id_of_message
from moltnet.protocol.messages import HUMAN, Actor, MessageOrigin, SendMessageRequest
from moltnet.protocol.rooms import CreateRoomRequest
from moltnet.storage.marks import Switch
from moltnet.storage.outbox import RelayFailure, RelayState, SettleRelays
from tests.access.listening import (
    BETWEEN_ALPHA_AND_BETA,
    GAMMA_CAME,
    GAMMA_WAITS,
    IN_THE_CELLAR,
    IN_THE_HALL,
    attaches_as,
    listens_for,
    opens_stream,
)
from tests.access.world import World
from tests.fakes.network import direct_message, post, room_message, thread_message

Ask = Callable[[World, str], Awaitable[str]]
# The file in the direct conversation `ab`.
ARTIFACT: Final = "art_between-us_1"
HIDDEN: Final = "hidden"
SHOWN: Final = "shown"


@attrs.frozen
class Operation:
    """One row: what is done, in words, and how it is tried by a caller."""

    name: str
    ask: Ask


def _get(path: str) -> Operation:
    return Operation(f"`GET {path}`", _asking("GET", path))


def _asking(method: str, path: str, body: object = None) -> Ask:
    async def ask(world: World, caller: str) -> str:
        return str((await world.call(caller, method, path, body)).status)

    return ask


def _lists(what: str, path: str, name: str, item_id: str, *, key: str = "id") -> Operation:
    """Whether a list shows an item."""

    async def ask(world: World, caller: str) -> str:
        answer = await world.call(caller, "GET", path)
        if answer.status != 200:
            return str(answer.status)
        return SHOWN if item_id in [item[key] for item in answer.json()[name]] else HIDDEN

    return Operation(what, ask)


def _shows_event(what: str, kind: str, *, room_id: str = "") -> Operation:
    """Whether the list of events has one of this type."""

    async def ask(world: World, caller: str) -> str:
        if kind == EventType.AGENT_REMOVED:
            agent_id = AgentId(world.fresh("removed"))
            await claim_agent(world.app.context, agent_id, "", world.operator)
            await remove_agent(world.app.context, agent_id)
        answer = await world.call(caller, "GET", f"/v1/events?type={kind}&room_id={room_id}")
        if answer.status != 200:
            return str(answer.status)
        return SHOWN if answer.json()["events"] else HIDDEN

    return Operation(what, ask)


def _search(words: str) -> str:
    return f"/v1/search?text=%22{quote(words)}%22&limit=500"


def _skill_names(what: str, room_id: str) -> Operation:
    """What the document for agents says of a room: nothing, that it can be read, or that it can be written."""

    async def ask(world: World, caller: str) -> str:
        answer = await world.call(caller, "GET", "/v1/skill")
        if answer.status != 200:
            return str(answer.status)
        room = next((each for each in answer.json()["rooms"] if each["id"] == room_id), None)
        return HIDDEN if room is None else "writable" if room["can_write"] else "readable"

    return Operation(what, ask)


def _sends(what: str, message: SendMessageRequest) -> Operation:
    return Operation(what, _asking("POST", "/v1/messages", message))


def _human(message: SendMessageRequest) -> SendMessageRequest:
    return attrs.evolve(message, sender=attrs.evolve(message.sender, type=HUMAN))


def _relayed(room: str, actor_network: str, origin: str) -> SendMessageRequest:
    return attrs.evolve(
        room_message("from afar", room=room),
        sender=Actor(type="agent", id="zeta", network_id=NetworkId(actor_network)),
        origin=MessageOrigin(NetworkId(origin), MessageId("")),
    )


def _to_new_room(method: str, path: str, body: object = None, *, removed: bool = False) -> Ask:
    """Asks about a room of its own, which `{id}` stands for."""

    async def ask(world: World, caller: str) -> str:
        room_id = world.fresh("room")
        await create_room(world.app.context, CreateRoomRequest(id=room_id))
        if removed:
            await remove_room(world.app.context, room_id)
        return str((await world.call(caller, method, path.format(id=room_id), body)).status)

    return ask


def _about_dead_letter(method: str, path: str = "") -> Ask:
    """Asks about a dead letter of its own."""

    async def ask(world: World, caller: str) -> str:
        context, message_id = world.app.context, MessageId(world.fresh("dead"))
        request = room_message("refused there", room="hall", message_id=message_id)
        await send_message(context, request, world.operator)
        seq = await context.store.event_seq(event_id_of_message(message_id))
        assert seq is not None
        failure = RelayFailure(404, "unknown_room", "unknown room", context.now())
        await context.journal.commit(SettleRelays("link", changed=((seq, RelayState(1, failure)),)))
        return str((await world.call(caller, method, f"/v1/pairings/link/dead-letters/{message_id}{path}")).status)

    return ask


async def _creates_room(world: World, caller: str) -> str:
    return str((await world.call(caller, "POST", "/v1/rooms", {"id": world.fresh("new")})).status)


async def _registers(world: World, caller: str) -> str:
    body = {"requested_agent_id": world.fresh("newcomer")}
    return str((await world.call(caller, "POST", "/v1/agents/register", body)).status)


async def _removes_agent(world: World, caller: str) -> str:
    agent_id = world.fresh("leaver")
    await claim_agent(world.app.context, AgentId(agent_id), "", world.operator)
    return str((await world.call(caller, "DELETE", f"/v1/agents/{agent_id}")).status)


def _about_new_agent(method: str) -> Ask:
    """Mutes an agent of its own, or lets it speak again."""

    async def ask(world: World, caller: str) -> str:
        agent_id = world.fresh("loud")
        await claim_agent(world.app.context, AgentId(agent_id), "", world.operator)
        return str((await world.call(caller, method, f"/v1/agents/{agent_id}/mute")).status)

    return ask


def _switches(verb: str) -> Ask:
    """The pairing is at work again afterwards."""

    async def ask(world: World, caller: str) -> str:
        answer = await world.call(caller, "POST", f"/v1/pairings/link/{verb}")
        if answer.status == 200:
            await switch_pairing(world.app.context, "link", Switch(enabled=True, declared=True))
        return str(answer.status)

    return ask


async def _replaces_alphas_token(world: World, caller: str) -> str:
    answer = await world.call(caller, "POST", "/v1/agents/alpha/token")
    if answer.status == 200:
        world.tokens["alpha"] = answer.json()["agent_token"]
    return str(answer.status)


async def _revokes_alphas_token(world: World, caller: str) -> str:
    answer = await world.call(caller, "DELETE", "/v1/agents/alpha/token")
    if answer.status == 200:
        world.tokens["alpha"] = (await replace_token(world.app.context, "alpha", world.operator)).agent_token
    return str(answer.status)


async def _signs_in(world: World, caller: str) -> str:
    """With the caller's token in the body, as the console does."""
    body = {"token": world.tokens.get(caller, "")}
    return str((await world.call("nobody", "POST", "/v1/session", body)).status)


async def _said(world: World, room: str) -> str:
    """The event of a message that nobody has asked about."""
    message_id = world.fresh("for-approval")
    await post(world.app, room_message("hear me", room=room, message_id=message_id), world.operator)
    return event_id_of_message(message_id)


async def _waits(world: World) -> str:
    """An approval that waits for a decision, about alpha."""
    wanted = RequestApprovalRequest(await _said(world, "hall"))
    approval, _ = await request_approval(world.app.context, "alpha", wanted, world.operator)
    return approval.id


def _asks_for(agent_id: str, room: str) -> Ask:
    async def ask(world: World, caller: str) -> str:
        body = {"event_id": await _said(world, room)}
        return str((await world.call(caller, "POST", f"/v1/agents/{agent_id}/approvals", body)).status)

    return ask


def _about_approval(method: str, verb: str = "") -> Ask:
    async def ask(world: World, caller: str) -> str:
        return str((await world.call(caller, method, f"/v1/approvals/{await _waits(world)}{verb}")).status)

    return ask


async def _lists_approvals(world: World, caller: str) -> str:
    approval_id = await _waits(world)
    answer = await world.call(caller, "GET", "/v1/approvals?state=pending")
    if answer.status != 200:
        return str(answer.status)
    return SHOWN if approval_id in [each["id"] for each in answer.json()["approvals"]] else HIDDEN


NETWORK_OPERATIONS: Final = (
    _get("/healthz"),
    _get("/readyz"),
    _get("/metrics"),
    _get("/openapi.json"),
    _get("/docs"),
    _get("/install.md"),
    _get("/skill.md"),
    _get("/llms.txt"),
    _get("/v1/skill"),
    _skill_names("`/v1/skill` names a public room", "hall"),
    _skill_names("`/v1/skill` names a private room", "cellar"),
    _get("/console/"),
    _get("/v1/session"),
    Operation("`POST /v1/session`, the token in the body", _signs_in),
    _get("/v1/network"),
    _get("/v1/pairings"),
    _get("/v1/pairings/link/network"),
    _get("/v1/outbox"),
    _get("/v1/pairings/link/dead-letters"),
    Operation("`POST /v1/pairings/link/dead-letters/…/retry`", _about_dead_letter("POST", "/retry")),
    Operation("`DELETE /v1/pairings/link/dead-letters/…`", _about_dead_letter("DELETE")),
)
READING: Final = (
    _lists("the list of rooms shows a public room", "/v1/rooms", "rooms", "hall"),
    _lists("the list of rooms shows a private room", "/v1/rooms", "rooms", "cellar"),
    _get("/v1/rooms/hall"),
    _get("/v1/rooms/cellar"),
    _get("/v1/rooms/hall/messages"),
    _get("/v1/rooms/cellar/messages"),
    _get("/v1/rooms/cellar/threads"),
    _get("/v1/threads/deep"),
    _get("/v1/threads/deep/messages"),
    _get("/v1/artifacts?room_id=hall"),
    _get("/v1/artifacts?room_id=cellar"),
    _get("/v1/artifacts?thread_id=deep"),
    _lists("`GET /v1/artifacts?dm_id=ab` shows a file", "/v1/artifacts?dm_id=ab", "artifacts", ARTIFACT),
    _lists("the list of direct conversations shows `ab`", "/v1/dms", "dms", "ab"),
    _get("/v1/dms/ab"),
    _get("/v1/dms/ab/messages"),
    _lists("the list of agents shows a member of a public room", "/v1/agents", "agents", "alpha"),
    _lists("the list of agents shows one that is a member of nothing", "/v1/agents", "agents", "gamma"),
    _get("/v1/agents/alpha"),
    _get("/v1/agents/gamma"),
    _get("/v1/agents/alpha/wakes"),
    _get("/v1/agents/gamma/wakes"),
    _get("/v1/events"),
    _shows_event("`GET /v1/events` shows a message in `hall`", "message.created", room_id="hall"),
    _shows_event("`GET /v1/events` shows a message in `cellar`", "message.created", room_id="cellar"),
    _shows_event("`GET /v1/events` shows a message in `ab`", "dm.created"),
    _shows_event("`GET /v1/events` shows that an agent was removed", "agent.removed"),
    _lists("`GET /v1/search` finds a message in `hall`", _search("in the hall"), "messages", "in-the-hall"),
    _lists("`GET /v1/search` finds a message in `cellar`", _search("in the cellar"), "messages", "in-the-cellar"),
    _lists("`GET /v1/search` finds a message in a thread of it", _search("in a thread"), "messages", "in-a-thread"),
    _lists("`GET /v1/search` finds a message in `ab`", _search("between us"), "messages", "between-us"),
    _get("/v1/search?room_id=cellar"),
    _get("/v1/search?thread_id=deep"),
    _get("/v1/search?dm_id=ab"),
)
SENDING: Final = (
    _sends("alpha says something in `hall`", room_message(room="hall")),
    _sends("alpha says something in `cellar`", room_message(room="cellar")),
    _sends("alpha says something in a thread of `cellar`", thread_message("deep", room="cellar")),
    _sends("alpha says something in `plaza`, being no member", room_message(room="plaza")),
    _sends("alpha says something in `desk`", room_message(room="desk")),
    _sends("alpha says something in `ab`", direct_message("ab", "alpha", "beta")),
    _sends("beta says something in `cellar`", room_message(room="cellar", sender="beta")),
    _sends("gamma says something in `cellar`", room_message(room="cellar", sender="gamma")),
    _sends("gamma says something in `plaza`", room_message(room="plaza", sender="gamma")),
    _sends("gamma says something in `ab`", direct_message("ab", "alpha", "beta", "gamma", sender="gamma")),
    _sends("an agent that nobody registered says something in `plaza`", room_message(room="plaza", sender="delta")),
    _sends("a human, ada, says something in `hall`", _human(room_message(room="hall", sender="ada"))),
    _sends("a human, ada, says something in `desk`", _human(room_message(room="desk", sender="ada"))),
    _sends("a human says something as alpha in `cellar`", _human(room_message(room="cellar"))),
    _sends("a human, ada, writes to beta", _human(direct_message("a-b", "ada", "beta", sender="ada"))),
    _sends("net_b:zeta, a member, is relayed into `cellar`", _relayed("cellar", "net_b", "net_b")),
    _sends("net_b:zeta is relayed into `hall`", _relayed("hall", "net_b", "net_b")),
    _sends("net_b:zeta is relayed by another network", _relayed("cellar", "net_b", "net_c")),
    _sends("net_b:zeta is sent as if it were here", _relayed("cellar", "net_b", "")),
    _lists("after that, the list of rooms shows a private room", "/v1/rooms", "rooms", "cellar"),
    _lists("after that, the list of agents shows a member of it", "/v1/agents", "agents", "beta"),
)
CHANGING: Final = (
    Operation("`POST /v1/rooms`", _creates_room),
    Operation("`PATCH /v1/rooms/…/members`", _to_new_room("PATCH", "/v1/rooms/{id}/members", {"add": ["alpha"]})),
    Operation("`DELETE /v1/rooms/…`", _to_new_room("DELETE", "/v1/rooms/{id}")),
    Operation("`POST /v1/rooms/…/restore`", _to_new_room("POST", "/v1/rooms/{id}/restore", removed=True)),
    Operation("`PATCH /v1/rooms/…`", _to_new_room("PATCH", "/v1/rooms/{id}", {"name": "Another"})),
    _get("/v1/rooms?removed=true"),
    Operation("`POST /v1/apply`", _asking("POST", "/v1/apply", {})),
    Operation("`POST /v1/apply?preview=true`", _asking("POST", "/v1/apply?preview=true", {})),
    Operation("`POST /v1/agents/register`, a free id", _registers),
    Operation(
        "`POST /v1/agents/register`, alpha's id",
        _asking("POST", "/v1/agents/register", {"requested_agent_id": "alpha"}),
    ),
    Operation("`DELETE /v1/agents/…`", _removes_agent),
    Operation("`POST /v1/agents/…/mute`", _about_new_agent("POST")),
    Operation("`DELETE /v1/agents/…/mute`", _about_new_agent("DELETE")),
    Operation("`POST /v1/pairings/link/disable`", _switches("disable")),
    Operation("`POST /v1/pairings/link/enable`", _switches("enable")),
    _get("/v1/tokens"),
    _lists("`GET /v1/credentials` shows alpha's", "/v1/credentials", "credentials", "alpha", key="agent_id"),
    _lists("`GET /v1/credentials` shows gamma's", "/v1/credentials", "credentials", "gamma", key="agent_id"),
    Operation("`POST /v1/agents/alpha/token`", _replaces_alphas_token),
    Operation("`DELETE /v1/agents/alpha/token`", _revokes_alphas_token),
    Operation(
        "`POST /v1/pairings/accept`, without an invitation",
        _asking("POST", "/v1/pairings/accept", {"invitation_id": "guessed", "secret": "guessed"}),
    ),
    Operation("`POST /v1/admin/reload`, of a network without a file", _asking("POST", "/v1/admin/reload")),
)
APPROVING: Final = (
    Operation("`POST /v1/agents/alpha/approvals`, of a message in `cellar`", _asks_for("alpha", "cellar")),
    Operation("`POST /v1/agents/gamma/approvals`, of a message in `cellar`", _asks_for("gamma", "cellar")),
    Operation("`GET /v1/approvals` shows one of alpha", _lists_approvals),
    _get("/v1/approvals?agent=alpha"),
    Operation("`GET /v1/approvals/…`, one of alpha", _about_approval("GET")),
    Operation("`POST /v1/approvals/…/approve`", _about_approval("POST", "/approve")),
    Operation("`POST /v1/approvals/…/deny`", _about_approval("POST", "/deny")),
)
LISTENING: Final = (
    Operation("`GET /v1/events/stream`", opens_stream()),
    Operation("the stream shows a message in `hall`", listens_for(IN_THE_HALL)),
    Operation("the stream shows a message in `cellar`", listens_for(IN_THE_CELLAR)),
    Operation("the stream shows a message in `ab`", listens_for(BETWEEN_ALPHA_AND_BETA)),
    Operation("the stream shows that gamma comes", listens_for(GAMMA_CAME)),
    Operation("the stream shows that an approval is wanted for gamma", listens_for(GAMMA_WAITS)),
    Operation("attach as alpha", attaches_as("alpha")),
    Operation("attach as beta", attaches_as("beta")),
    Operation("attach as an agent that nobody registered", attaches_as("")),
    Operation("attached as alpha: a message in `hall`", attaches_as("alpha", IN_THE_HALL)),
    Operation("attached as alpha: a message in `cellar`", attaches_as("alpha", IN_THE_CELLAR)),
    Operation("attached as alpha: a message in `ab`", attaches_as("alpha", BETWEEN_ALPHA_AND_BETA)),
    Operation("attached as alpha: gamma comes", attaches_as("alpha", GAMMA_CAME)),
    Operation("attached as alpha: an approval is wanted for gamma", attaches_as("alpha", GAMMA_WAITS)),
    Operation("attached as gamma: an approval is wanted for gamma", attaches_as("gamma", GAMMA_WAITS)),
    Operation("attached as gamma: a message in `hall`", attaches_as("gamma", IN_THE_HALL)),
    Operation("attached as gamma: a message in `cellar`", attaches_as("gamma", IN_THE_CELLAR)),
    Operation("attached as gamma: a message in `ab`", attaches_as("gamma", BETWEEN_ALPHA_AND_BETA)),
)
SECTIONS: Final[Mapping[str, Sequence[Operation]]] = {
    "The network": NETWORK_OPERATIONS,
    "Reading": READING,
    "Sending": SENDING,
    "Changing": CHANGING,
    "Approvals": APPROVING,
    "Listening": LISTENING,
}
