"""An HTTP server that does what a test tells it, also what no server should do: raw Trio sockets, h11 to read requests.

A test gives one reply per expected request, in order; a reply writes whatever bytes it likes. What was asked for is in
`requests`. An unexpected request is answered with 599 and kept in `unexpected`, which the end of the block checks.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import attrs
import h11
import orjson
import trio

MAX_TEST_REQUEST_BYTES = 4 * 1024 * 1024


@attrs.frozen
class SeenRequest:
    """A request as it arrived; header names are lower-case. `connection` counts from 0 in the order of arrival."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int

    def json(self) -> object:
        return orjson.loads(self.body)


Reply = Callable[[trio.abc.Stream, SeenRequest], Awaitable[bool]]
"""Writes an answer; tells whether the connection stays open for another request."""


def answer(
    status: int = 200, body: object = None, *, headers: Mapping[str, str] | None = None, close: bool = False
) -> Reply:
    """A well-formed answer; `body` is JSON, or bytes as they are."""
    data = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
    fields = {"Content-Length": str(len(data)), "Content-Type": "application/json", **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return raw(f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + data, close=close)


def raw(*pieces: bytes, close: bool = False) -> Reply:
    """Exactly these bytes, each piece in a send of its own."""

    async def reply(stream: trio.abc.Stream, _request: SeenRequest) -> bool:
        for piece in pieces:
            await stream.send_all(piece)
        return not close

    return reply


def silence() -> Reply:
    """No answer, until the client goes away."""

    async def reply(stream: trio.abc.Stream, _request: SeenRequest) -> bool:
        while await stream.receive_some():
            pass
        return False

    return reply


def flood(head: bytes, piece: bytes) -> Reply:
    """`head`, then `piece` again and again until the client goes away."""

    async def reply(stream: trio.abc.Stream, _request: SeenRequest) -> bool:
        await stream.send_all(head)
        while True:
            await stream.send_all(piece)

    return reply


def chunked(*chunks: bytes, head: str = "") -> Reply:
    """A chunked answer; every chunk in a send of its own."""
    pieces = [f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in chunks]
    return raw(f"HTTP/1.1 200 OK\r\n{head}Transfer-Encoding: chunked\r\n\r\n".encode(), *pieces, b"0\r\n\r\n")


def held(head: bytes, *pieces: bytes) -> Reply:
    """These bytes, then nothing, until the client goes away: an event stream on which nothing happens."""

    async def reply(stream: trio.abc.Stream, request: SeenRequest) -> bool:
        await raw(head, *pieces)(stream, request)
        return await silence()(stream, request)

    return reply


@attrs.define(eq=False)
class ScriptedServer:
    """A listening server; `url` is its base URL."""

    url: str
    _replies: list[Reply]
    requests: list[SeenRequest] = attrs.field(factory=list, init=False)
    unexpected: list[SeenRequest] = attrs.field(factory=list, init=False)
    _connections: int = attrs.field(default=0, init=False)
    _arrived: trio.Condition = attrs.field(factory=trio.Condition, init=False)

    def expect(self, *replies: Reply) -> None:
        """Replies to further requests."""
        self._replies.extend(replies)

    async def wait_requests(self, count: int) -> None:
        """Until `count` requests have arrived in all."""
        async with self._arrived:
            while len(self.requests) < count:
                await self._arrived.wait()

    async def serve(self, stream: trio.abc.Stream) -> None:
        """One connection, until a reply ends it or the client leaves."""
        number = self._connections
        self._connections += 1
        try:
            while (request := await read_request(stream, number)) is not None:
                async with self._arrived:
                    self.requests.append(request)
                    self._arrived.notify_all()
                if not self._replies:
                    self.unexpected.append(request)
                reply = self._replies.pop(0) if self._replies else answer(599, close=True)
                if not await reply(stream, request):
                    break
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            pass  # the client is gone, as some tests want it
        finally:
            await trio.aclose_forcefully(stream)


@asynccontextmanager
async def open_scripted_server(*replies: Reply, tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedServer]:
    """A server on a free port of 127.0.0.1. At the end of the block all replies must be used up."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    server = ScriptedServer(f"{'https' if tls else 'http'}://127.0.0.1:{port}", list(replies))

    async def handle(stream: trio.SocketStream) -> None:
        await server.serve(trio.SSLStream(stream, tls, server_side=True, https_compatible=True) if tls else stream)

    async with trio.open_nursery() as nursery:
        await nursery.start(partial(trio.serve_listeners, handle, listeners))
        yield server
        nursery.cancel_scope.cancel(reason="the test is over")
    assert not server.unexpected, f"unexpected requests: {server.unexpected}"
    assert not server._replies, f"{len(server._replies)} replies were not asked for"


async def read_request(stream: trio.abc.Stream, connection: int) -> SeenRequest | None:
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_TEST_REQUEST_BYTES)
    head: h11.Request | None = None
    body = b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(bytes(await stream.receive_some()))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode(): value.decode() for name, value in head.headers}
            return SeenRequest(head.method.decode(), head.target.decode(), headers, body, connection)
        else:
            return None
