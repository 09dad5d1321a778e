"""An OpenClaw gateway that does what a test says: protocol 4 as far as the bridge uses it, and every way to break it.

The real one, as a process, is in `openclaw_home`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import orjson
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

MAX_FRAME_BYTES = 26_214_400
METHODS = ("agent", "agent.wait", "chat.send", "chat.history", "chat.abort")


class Refuse(Exception):
    """An answer that is not ok."""

    def __init__(self, code: str, message: str = "no", **error: Any) -> None:
        super().__init__(code)
        self.error = {"code": code, "message": message, **error}


@attrs.frozen
class Asked:
    """One request, and the connection that it came over."""

    method: str
    params: Mapping[str, Any]
    connection: WebSocketConnection


Handler = Callable[[Asked], Awaitable[Mapping[str, Any]]]


@attrs.define(eq=False)
class EmulatedGateway:
    """`handlers` may be replaced at any time; a handler may wait, send raw text, or close the connection."""

    port: int = 0
    methods: Sequence[str] = METHODS
    tick_ms: int = 30_000
    greets: bool = True
    """Whether a new connection gets its challenge."""
    handlers: dict[str, Handler] = attrs.field(factory=dict)
    asked: list[Asked] = attrs.field(factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def params(self, method: str) -> list[Mapping[str, Any]]:
        """Of every request with this method, oldest first."""
        return [asked.params for asked in self.asked if asked.method == method]

    def order(self) -> list[str]:
        """The methods that were asked, without handshakes."""
        return [asked.method for asked in self.asked if asked.method != "connect"]

    async def serve(self, request: WebSocketRequest) -> None:
        connection = await request.accept()
        self.connections += 1
        try:
            if self.greets:
                challenge = {"nonce": "nonce-1", "ts": 1_795_149_792_624, "capabilities": []}
                await _send(connection, {"type": "event", "event": "connect.challenge", "payload": challenge})
            async with trio.open_nursery() as nursery:
                while True:
                    frame = orjson.loads(await connection.get_message())
                    nursery.start_soon(self._answer, frame["id"], Asked(frame["method"], frame["params"], connection))
        except* ConnectionClosed:
            pass

    async def _answer(self, request_id: str, asked: Asked) -> None:
        self.asked.append(asked)
        answer: dict[str, Any] = {"type": "res", "id": request_id, "ok": True}
        try:
            answer["payload"] = await self.handlers.get(asked.method, self.usual)(asked)
        except Refuse as refusal:
            answer |= {"ok": False, "error": refusal.error}
        await _send(asked.connection, answer)

    async def usual(self, asked: Asked) -> Mapping[str, Any]:
        match asked.method:
            case "connect":
                policy = {"maxPayload": MAX_FRAME_BYTES, "tickIntervalMs": self.tick_ms}
                return {"type": "hello-ok", "protocol": 4, "features": {"methods": self.methods}, "policy": policy}
            case "agent":
                return {"runId": asked.params["idempotencyKey"], "status": "accepted"}
            case "agent.wait":
                return {"runId": asked.params["runId"], "status": "ok"}
            case "chat.send":
                return {"runId": asked.params["idempotencyKey"], "status": "started"}
            case "chat.history":
                return {"messages": [], "sessionInfo": {}}
            case _:
                return {}


@asynccontextmanager
async def open_emulated_gateway() -> AsyncIterator[EmulatedGateway]:
    gateway = EmulatedGateway()
    async with trio.open_nursery() as nursery:
        serve = partial(
            serve_websocket,
            gateway.serve,
            "127.0.0.1",
            0,
            None,
            handler_nursery=nursery,
            max_message_size=MAX_FRAME_BYTES,
        )
        server = await nursery.start(serve)
        gateway.port = server.port
        yield gateway
        nursery.cancel_scope.cancel()


async def _send(connection: WebSocketConnection, frame: Mapping[str, Any]) -> None:
    await connection.send_message(orjson.dumps(frame).decode())
