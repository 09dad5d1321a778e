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
from moltnet.protocol.codec import unstructure

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

    def hang_up(self) -> None:
        self._to_app.send_nowait({"type": "http.disconnect"})


@asynccontextmanager
async def open_exchange(
    app: App | QuartTrio,
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
    asgi = app if isinstance(app, QuartTrio) else NetworkAsgi(app)
    to_app, from_test = trio.open_memory_channel[Message](10)
    to_test, from_app = trio.open_memory_channel[Message](chunks)
    exchange = AsgiExchange(to_app, from_app)
    target, _, query = path.partition("?")
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
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        "client": ("192.0.2.1", 50000),
        "server": ("192.0.2.2", 80),
        "state": {},
        "extensions": {},
    }

    async def send(message: Message) -> None:
        with suppress(trio.BrokenResourceError):  # what is sent to a peer that is gone is dropped, as servers do
            await to_test.send(message)

    async def run() -> None:
        try:
            await asgi(scope, from_test.receive, send)  # type: ignore[arg-type]  # plain mappings
        finally:
            to_test.close()
            exchange.ended.set()

    data = b"" if body is None else orjson.dumps(unstructure(body))
    to_app.send_nowait({"type": "http.request", "body": data, "more_body": False})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        try:
            yield exchange
        finally:
            with suppress(trio.BrokenResourceError):  # it has returned already
                exchange.hang_up()
            from_app.close()
