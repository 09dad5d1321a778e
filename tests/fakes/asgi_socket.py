"""An upgrade to `/v1/attach` without a server: ASGI messages in memory, past sockets but through every check."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import attrs
import orjson
import trio

from moltnet.app import App
from moltnet.asgi import NetworkAsgi
from tests.fakes.attach_client import WireClosed

Message = dict[str, Any]


class UpgradeRefused(Exception):
    """The server answered with an ordinary HTTP error."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"refused with {status}")
        self.status = status
        self.code = str(orjson.loads(body)["code"])


@attrs.define(eq=False)
class AsgiWire:
    """The agent's end of an accepted upgrade; a `Wire`. `scope` is what the server's side runs under."""

    _to_app: trio.MemorySendChannel[Message]
    _from_app: trio.MemoryReceiveChannel[Message]
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)

    async def send(self, message: str | bytes) -> None:
        text, data = (message, None) if isinstance(message, str) else (None, message)
        await self._to_app.send({"type": "websocket.receive", "text": text, "bytes": data})

    async def receive(self) -> str:
        try:
            message = await self._from_app.receive()
        except trio.EndOfChannel:
            raise WireClosed(1006, "") from None
        if message["type"] == "websocket.close":
            raise WireClosed(message["code"], message.get("reason", ""))
        assert message["type"] == "websocket.send"
        return str(message["text"])

    def receive_waiting(self) -> list[str]:
        """The frames that have been sent so far."""
        frames = []
        with suppress(trio.WouldBlock, trio.EndOfChannel):
            while True:
                frames.append(str(self._from_app.receive_nowait().get("text", "")))
        return frames

    async def hang_up(self, code: int = 1000) -> None:
        await self._to_app.send({"type": "websocket.disconnect", "code": code})

    def hang_up_nowait(self, code: int = 1006) -> None:
        self._to_app.send_nowait({"type": "websocket.disconnect", "code": code})

    async def accepted(self) -> None:
        """The server's answer to the upgrade. Raises `UpgradeRefused`, and `WireClosed` if there is none."""
        try:
            message = await self._from_app.receive()
        except trio.EndOfChannel:
            raise WireClosed(1006, "no answer") from None
        if message["type"] != "websocket.accept":
            body = b""
            status = int(message["status"])
            while message.get("more_body", True):
                message = await self._from_app.receive()
                body += message.get("body", b"")
            raise UpgradeRefused(status, body)


@asynccontextmanager
async def open_asgi_wire(
    app: App | NetworkAsgi, headers: Mapping[str, str] | None = None, *, watch: Callable[[AsgiWire], None] | None = None
) -> AsyncIterator[AsgiWire]:
    """An attachment that the server has accepted. Leaving the block hangs up. Raises what `accepted` does.

    `watch` is called before the server sees anything of it.
    """
    to_app, from_test = trio.open_memory_channel[Message](100)
    to_test, from_app = trio.open_memory_channel[Message](1000)
    scope = {
        "type": "websocket",
        "asgi": {"spec_version": "2.1", "version": "3.0"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/v1/attach",
        "raw_path": b"/v1/attach",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        "client": ("192.0.2.1", 50000),
        "server": ("192.0.2.2", 80),
        "subprotocols": [],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }

    wire = AsgiWire(to_app, from_app)
    if watch is not None:
        watch(wire)
    asgi = app if isinstance(app, NetworkAsgi) else NetworkAsgi(app)

    async def run() -> None:
        async with to_test:
            with wire.scope:
                await asgi(scope, from_test.receive, to_test.send)  # type: ignore[arg-type]  # plain mappings

    await to_app.send({"type": "websocket.connect"})
    refused: UpgradeRefused | WireClosed | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        try:
            await wire.accepted()
            yield wire
        except (UpgradeRefused, WireClosed) as error:
            refused = error  # raised outside of the nursery, so that it comes without a group
        finally:
            with trio.move_on_after(1, shield=True):
                await wire.hang_up()
            nursery.cancel_scope.cancel(reason="the test is done with it")
    if refused is not None:
        raise refused
