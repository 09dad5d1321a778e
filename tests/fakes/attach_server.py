"""A server for one attachment client at a time, on a real socket: trio-websocket driven by the real `ServerSession`.

What it does with a connection is a script, an async function of the `Peer`; a test appends scripts to `server.scripts`
and each connection takes the next, `serve` when there is none left. Between the scripts it behaves as a server of ours:
events are delivered after the cursor that the client names, again if they were not ACKed on an earlier connection.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial

import attrs
import h11
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, wrap_server_stream

from moltnet.protocol.attachment import Acked, Identified, PeerError, Reply, ServerSession
from moltnet.protocol.codec import encode
from moltnet.protocol.errors import ProtocolViolation
from moltnet.protocol.events import Event
from moltnet.protocol.frames import event_frame_text
from moltnet.protocol.network import SPOKEN_PROTOCOLS, Capabilities, Network
from moltnet.protocol.pages import RoomPage
from moltnet.protocol.rooms import Room

NETWORK = Network(
    id="net",
    protocols=SPOKEN_PROTOCOLS,
    capabilities=Capabilities(attachment_protocol="websocket", direct_messages=True, message_pagination="cursor"),
)

Script = Callable[["Peer"], Awaitable[None]]


@attrs.define(eq=False)
class AttachServer:
    """Made by `open_attach_server`. `network` is what `GET /v1/network` says, or the status that it answers with."""

    base_url: str = ""
    network: Network | int = NETWORK
    scripts: deque[Script] = attrs.field(factory=deque)
    usual: Script | None = None
    """For connections without a script of their own, in the place of `serve`."""
    peers: list["Peer"] = attrs.field(factory=list)
    events: list[Event] = attrs.field(factory=list)
    asked: list[Mapping[str, str]] = attrs.field(factory=list)
    """The headers of every `GET /v1/network`."""
    rooms: dict[str, Room] | int = 403
    """What `GET /v1/rooms` and `GET /v1/rooms/{id}` know of, or the status that they answer with."""
    asked_rooms: list[str] = attrs.field(factory=list)
    """The path of every question for rooms."""
    approvals: Callable[[bytes], tuple[int, bytes]] = lambda _body: (404, b'{"error":"404 page not found"}')
    """What is answered to who asks for an approval: status and body. A reference server has no such route."""
    agent_token: str = ""
    """Minted for the next READY."""
    ping_seconds: float = 2.5
    tells_place: bool = True
    """Whether READY has a cursor, as with servers of ours; the reference has none."""
    _changed: trio.Event = attrs.field(factory=trio.Event)

    def publish(self, *events: Event) -> None:
        self.events += events
        self.note_change()

    @property
    def acked(self) -> list[str]:
        """Every ACK of every connection, in order."""
        return [cursor for peer in self.peers for cursor in peer.acked]

    async def wait_until(self, condition: Callable[["AttachServer"], bool]) -> None:
        while not condition(self):
            await self._changed.wait()

    async def wait_acked(self, *events: Event) -> None:
        """Until each event was ACKed on some connection."""
        wanted = {event.id for event in events}
        await self.wait_until(lambda server: wanted <= set(server.acked))

    async def wait_attached(self, connections: int = 1) -> None:
        """Until that many connections, over all time, got past READY."""
        await self.wait_until(lambda server: sum(peer.is_ready for peer in server.peers) >= connections)

    def note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def wait_change(self) -> None:
        await self._changed.wait()


@attrs.define(eq=False)
class Peer:
    """One connection, in the hands of a script."""

    server: AttachServer
    request: WebSocketRequest
    headers: Mapping[str, str]
    path: str
    stream: trio.abc.Stream
    session: ServerSession
    websocket: WebSocketConnection | None = None
    identified: Identified | None = None
    is_ready: bool = False
    position: int = 0
    """How many of the server's events are behind this client."""
    acked: list[str] = attrs.field(factory=list)
    pings: int = 0
    errors: list[str] = attrs.field(factory=list)
    """What the client complained of before it left."""
    close_code: int | None = None
    """How the client, or we, closed; none while it is open or if it was only cut."""
    gone: trio.Event = attrs.field(factory=trio.Event)
    """The socket is closed, by the client or after its goodbye."""

    async def hello(self) -> None:
        self.websocket = await self.request.accept()
        await self.send(self.session.hello())

    async def identify(self) -> None:
        while self.identified is None:
            await self.receive()

    async def ready(self) -> None:
        assert self.identified is not None
        token, self.server.agent_token = self.server.agent_token, ""
        # Before READY, so that nothing published from then on is missed.
        ids, cursor = [str(event.id) for event in self.server.events], self.identified.cursor
        self.position = ids.index(cursor) + 1 if cursor in ids else len(ids) if not cursor else 0
        id = self.identified.agent.id
        place = ids[self.position - 1] if self.position and self.server.tells_place else ""
        await self.send(
            self.session.ready(id, f"actor_{id}", f"molt://net/agents/{id}", agent_token=token, cursor=place)
        )
        self.is_ready = True
        self.server.note_change()

    async def attach(self) -> None:
        """HELLO, IDENTIFY, READY."""
        await self.hello()
        await self.identify()
        await self.ready()

    async def deliver(self) -> None:
        """Everything after the client's cursor, and what is published, until the connection ends."""
        while True:
            while self.position < len(self.server.events) and self.session.can_send:
                event = self.server.events[self.position]
                self.position += 1
                await self.send(self.session.event(event.id, event_frame_text("net", event.id, encode(event))))
            await self.server.wait_change()

    async def read(self) -> None:
        while True:
            await self.receive()

    async def keep_alive(self) -> None:
        while True:
            await trio.sleep(self.server.ping_seconds)
            await self.send(self.session.ping(trio.current_time()))
            self.pings += 1

    async def receive(self) -> None:
        """Take one message and note what it means."""
        assert self.websocket is not None
        for item in self.session.receive_text(await self.websocket.get_message(), trio.current_time()):
            match item:
                case Identified():
                    self.identified = item
                case Acked(cursor):
                    self.acked.append(cursor)
                case Reply(text):
                    await self.send(text)
                case PeerError(text):
                    self.errors.append(text)
        self.server.note_change()

    async def send(self, text: str) -> None:
        assert self.websocket is not None
        await self.websocket.send_message(text)

    async def close(self, code: int, reason: str = "") -> None:
        assert self.websocket is not None
        await self.websocket.aclose(code, reason)

    async def drop(self) -> None:
        """No close frame, no goodbye."""
        await trio.aclose_forcefully(self.stream)


