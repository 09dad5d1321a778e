"""The HTTP API without a server: ASGI messages in memory.

So a test may set the clock, or hang up at a chosen moment.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import attrs
import orjson
import trio
from quart_trio import QuartTrio

from moltnet.app import App
from moltnet.asgi import NetworkAsgi
from moltnet.http.exchange import Exchange
from moltnet.metrics import HttpMetrics
from moltnet.protocol.codec import unstructure
from tests.fakes.conformance import check_answer

Message = dict[str, Any]


@attrs.define(eq=False)
class AsgiExchange:
    """One request that is being handled. `ended` is set when the application has returned."""

    _to_app: trio.MemorySendChannel[Message]
    _from_app: trio.MemoryReceiveChannel[Message]
    ended: trio.Event = attrs.field(factory=trio.Event)

    async def receive(self) -> Message:
        """The next message of the application. Raises `trio.EndOfChannel` once it has returned."""
        return await self._from_app.receive()

    async def receive_status(self) -> int:
        message = await self.receive()
        assert message["type"] == "http.response.start"
        return int(message["status"])

    async def receive_chunk(self) -> bytes:
        """The next piece of the body; empty at its end."""
        while True:
            message = await self.receive()
            assert message["type"] == "http.response.body"
            if message["body"] or not message.get("more_body", False):
                return bytes(message["body"])

    def receive_waiting(self) -> bytes:
        """The pieces of the body that have been sent so far."""
        data = b""
        with suppress(trio.WouldBlock, trio.EndOfChannel):
            while True:
                data += self._from_app.receive_nowait().get("body", b"")
        return data

    def hang_up(self) -> None:
        self._to_app.send_nowait({"type": "http.disconnect"})


@attrs.define(eq=False)
class _Heard:
    """What is answered, to be held against the OpenAPI document once it is whole. An event stream never is."""

    _method: str
    _target: str
    _status: int = 0
    _headers: Mapping[str, str] = attrs.field(factory=dict)
    _body: bytes = b""

    def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        elif self._headers.get("content-type") != "text/event-stream":
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                check_answer(self._method, self._target, self._status, self._headers, self._body)


@asynccontextmanager
async def open_exchange(
    app: App | QuartTrio | NetworkAsgi,
    method: str,
    path: str,
    body: object = None,
    *,
    headers: Mapping[str, str] | None = None,
    chunks: int = 1000,
) -> AsyncIterator[AsgiExchange]:
    """Send a request to the API of a network, or to a Quart application. Leaving the block hangs up.

    `chunks` is how many messages of the application are taken before it has to wait for the test.
    """
    asgi = NetworkAsgi(app) if isinstance(app, App) else app
    to_app, from_test = trio.open_memory_channel[Message](10)
    to_test, from_app = trio.open_memory_channel[Message](chunks)
    exchange = AsgiExchange(to_app, from_app)
    target, _, query = path.partition("?")
    data = b"" if body is None else orjson.dumps(unstructure(body))
    # As every client does that knows how much it sends.
    told = {"Content-Length": str(len(data))} if data else {}
    scope = {
        "type": "http",
        "asgi": {"spec_version": "2.1", "version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": target,
        "raw_path": target.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in {**told, **(headers or {})}.items()],
        "client": ("192.0.2.1", 50000),
        "server": ("192.0.2.2", 80),
        "state": {},
        "extensions": {},
    }

    if isinstance(app, QuartTrio):
        scope = dict(Exchange.of(scope, HttpMetrics.on()).within(scope))  # what `NetworkAsgi` puts around it

    heard = _Heard(method, path)

    async def send(message: Message) -> None:
        if not isinstance(app, QuartTrio):  # else it may have any routes
            heard.take(message)
        with suppress(trio.BrokenResourceError):  # what is sent to a peer that is gone is dropped, as servers do
            await to_test.send(message)

    async def run() -> None:
        try:
            await asgi(scope, from_test.receive, send)  # type: ignore[arg-type]  # plain mappings
        finally:
            to_test.close()
            exchange.ended.set()

    to_app.send_nowait({"type": "http.request", "body": data, "more_body": False})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        try:
            yield exchange
        finally:
            with suppress(trio.BrokenResourceError):  # it has returned already
                exchange.hang_up()
            from_app.close()
