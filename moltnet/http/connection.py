"""One TCP connection: bytes between a socket and Hypercorn's HTTP/1.1 and WebSocket protocol, in a nursery of its own.

Hypercorn's protocol classes know no sockets. Its own driver of them is for friends: an error on one connection ends the
server, what waits for a peer that is gone waits for ever, and a write has no end. Here a connection is its own affair,
and everything of it ends soon after its peer::

    serve_connection              an error ends here
    └── Connection.run            reads; its nursery's deadline is the time that the connection may be idle
        └── _run_app              one request, or one attachment

What is said over it is decided by the application (``moltnet.asgi``).
"""

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any, Protocol

import attrs
import h11
import trio
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr
from wsproto.utilities import LocalProtocolError

from moltnet.auth.rates import RateLimiter
from moltnet.http.backlog import Backlog
from moltnet.http.envelope import error_body
from moltnet.http.headers import REQUEST_ID_STATE, error_headers
from moltnet.http.http1 import REFUSALS_TOLD, Http1
from moltnet.log import describe_error, get_logger
from moltnet.protocol import limits
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.ids import new_request_id

log = get_logger("http")

AsgiMessage = Any  # a typed dictionary of Hypercorn's, a plain mapping of ours
Receive = Callable[[], Awaitable[AsgiMessage]]
Send = Callable[[AsgiMessage], Awaitable[None]]
AsgiApp = Callable[[AsgiMessage, Receive, Send], Awaitable[None]]
Admit = Callable[[str], AbstractContextManager[bool]]


@attrs.frozen
class Unread:
    """What somebody else has read from a connection and not served: it is the beginning of a request.

    ``deadline`` is when its head must have come.
    """

    data: bytes
    deadline: float


class Served(Protocol):
    """One connection, whoever serves it."""

    def end_if_idle(self) -> None: ...
    def cut(self) -> None: ...


class First(Served, Protocol):
    """Who sees a connection first, and serves it until there is something for the full parser."""

    async def run(self) -> Unread | None: ...


Connect = Callable[[trio.SocketStream], First]

# What one read brings is worked off at a stretch, and nobody else runs meanwhile: 1 KiB holds up to 146 fragments of a
# WebSocket message, 12 µs each. An honest agent sends little more than ACKs.
_RECEIVE_BYTES = 64 * limits.KIB
_RECEIVE_WEBSOCKET_BYTES = limits.KIB