async def serve(peer: Peer) -> None:
    """What a server should do."""
    await peer.attach()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.read)
        nursery.start_soon(peer.deliver)
        nursery.start_soon(peer.keep_alive)


def reject(status: int, *, retry_after: str = "") -> Script:
    """Refuse the upgrade."""

    async def script(peer: Peer) -> None:
        headers = [(b"Retry-After", retry_after.encode())] if retry_after else []
        await peer.request.reject(status, extra_headers=headers, body=b'{"error":"no"}')

    return script


def refuse(text: str, code: int | None) -> Script:
    """ERROR instead of READY, then a close frame if there is a code."""

    async def script(peer: Peer) -> None:
        await peer.hello()
        await peer.identify()
        await peer.send(peer.session.error(text))
        await (peer.drop() if code is None else peer.close(code, text))

    return script


def close(code: int) -> Script:
    """Attach, then close cleanly with `code`."""

    async def script(peer: Peer) -> None:
        await peer.attach()
        await peer.close(code)

    return script


def say(*texts: str) -> Script:
    """Attach, say something that no server says, and listen for the answer."""

    async def script(peer: Peer) -> None:
        await peer.attach()
        for text in texts:
            await peer.send(text)
        await peer.read()

    return script


async def drop_at_ready(peer: Peer) -> None:
    """Attach, then cut the connection."""
    await peer.attach()
    await peer.drop()


async def drop_during_upgrade(peer: Peer) -> None:
    await peer.drop()


async def stay_silent(peer: Peer) -> None:
    """Attach, and then say nothing any more."""
    await peer.attach()
    await peer.read()


