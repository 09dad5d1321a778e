"""Networks that are paired with each other, in the test's own process and over real sockets.

Each network trusts the token of each other one, and knows `alpha` and `beta` of its own; `ops` may do everything.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import attrs
import trio

from moltnet.app import App
from moltnet.auth.claims import Claims, CredentialKind
from moltnet.config.settings import AuthMode, MoltnetConfig, NetworkSettings, PairingSettings, RoomSettings, Scope
from moltnet.protocol.codec import decode
from moltnet.protocol.ids import MessageId, NetworkId, RoomId
from moltnet.protocol.messages import Message, SendMessageRequest, TargetKind
from moltnet.protocol.pages import PageRequest
from moltnet.storage.outbox import OutboxDepth, RelayFailure, RelayState, SettleRelays
from moltnet.storage.records import History
from moltnet.storage.store import Store
from tests.fakes.network import GENERAL, TestServer, network_config, open_test_server, post, room, token

OPS = Claims(CredentialKind.STATIC, "token:ops", frozenset({Scope.ADMIN, Scope.WRITE, Scope.OBSERVE}))
OPS_TOKEN = token("ops", "observe write admin")


def paired_config(
    network_id: str,
    *partners: str,
    members: Iterable[str] = ("alpha", "beta"),
    rooms: Sequence[RoomSettings] = (),
) -> MoltnetConfig:
    """A network in mode bearer that takes what `partners` hand in; in `general` their alpha and beta may write."""
    everybody = [*members, *(f"{partner}:{member}" for partner in partners for member in ("alpha", "beta"))]
    pair_tokens = (attrs.evolve(token(f"of-{each}", "pair"), network=NetworkId(each)) for each in partners)
    tokens = [OPS_TOKEN, *pair_tokens]
    config = network_config(mode=AuthMode.BEARER, tokens=tokens, rooms=(room(GENERAL, *everybody), *rooms))
    return attrs.evolve(config, network=NetworkSettings(NetworkId(network_id), network_id.title()))


def pairing_to(network_id: str, url: str, own_id: str) -> PairingSettings:
    """The way from `own_id` to a network at `url` whose config names `own_id` as a partner."""
    secret = token(f"of-{own_id}", "pair").value
    return PairingSettings(f"to_{network_id}", url, network_id, token=secret)


@asynccontextmanager
async def open_paired(
    *configs: MoltnetConfig, stores: Sequence[Store | None] = (), one_way: bool = False
) -> AsyncIterator[list[TestServer]]:
    """Servers that relay to each other as soon as they are yielded; `one_way`: the first to the others only."""
    async with AsyncExitStack() as stack:
        servers = []
        for place, config in enumerate(configs):
            store = stores[place] if place < len(stores) else None
            servers.append(await stack.enter_async_context(open_test_server(config, store=store)))
        for server in servers[:1] if one_way else servers:
            own_id = server.app.context.id
            ways = [pairing_to(each.app.context.id, each.url, own_id) for each in servers if each is not server]
            server.app.adopt(attrs.evolve(server.app.config, pairings=tuple(ways)))
        yield servers


async def say(app: App, request: SendMessageRequest) -> None:
    """Send as an operator, who may speak as everybody of this network."""
    await post(app, request, OPS)


async def history(app: App, kind: TargetKind = TargetKind.ROOM, conversation: str = GENERAL) -> list[Message]:
    """The newest 500 messages of a conversation, oldest first."""
    found = await app.context.store.message_page(History(kind, RoomId(conversation)), PageRequest(500))
    return [decode(body, Message) for body in found.items]


async def texts(app: App, kind: TargetKind = TargetKind.ROOM, conversation: str = GENERAL) -> list[str]:
    return [message.parts[0].text for message in await history(app, kind, conversation)]


async def wait_for_texts(app: App, *wanted: str, kind: TargetKind = TargetKind.ROOM, room: str = GENERAL) -> None:
    """Wait until exactly these were said, in this order."""
    with trio.fail_after(30):
        while await texts(app, kind, room) != list(wanted):  # noqa: ASYNC110 - a socket lies in between
            await trio.sleep(0.002)


async def depth(app: App, pairing_id: str) -> OutboxDepth:
    for each in await app.context.store.outbox_depths():
        if each.pairing_id == pairing_id:
            return each
    return OutboxDepth(pairing_id)


async def wait_settled(app: App, pairing_id: str, *, waiting: int = 0, dead: int = 0) -> None:
    """Wait until only so much waits for a pairing any more, and there are so many dead letters."""
    with trio.fail_after(30):
        while True:
            found = await depth(app, pairing_id)
            if (found.waiting, found.dead) == (waiting, dead):
                return
            await trio.sleep(0.002)


async def give_up(app: App, pairing_id: str, *message_ids: str) -> None:
    """Make dead letters of messages that wait."""
    rows = {row.message_id: row.seq for row in await app.context.store.outbox(pairing_id, 0, 500)}
    failure = RelayFailure(404, "unknown_room", "unknown room", app.context.now())
    changed = tuple((rows[MessageId(each)], RelayState(2, failure)) for each in message_ids)
    await app.context.journal.commit(SettleRelays(pairing_id, changed=changed))
