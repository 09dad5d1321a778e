"""A server that breaks what the protocol promises, in as many ways as the fuzzer of running servers shall notice."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, unquote

import attrs
import orjson
import trio

from fuzz.client.websocket import CLOSE, TEXT

_LENGTH = re.compile(rb"\r\nContent-Length: ([0-9]+)\r\n")
_MIB = 1024 * 1024


@attrs.define(eq=False)
class BrokenServer:
    """Everything that it takes is wrong in some way; ``dies_after`` requests it takes no connection any more."""

    port: int = 0
    dies_after: int = 10**9
    messages: list[dict[str, object]] = attrs.field(factory=list)
    requests: int = 0
    die: Callable[[], None] = lambda: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, stream: trio.SocketStream) -> None:
        data = b""
        try:
            while True:
                while b"\r\n\r\n" not in data:
                    piece = await stream.receive_some(65536)
                    if not piece:
                        return
                    data += piece  # without an end, and for as long as somebody likes
                head, _, data = data.partition(b"\r\n\r\n")
                told = _LENGTH.search(head + b"\r\n")
                size = min(int(told[1]) if told else 0, 8 * _MIB)
                while len(data) < size:
                    piece = await stream.receive_some(65536)
                    if not piece:
                        return
                    data += piece
                body, data = data[:size], data[size:]
                if b"/v1/attach" in head:
                    await self._attach(stream)
                    return
                self.requests += 1
                if self.requests > self.dies_after:
                    self.die()
                    return
                await stream.send_all(self._answer(head, body))
        except (trio.BrokenResourceError, trio.ClosedResourceError, ValueError):
            return
        finally:
            await trio.aclose_forcefully(stream)

    def _answer(self, head: bytes, body: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path, _, query = rest.split(b" ")[0].decode("latin-1").partition("?")
        if any(byte > 127 for byte in head):
            return _http(500, {"error": "crashed"})
        if "events/stream" in path:
            return _http(200, "data: x\n\n")
        if path == "/v1/network":
            return _http(200, {"id": "broken"})  # whatever the method is
        if method == b"POST":
            return self._take(body)
        if path == "/v1/rooms" and "limit" in (asked := parse_qs(query)):
            return _http(200, {"rooms": [{"id": str(number)} for number in range(_count(asked["limit"][0]))]})
        if path.startswith("/v1/agents"):
            return _http(404, {"error": f"no such agent for {head.partition(b'Bearer ')[2][:20].decode()}"})
        if path.endswith("/messages"):
            return _http(200, {"messages": self.messages[-20:]})
        return _http(404, {"error": f"no {unquote(path)}"})

    def _take(self, body: bytes) -> bytes:
        if len(body) > _MIB:
            return _http(202, {"accepted": True})
        try:
            message = orjson.loads(body)
        except orjson.JSONDecodeError:
            return _http(202 if b"ud800" in body else 400, "no")  # an error that says nothing
        if isinstance(message, dict) and isinstance(message.get("parts"), list):
            message = orjson.loads(orjson.dumps(message).replace(b"\\u0000", b"?"))
            self.messages.append(message)  # as often as it comes
        return _http(202, {"accepted": True})

    async def _attach(self, stream: trio.SocketStream) -> None:
        """Upgrades whatever asks, greets nobody, and closes as if nothing were wrong, or never."""
        await stream.send_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
        await stream.send_all(bytes([0x80 | TEXT, 2]) + b"{}")
        data = await stream.receive_some(65536)
        if len(data) > 300:
            await stream.send_all(bytes([0x80 | CLOSE, 2]) + (1000).to_bytes(2, "big"))
        while await stream.receive_some(65536):
            pass


def _count(text: str) -> int:
    return min(int(text), 1000) if text.isascii() and text.isdigit() else 10


def _http(status: int, body: object) -> bytes:
    data = body.encode() if isinstance(body, str) else orjson.dumps(body)
    return b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%b" % (status, len(data), data)


@asynccontextmanager
async def open_broken_server(dies_after: int = 10**9) -> AsyncIterator[BrokenServer]:
    server = BrokenServer(dies_after=dies_after)
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server.port = listener.socket.getsockname()[1]
        server.die = listener.socket.close
        serving = await nursery.start(_serving, server, listener)
        server.die = serving.cancel
        yield server
        nursery.cancel_scope.cancel()


async def _serving(
    server: BrokenServer, listener: trio.SocketListener, task_status: trio.TaskStatus[trio.CancelScope]
) -> None:
    with trio.CancelScope() as scope:
        task_status.started(scope)
        await trio.serve_listeners(server.serve, [listener])
    await listener.aclose()