@asynccontextmanager
async def open_attach_server() -> AsyncIterator[AttachServer]:
    """A server on a port of loopback. Leaving the block cuts what is still connected."""
    server = AttachServer()
    async with trio.open_nursery() as nursery:

        async def handle(stream: trio.SocketStream) -> None:
            async with stream:
                await _handle(server, stream)

        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        host, port = listeners[0].socket.getsockname()
        server.base_url = f"http://{host}:{port}"
        yield server
        nursery.cancel_scope.cancel()


async def _handle(server: AttachServer, stream: trio.SocketStream) -> None:
    with suppress(trio.BrokenResourceError):
        head, request, headers = await _read_request(stream)
        path = request.target.decode()
        if path.endswith("/v1/network"):
            server.asked.append(headers)
            status, body = (
                (200, encode(server.network)) if isinstance(server.network, Network) else (server.network, b"{}")
            )
            await _answer(stream, status, body)
            server.note_change()
            return
        if "/v1/rooms" in path:
            server.asked_rooms.append(path)
            server.note_change()  # also if the client is gone before the answer
            await _answer(stream, *_rooms_answer(server.rooms, path))
            server.note_change()
            return
        if path.endswith("/approvals"):
            await _answer(stream, *server.approvals(await _read_body(stream, head, headers)))
            server.note_change()
            return
        async with trio.open_nursery() as nursery:
            gone = trio.Event()

            def end() -> None:
                gone.set()
                server.note_change()

            proposal = await wrap_server_stream(nursery, _Replayed(stream, head, end))
            session = ServerSession("net", now=trio.current_time())
            peer = Peer(server, proposal, headers, path, stream, session, gone=gone)
            server.peers.append(peer)
            server.note_change()
            script = server.scripts.popleft() if server.scripts else server.usual or serve
            await _run(script, peer)
            nursery.cancel_scope.cancel()
    server.note_change()


async def _answer(stream: trio.SocketStream, status: int, body: bytes) -> None:
    await stream.send_all(
        f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
    )


def _rooms_answer(rooms: dict[str, Room] | int, path: str) -> tuple[int, bytes]:
    if isinstance(rooms, int):
        return rooms, b"{}"
    room_id = path.partition("/v1/rooms")[2].strip("/")
    if not room_id:
        return 200, encode(RoomPage(tuple(rooms.values())))
    if room_id in rooms:
        return 200, encode(rooms[room_id])
    return 404, b'{"error":"unknown room","code":"unknown_room"}'


async def _read_body(stream: trio.SocketStream, received: bytes, headers: Mapping[str, str]) -> bytes:
    """The body of a request of which so much came with its head."""
    body = received.partition(b"\r\n\r\n")[2]
    while len(body) < int(headers["content-length"]):
        body += await stream.receive_some()
    return body


async def _run(script: Script, peer: Peer) -> None:
    try:
        await script(peer)
    except* (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    except* ProtocolViolation as violations:
        peer.errors += [f"violation: {violation}" for violation in violations.exceptions]
    if peer.websocket is not None and peer.websocket.closed is not None:
        peer.close_code = peer.websocket.closed.code


async def _read_request(stream: trio.SocketStream) -> tuple[bytes, h11.Request, Mapping[str, str]]:
    """The first request, and the bytes that it came in."""
    parser = h11.Connection(h11.SERVER)
    head = b""
    while True:
        event = parser.next_event()
        if isinstance(event, h11.Request):
            return head, event, {name.decode(): value.decode() for name, value in event.headers}
        data = await stream.receive_some()
        if not data:
            raise trio.BrokenResourceError("no request")
        head += data
        parser.receive_data(bytes(data))


@attrs.define(eq=False)
class _Replayed(trio.abc.Stream):
    """A stream whose first bytes were read before and are given again. Tells when nothing more can come."""

    _stream: trio.SocketStream
    _first: bytes
    _end: Callable[[], None]

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data: bytes | bytearray
        data, self._first = self._first, b""
        try:
            data = data or await self._stream.receive_some(max_bytes)
        finally:
            if not data:
                self._end()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        self._end()
        await self._stream.aclose()