@attrs.define(eq=False)
class Connections:
    """All connections of a server, and what they share. Nothing here waits.

    ``admit`` is given the address of a peer and tells the block whether there is a place for its connection. With
    ``connect`` connections begin elsewhere (``moltnet.lane``), and some end there.
    """

    app: AsgiApp
    config: Config
    admit: Admit = lambda _: nullcontext(True)
    connect: Connect | None = None
    context: WorkerContext = attrs.field(factory=lambda: WorkerContext(None), init=False)
    backlog: Backlog = attrs.field(factory=Backlog, init=False)
    told: RateLimiter = attrs.field(factory=lambda: RateLimiter(REFUSALS_TOLD), init=False)
    _open: set[Served] = attrs.field(factory=set, init=False)
    _refused: int = attrs.field(default=0, init=False)

    def __len__(self) -> int:
        return len(self._open)

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection to its end, which is also that of its socket. Raises nothing but cancellation."""
        try:
            with self.admit(peer_of(stream)) as is_admitted:
                if is_admitted:
                    await self._serve(stream)
            if not is_admitted:
                await self._refuse(stream)
        except* Exception as group:
            # Most often Hypercorn on input that it did not expect: anybody can send that, so it is no error of ours.
            log.warning("connection failed", reason=describe_error(group))
        finally:
            await trio.aclose_forcefully(stream)

    async def _serve(self, stream: trio.SocketStream) -> None:
        unread: Unread | None = None
        if self.connect is not None:
            first = self.connect(stream)
            with self._counted(first):
                unread = await first.run()
            if unread is None:
                return
        connection = Connection(self.app, self.config, self.context, stream, self.backlog, self.told)
        with self._counted(connection):
            await connection.run(unread)

    @property
    def is_draining(self) -> bool:
        return self.context.terminated.is_set()

    async def drain(self) -> None:
        """Take no more requests: idle connections end now, others with the answer that they wait for."""
        await self.context.terminated.set()
        for connection in tuple(self._open):
            connection.end_if_idle()

    def cut(self) -> None:
        """Close every socket now, whoever is writing to it."""
        for connection in tuple(self._open):
            connection.cut()

    async def _refuse(self, stream: trio.SocketStream) -> None:
        """Tell a peer that there is no place for it, if it takes the answer at once."""
        if self._refused >= limits.MAX_REFUSED_CONNECTIONS:
            return
        self._refused += 1
        try:
            with suppress(OSError):
                os.write(stream.socket.fileno(), _no_place())
            await _linger(stream, limits.REFUSED_SECONDS)
        finally:
            self._refused -= 1

    @contextmanager
    def _counted(self, connection: Served) -> Iterator[None]:
        self._open.add(connection)
        try:
            yield
        finally:
            self._open.discard(connection)


@attrs.define(eq=False)
class Connection:
    """One connection. It is its protocol's task group and its way out to the socket."""

    _app: AsgiApp
    _config: Config
    _context: WorkerContext
    _stream: trio.SocketStream
    _backlog: Backlog
    _told: RateLimiter
    _protocol: Http1 = attrs.field(init=False)
    _nursery: trio.Nursery = attrs.field(init=False)
    _reading: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _writing: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _idle: bool = attrs.field(default=True, init=False)
    _begun: bool = attrs.field(default=False, init=False)
    _broken: bool = attrs.field(default=False, init=False)

    async def run(self, unread: Unread | None = None) -> None:
        """Until the peer has left, stayed idle for too long, or an answer said that it is the last one.

        It may begin with what somebody else has read.
        """
        socket = self._stream.socket
        try:
            client, server = socket.getpeername(), socket.getsockname()
        except OSError:
            return  # gone before we looked
        async with trio.open_nursery() as self._nursery:
            self._protocol = Http1(
                self._app,  # type: ignore[arg-type]  # the protocol only hands it to ``spawn_app``
                self._config,
                self._context,
                self,  # type: ignore[arg-type]  # a task group that is entered already
                ConnectionState({}),
                False,
                parse_socket_addr(socket.family, client),
                parse_socket_addr(socket.family, server),
                self._handle,
            )
            self._protocol.told = self._told
            self._set_idle(True)
            with self._reading:
                if unread is not None:
                    await self._go_on(unread)
                await self._read()
            self._set_deadline(limits.CLOSE_SECONDS)
            await self._protocol.handle(Closed())
        if not (self._broken or self._idle):
            await self._say_goodbye()

    def end_if_idle(self) -> None:
        if self._idle:
            self._set_deadline(0)

    def cut(self) -> None:
        """Close the socket. Whoever waits for it sees an end or a broken connection."""
        self._broken = True
        self._stream.socket.close()

    async def spawn_app(
        self, app: AsgiApp, _config: Config, scope: AsgiMessage, send: Send
    ) -> Callable[[AsgiMessage], Awaitable[None]]:
        """Run the application for one request or WebSocket; returns how to hand it what the peer sends."""
        put, receive = trio.open_memory_channel[AsgiMessage](self._config.max_app_queue_size)
        self._nursery.start_soon(self._run_app, app, scope, receive, send)

        async def put_unless_ended(message: AsgiMessage) -> None:
            with suppress(trio.BrokenResourceError):
                await put.send(message)

        return put_unless_ended

    def spawn(self, task: Callable[..., Awaitable[None]], *args: Any) -> None:
        self._nursery.start_soon(task, *args)

    async def _run_app(
        self, app: AsgiApp, scope: AsgiMessage, messages: trio.MemoryReceiveChannel[AsgiMessage], send: Send
    ) -> None:
        try:
            with messages:  # what still comes after the end is dropped
                await app(scope, messages.receive, send)
        except (h11.LocalProtocolError, LocalProtocolError) as error:
            # Our answer met one that Hypercorn had already given to what the peer sent too early.
            log.warning("connection failed", reason=describe_error(error))
        except Exception:
            log.exception("request crashed", request_id=scope.get("state", {}).get(REQUEST_ID_STATE, ""))
        await send(None)  # the end of the application

    async def _go_on(self, unread: Unread) -> None:
        self._begun = True
        scope = self._nursery.cancel_scope
        scope.deadline = min(scope.deadline, unread.deadline, trio.current_time() + limits.HEAD_SECONDS)
        await self._protocol.handle(RawData(unread.data))

    async def _read(self) -> None:
        while not self._is_given_up():
            is_websocket = isinstance(self._protocol.stream, WSStream)
            try:
                data = bytes(
                    await self._stream.receive_some(_RECEIVE_WEBSOCKET_BYTES if is_websocket else _RECEIVE_BYTES)
                )
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._broken = True
                return
            if self._idle and not self._begun:
                # A request has begun; however it drips, it has this long for its head.
                self._begun = True
                scope = self._nursery.cancel_scope
                scope.deadline = min(scope.deadline, trio.current_time() + limits.HEAD_SECONDS)
            await self._protocol.handle(RawData(data))
            if not data:
                return

    def _is_given_up(self) -> bool:
        """Whether Hypercorn has said its last word to the peer and does not know that the connection is then over."""
        stream = self._protocol.stream
        # An upgrade that it refused; a message for which it has sent 1009 and whose fragments it goes on collecting.
        return isinstance(stream, WSStream) and (stream.closed or stream.buffer.length > stream.buffer.max_length)

    async def _handle(self, event: Event) -> None:
        """What the protocol wants: bytes out, the end, or to tell that a request has begun or ended."""
        match event:
            case RawData(data=data):
                await self._write(data)
            case Closed():
                self._reading.cancel(reason="the protocol has ended the connection")
            case Updated(idle=idle):
                self._set_idle(idle)

    async def _write(self, data: bytes) -> None:
        """Send all, as long as the peer takes some of it now and then. What a peer that is gone is sent is dropped."""
        async with self._writing:
            written = self._write_now(data)
            if written < len(data):
                with self._backlog.held(len(data), self.cut) as took_some:
                    await self._write_slowly(data, written, took_some)

    async def _write_slowly(self, data: bytes, written: int, took_some: Callable[[], None]) -> None:
        for start in range(written, len(data), limits.WRITE_BYTES):
            if self._broken:
                return
            try:
                # Not cut off by a cancellation: half a frame would spoil all that follows.
                with trio.fail_after(limits.WRITE_SECONDS, shield=True):
                    await self._stream.send_all(data[start : start + limits.WRITE_BYTES])
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                self._broken = True
                self._reading.cancel(reason="the peer is gone")
            took_some()

    def _write_now(self, data: bytes) -> int:
        """How many bytes the kernel has taken at once: nearly always all, and then nothing has to be waited for."""
        if self._broken:
            return 0
        try:
            return os.write(self._stream.socket.fileno(), data)
        except OSError:
            return 0  # full or broken: whoever waits for it will see which

    def _set_idle(self, idle: bool) -> None:
        self._idle, self._begun = idle, False
        if not idle:
            self._nursery.cancel_scope.deadline = float("inf")
        else:
            self._set_deadline(0 if self._context.terminated.is_set() else self._config.keep_alive_timeout)

    def _set_deadline(self, seconds: float) -> None:
        self._nursery.cancel_scope.deadline = trio.current_time() + seconds

    async def _say_goodbye(self) -> None:
        """Let the peer read our last words: closing while something of its own is unread would destroy them."""
        with trio.CancelScope(shield=True):
            await _linger(self._stream, limits.CLOSE_SECONDS)


async def _linger(stream: trio.SocketStream, seconds: float) -> None:
    """Say that nothing follows, and take what the peer still has to say."""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError), trio.move_on_after(seconds):
        await stream.send_eof()
        while await stream.receive_some(_RECEIVE_BYTES):
            pass


def peer_of(stream: trio.SocketStream) -> str:
    """The address of the other end; empty if it has none, or is gone."""
    with suppress(OSError):
        peer = stream.socket.getpeername()
        return str(peer[0]) if isinstance(peer, tuple) else ""
    return ""


def _no_place() -> bytes:
    request_id = new_request_id()
    message = "there are too many connections; try again"
    body = error_body(ErrorCode.TOO_MANY_CONNECTIONS, message, request_id) + b"\n"
    more = {"Content-Length": str(len(body)), "Connection": "close", "Retry-After": "1"}
    head = b"".join(b"%b: %b\r\n" % field for field in error_headers(request_id, more))
    return b"HTTP/1.1 503 Service Unavailable\r\n" + head + b"\r\n" + body
