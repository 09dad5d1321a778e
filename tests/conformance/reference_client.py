"""A client as the reference implementation has it, written from the description of its protocol and not from our code.

It shares nothing with our two halves of the session: frames are read and checked here, strictly, so that a server that
only our own client could understand is found out. Times and buffers are those of the reference (attach protocol §2, §3,
§10); only the delays before it comes back are shorter.
"""

import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import attrs
import orjson
import trio
import trio_websocket

from tests.fakes.http_client import HttpClient

VERSION: Final = "moltnet.attach.v1"
MAX_FRAME_BYTES: Final = 1024 * 1024
NETWORK_SECONDS: Final = 15.0
HELLO_SECONDS: Final = 10.0
LEAST_READ_SECONDS: Final = 10.0
BUFFERED_FRAMES: Final = 64
FOR_GOOD: Final = frozenset({1000, 1001})

# The keys that a frame may have, and the type of each, as the reference decodes them; others are passed over.
_TYPES: Final[Mapping[str, type]] = {
    "op": str,
    "version": str,
    "heartbeat_interval_ms": int,
    "network_id": str,
    "agent": dict,
    "agent_id": str,
    "actor_uid": str,
    "actor_uri": str,
    "agent_token": str,
    "capabilities": dict,
    "cursor": str,
    "event": dict,
    "error": str,
}
# What each op of the server must carry to be of use.
_NEEDED: Final[Mapping[str, frozenset[str]]] = {
    "HELLO": frozenset({"heartbeat_interval_ms"}),
    "READY": frozenset({"network_id", "agent_id", "actor_uid", "actor_uri"}),
    "EVENT": frozenset({"network_id", "cursor", "event"}),
    "PING": frozenset(),
    "ERROR": frozenset({"error"}),
}
_EVENT_KEYS: Final = frozenset({"id", "type", "network_id", "created_at"})

Frame = dict[str, Any]
Handler = Callable[[Frame], Awaitable[None]]


class Fatal(Exception):
    """This connection can't go on; the client comes back."""


class Incompatible(Exception):
    """The server is none that this client knows: it never attaches."""


@attrs.define(eq=False)
class Connection:
    """What was seen of one connection: frames of the server in order, and how it ended."""

    sent_cursor: str
    frames: list[Frame] = attrs.field(factory=list)
    acked: list[str] = attrs.field(factory=list)
    close_code: int | None = None
    problem: str = ""

    @property
    def ready(self) -> Frame | None:
        return next((frame for frame in self.frames if frame["op"] == "READY"), None)

    @property
    def events(self) -> list[Frame]:
        return [frame["event"] for frame in self.frames if frame["op"] == "EVENT"]

    @property
    def errors(self) -> list[str]:
        return [frame["error"] for frame in self.frames if frame["op"] == "ERROR"]


