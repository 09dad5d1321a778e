"""A network under test: its settings in a line, the app without a transport, and a real server on loopback.

What talks to it: `http_client` (HTTP and events), `attach_client` (attachments), `room_message` and its siblings here.
"""

import ipaddress
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
import trio
import trio.testing

from moltnet.app import App, open_app, open_app_on
from moltnet.auth.claims import UNCHECKED, Claims
from moltnet.config.secrets import Secret
from moltnet.config.server_limits import CAPS_ONLY, LimitSettings
from moltnet.config.settings import (
    AuthMode,
    AuthSettings,
    FileStorage,
    MoltnetConfig,
    NetworkSettings,
    Registration,
    RoomSettings,
    Scope,
    ServerSettings,
    StorageKind,
    StorageSettings,
    TokenSettings,
)
from moltnet.config.urls import ListenAddress
from moltnet.core.messaging import send_message
from moltnet.protocol.ids import AgentId, DirectId, MessageId, NetworkId, RoomId, ThreadId
from moltnet.protocol.limits import DELIVERY_WINDOW_EVENTS
from moltnet.protocol.messages import (
    AGENT,
    Actor,
    MessageAccepted,
    Part,
    PartKind,
    SendMessageRequest,
    Target,
    TargetKind,
)
from moltnet.protocol.rooms import Visibility, WritePolicy
from moltnet.protocol.times import WallClock, utc_now
from moltnet.serving import open_sockets, serve
from moltnet.storage.store import Store

NETWORK: Final = NetworkId("lab")
GENERAL: Final = RoomId("general")
LAB_ORIGIN: Final = "http://lab.test"
"""The name under which tests that write their own requests reach a server."""


def room(
    room_id: str = GENERAL,
    *members: str,
    visibility: Visibility = Visibility.PRIVATE,
    write_policy: WritePolicy = WritePolicy.MEMBERS,
) -> RoomSettings:
    return RoomSettings(RoomId(room_id), room_id.title(), tuple(sorted(members)), visibility, write_policy)


def token(token_id: str, scopes: str, *agents: str) -> TokenSettings:
    """A static token, `scopes` separated by blanks; its value is `secret_of(token_id)`."""
    return TokenSettings(
        id=token_id,
        value=Secret(secret_of(token_id)),
        scopes=frozenset(map(Scope, scopes.split())),
        agents=tuple(map(AgentId, agents)),
    )


def secret_of(token_id: str) -> str:
    """The value of a token: easy to find where it must not be."""
    return f"PLANTED-SECRET-OF-{token_id}"


def network_config(
    *,
    mode: AuthMode = AuthMode.NONE,
    tokens: Sequence[TokenSettings] = (),
    rooms: Sequence[RoomSettings] = (room(GENERAL, "alpha", "beta"),),
    public_read: bool = False,
    registration: Registration = Registration.DISABLED,
    human_ingress: bool = True,
    direct_messages: bool = True,
    debug_events: bool = False,
    delivery_window: int = DELIVERY_WINDOW_EVENTS,
    allowed_origins: Sequence[str] = ("http://console.test", LAB_ORIGIN),
    limits: LimitSettings = CAPS_ONLY,
    trusted_proxies: Sequence[str] = (),
    sqlite_path: Path | None = None,
) -> MoltnetConfig:
    """The settings of a network in memory, or in a database if there is a path, on a free port."""
    sqlite = None if sqlite_path is None else FileStorage(sqlite_path)
    is_open = mode is AuthMode.OPEN
    return MoltnetConfig(
        network=NetworkSettings(NETWORK, "Lab"),
        server=ServerSettings(
            listen_addr=ListenAddress("127.0.0.1", 0),
            human_ingress=human_ingress,
            direct_messages=direct_messages,
            debug_events=debug_events,
            delivery_window=delivery_window,
            allowed_origins=tuple(allowed_origins),
            limits=limits,
            trusted_proxies=tuple(map(ipaddress.ip_network, trusted_proxies)),
        ),
        auth=AuthSettings(mode, public_read or is_open, Registration.OPEN if is_open else registration, tuple(tokens)),
        storage=StorageSettings(StorageKind.MEMORY if sqlite is None else StorageKind.SQLITE, sqlite),
        rooms=tuple(rooms),
    )


@asynccontextmanager
async def open_test_app(
    config: MoltnetConfig | None = None, *, store: Store | None = None, clock: WallClock = utc_now
) -> AsyncIterator[App]:
    """A running network without a transport. With a `store` of the test's own it can be "restarted" in memory."""
    config = config or network_config()
    opening = open_app(config, clock) if store is None else open_app_on(store, config, clock)
    async with opening as app:
        yield app


@attrs.frozen(eq=False)
class TestServer:
    """A server on loopback. `stop` drains it, as a signal does; `ended` is set when it has ended."""

    __test__ = False

    app: App
    url: str
    stop: trio.Event
    ended: trio.Event

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


@asynccontextmanager
async def open_test_server(
    config: MoltnetConfig | None = None, *, store: Store | None = None, clock: WallClock = utc_now
) -> AsyncIterator[TestServer]:
    """The real server, with Hypercorn and sockets, on a free port. Leaving the block drains it."""
    config = config or network_config()
    stop, ended = trio.Event(), trio.Event()
    async with open_test_app(config, store=store, clock=clock) as app, trio.open_nursery() as nursery:

        async def run(task_status: trio.TaskStatus[list[str]]) -> None:
            await serve(app, open_sockets(config.server.listen_addr), stop=stop, task_status=task_status)
            ended.set()

        urls: list[str] = await nursery.start(run)
        try:
            yield TestServer(app, urls[0], stop, ended)
        finally:
            stop.set()


def room_message(
    text: str = "hello",
    *,
    sender: str = "alpha",
    room: str = GENERAL,
    message_id: str = "",
    sender_type: str = AGENT,
    mentions: Iterable[str] = (),
) -> SendMessageRequest:
    target = Target(kind=TargetKind.ROOM, room_id=RoomId(room))
    return _message(target, text, sender, message_id, sender_type, mentions)


def thread_message(
    thread: str, text: str = "hello", *, sender: str = "alpha", room: str = GENERAL, message_id: str = ""
) -> SendMessageRequest:
    target = Target(
        kind=TargetKind.THREAD,
        room_id=RoomId(room),
        thread_id=ThreadId(thread),
        parent_message_id=MessageId("m1"),
    )
    return _message(target, text, sender, message_id)


def direct_message(
    direct: str,
    *participants: str,
    text: str = "hello",
    sender: str = "alpha",
    message_id: str = "",
    sender_type: str = AGENT,
) -> SendMessageRequest:
    target = Target(kind=TargetKind.DM, dm_id=DirectId(direct), participant_ids=participants)
    return _message(target, text, sender, message_id, sender_type)


def _message(
    target: Target, text: str, sender: str, message_id: str, sender_type: str = AGENT, mentions: Iterable[str] = ()
) -> SendMessageRequest:
    return SendMessageRequest(
        id=message_id,
        target=target,
        sender=Actor(type=sender_type, id=sender),
        parts=(Part(kind=PartKind.TEXT, text=text),),
        mentions=tuple(mentions),
    )


async def post(app: App, request: SendMessageRequest, claims: Claims = UNCHECKED) -> MessageAccepted:
    """Send a message past HTTP."""
    return await send_message(app.context, request, claims)


async def post_texts(app: App, *texts: str, sender: str = "alpha", room: str = GENERAL) -> None:
    for text in texts:
        await post(app, room_message(text, sender=sender, room=room))


async def event_types(app: App) -> list[str]:
    """The types of all events in the log, in order, once everything that was reported so far is in it."""
    await trio.testing.wait_all_tasks_blocked()
    return [record.type for record in await app.context.store.events_after(0, 10_000)]


async def wait_until(condition: Callable[[], bool]) -> None:
    """Look again and again, for what nobody tells us: a socket lies in between."""
    with trio.fail_after(30):
        while not condition():  # noqa: ASYNC110 - see above
            await trio.sleep(0.001)