@attrs.define(eq=False)
class ReferenceClient:
    """One agent. ``handle`` gets the events one at a time and is done with one when it returns.

    ``token_kept`` stands for the file of tokens: without it a minted token has no place to go, and the client fails.
    """

    url: str
    agent_id: str
    handle: Handler
    network_id: str = "lab"
    token: str = ""
    keeps_tokens: bool = False
    cursor: str = ""
    connections: list[Connection] = attrs.field(factory=list)
    stopped: bool = False
    """A close with 1000 or 1001: it never comes back by itself."""
    _changed: trio.Event = attrs.field(factory=trio.Event)

    async def run(self) -> None:
        """Attach, and again after every loss, until a close that means the end for good. Raises ``Incompatible``."""
        delay = 0.05
        while not self.stopped:
            try:
                await self._check_network()
                await self._connect()
            except (Fatal, OSError, trio.TooSlowError):
                pass
            self._note_change()
            await trio.sleep(delay * random.uniform(0.8, 1.2))
            delay = min(delay * 2, 1.5)

    async def wait_until(self, condition: Callable[["ReferenceClient"], bool]) -> None:
        with trio.fail_after(60):
            while not condition(self):
                await self._changed.wait()

    @property
    def events(self) -> list[Frame]:
        return [event for connection in self.connections for event in connection.events]

    @property
    def texts(self) -> list[str]:
        """Of all messages, over all connections."""
        return [text_of(event) for event in self.events if event["type"] == "message.created"]

    async def _check_network(self) -> None:
        headers = bearer_of(self.token)
        with trio.fail_after(NETWORK_SECONDS):
            answer = await HttpClient(self.url).request("GET", "/v1/network", headers=headers)
        if answer.status != 200:
            raise Fatal(f"the network answered {answer.status}")
        network = answer.json()
        if network["id"] != self.network_id:
            raise Incompatible(f"network {network['id']}")
        protocols, capabilities = network["protocols"], network["capabilities"]
        if "moltnet.http.v1" not in protocols["http"] or VERSION not in protocols["attach"]:
            raise Incompatible("protocols")
        if capabilities["attachment_protocol"] != "websocket" or capabilities["message_pagination"] != "cursor":
            raise Incompatible("capabilities")
        if capabilities["direct_messages"] is not True:
            raise Incompatible("direct messages")

    async def _connect(self) -> None:
        headers = [(name.encode(), value.encode()) for name, value in bearer_of(self.token).items()]
        connection = Connection(self.cursor)
        self.connections.append(connection)
        try:
            async with trio.open_nursery() as nursery:
                socket = await trio_websocket.connect_websocket_url(
                    nursery,
                    f"ws{self.url.removeprefix('http')}/v1/attach",
                    extra_headers=headers,
                    max_message_size=MAX_FRAME_BYTES,
                )
                if socket.subprotocol is not None:
                    raise Fatal("a subprotocol that nobody offered")
                try:
                    await _Talk(self, connection, socket).run()
                finally:
                    await trio.aclose_forcefully(socket._stream)  # it says no goodbye unless it is told to stop
                    nursery.cancel_scope.cancel()
        except* trio_websocket.ConnectionRejected as rejections:
            connection.problem = str(rejections.exceptions[0])
        except* trio_websocket.ConnectionClosed as closes:
            connection.close_code = _close_code(closes)
        except* (Fatal, trio.TooSlowError, trio.BrokenResourceError, trio.ClosedResourceError) as problems:
            connection.problem = connection.problem or str(_leaf(problems))
        self.stopped = connection.close_code in FOR_GOOD
        self._note_change()

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@attrs.define(eq=False)
class _Talk:
    """One connection while it is open."""

    client: ReferenceClient
    connection: Connection
    socket: trio_websocket.WebSocketConnection

    async def run(self) -> None:
        hello = await self._expect(HELLO_SECONDS, "HELLO")
        read_seconds = max(2 * hello["heartbeat_interval_ms"] / 1000, LEAST_READ_SECONDS)
        await self._send(
            "IDENTIFY",
            network_id=self.client.network_id,
            agent={"type": "agent", "id": self.client.agent_id, "name": self.client.agent_id.title()},
            capabilities={"rooms": True, "threads": True, "dms": True},
            **({"cursor": self.client.cursor} if self.client.cursor else {}),
        )
        ready = await self._expect(read_seconds, "READY")
        self._check_ready(ready)
        send, receive = trio.open_memory_channel[Frame](BUFFERED_FRAMES)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, read_seconds, send)
            await self._handle_one_by_one(receive)

    def _check_ready(self, ready: Frame) -> None:
        if ready["network_id"] != self.client.network_id:
            raise Fatal(f"READY of network {ready['network_id']}")
        if token := ready.get("agent_token"):
            if not self.client.keeps_tokens:
                raise Fatal("a token, and no file to keep it in")
            self.client.token = token

    async def _read(self, read_seconds: float, events: trio.MemorySendChannel[Frame]) -> None:
        """One after the other: while the buffer is full, nothing is read, and no PING is answered."""
        while True:
            frame = await self._receive(read_seconds)
            match frame["op"]:
                case "EVENT":
                    await events.send(frame)
                case "PING":
                    await self._send("PONG")
                case "ERROR":
                    await self._end_after(frame["error"])
                case op:
                    raise Fatal(f"{op} after READY")

    async def _handle_one_by_one(self, events: trio.MemoryReceiveChannel[Frame]) -> None:
        async for frame in events:
            try:
                await self.client.handle(frame["event"])
            except Exception as error:
                await self._send("ERROR", error=str(error))
                raise Fatal(f"not handled: {error}") from error
            await self._send("ACK", cursor=frame["cursor"])
            self.connection.acked.append(frame["cursor"])
            self.client.cursor = frame["cursor"]
            self.client._note_change()

    async def _expect(self, seconds: float, op: str) -> Frame:
        frame = await self._receive(seconds)
        if frame["op"] == "ERROR":
            await self._end_after(frame["error"])
        if frame["op"] != op:
            raise Fatal(f"{frame['op']} instead of {op}")
        return frame

    async def _end_after(self, error: str) -> None:
        """The server has said what is wrong; with which code it closes is for the test to know."""
        self.connection.problem = error
        with trio.move_on_after(LEAST_READ_SECONDS):
            await self.socket.get_message()
        raise Fatal(error)

    async def _receive(self, seconds: float) -> Frame:
        with trio.fail_after(seconds):
            text = await self.socket.get_message()
        frame = checked(text)
        self.connection.frames.append(frame)
        self.client._note_change()
        return frame

    async def _send(self, op: str, **fields: object) -> None:
        await self.socket.send_message(orjson.dumps({"op": op, "version": VERSION, **fields}).decode())


def checked(text: str | bytes) -> Frame:
    """A frame of the server, if it is one. Raises ``Fatal``."""
    if not isinstance(text, str):
        raise Fatal("a binary message")
    if not text.endswith("}\n") or text.count("\n") != 1:
        raise Fatal("not one line")
    frame = orjson.loads(text)
    if not isinstance(frame, dict):
        raise Fatal("not an object")
    for key, value in frame.items():
        if key in _TYPES and type(value) is not _TYPES[key]:
            raise Fatal(f"{key} is a {type(value).__name__}")
        if value in ("", None):
            raise Fatal(f"{key} is empty, and there")
    if frame.get("op") not in _NEEDED:
        raise Fatal(f"op {frame.get('op')}")
    if frame.get("version") != VERSION:
        raise Fatal(f"version {frame.get('version')}")
    if frame.get("capabilities") != {}:
        raise Fatal("no capabilities")
    if missing := _NEEDED[frame["op"]] - frame.keys():
        raise Fatal(f"{frame['op']} without {', '.join(sorted(missing))}")
    if frame["op"] == "EVENT" and (not frame["event"].keys() >= _EVENT_KEYS or frame["cursor"] != frame["event"]["id"]):
        raise Fatal("an event that is none")
    return frame


def text_of(event: Frame) -> str:
    """The first part of a message."""
    text: str = event["message"]["parts"][0].get("text", "")
    return text


def bearer_of(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _close_code(closes: BaseExceptionGroup[trio_websocket.ConnectionClosed]) -> int:
    reason = _leaf(closes).reason
    return 1006 if reason is None or reason.code is None else int(reason.code)


def _leaf(group: BaseExceptionGroup[Any]) -> Any:
    error: Any = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
