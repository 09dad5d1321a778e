"""An emulation of PicoClaw's gateway (v0.2.9), from the facts about its channel `pico`: a WebSocket per client.

Answers go to the connections that are open for the session, and are lost when there are none. A message during a turn
is steered into it. No frame says that a turn is over.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import orjson
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

TOKEN = "pico-token-1"


@attrs.define(eq=False)
class Session:
    """What a turn can do: `say` frames to the clients of its session."""

    id: str
    _connections: set[WebSocketConnection] = attrs.field(factory=set)
    lost: int = 0
    """Frames that nobody was there to hear."""

    async def say(self, kind: str, /, **payload: Any) -> None:
        frame = {"type": kind, "id": f"srv-{kind}", "session_id": self.id, "timestamp": 1, "payload": payload}
        if not self._connections:
            self.lost += 1
        for connection in tuple(self._connections):
            try:
                await connection.send_message(orjson.dumps(frame).decode())
            except ConnectionClosed:
                self._connections.discard(connection)


Model = Callable[[Session, str], Awaitable[None]]


async def answer_once(session: Session, _content: str) -> None:
    """A usual turn: types, thinks, calls a tool, answers, stops."""
    await session.say("typing.start")
    await session.say("message.create", message_id="m1", content="hm", kind="thought", thought=True)
    await session.say("message.create", message_id="m2", content="send_message(...)", kind="tool_calls")
    await session.say("message.create", message_id="m3", content="…", placeholder=True)
    await session.say("message.update", message_id="m3", content="done")
    await session.say("typing.stop")


@attrs.define(eq=False)
class FakePicoClaw:
    """`model` is one turn. `messages` are the session and the content of each, `frames` what came, as it was."""

    url: str = ""
    model: Model = answer_once
    max_connections: int = 100
    close_when_full: bool = False
    allow_token_query: bool = False
    messages: list[tuple[str, str]] = attrs.field(factory=list)
    frames: list[dict[str, Any]] = attrs.field(factory=list)
    targets: list[str] = attrs.field(factory=list)
    connections: int = 0
    sessions: dict[str, Session] = attrs.field(factory=dict)
    _running: set[str] = attrs.field(factory=set)
    _changed: trio.Event = attrs.field(factory=trio.Event)

    async def wait_until(self, condition: Callable[["FakePicoClaw"], bool]) -> None:
        while not condition(self):
            await self._changed.wait()

    async def serve(self, request: WebSocketRequest) -> None:
        self.targets.append(request.path)
        url = urlsplit(request.path)
        if url.path != "/pico/ws":
            return await request.reject(404, body=b"404 page not found")
        if not self._is_authorized(request, url.query):
            return await request.reject(401, body=b"unauthorized")
        if self.connections >= self.max_connections and not self.close_when_full:
            return await request.reject(503, body=b"too many connections")
        connection = await request.accept()
        if self.connections >= self.max_connections:
            return await connection.aclose(1008, "too many connections")
        await self._listen(connection, parse_qs(url.query).get("session_id", ["random"])[0])

    def _is_authorized(self, request: WebSocketRequest, query: str) -> bool:
        headers = {name.lower(): value for name, value in request.headers}
        offered = [headers.get(b"authorization", b"").decode().removeprefix("Bearer ")]
        offered += [protocol.removeprefix("token.") for protocol in request.proposed_subprotocols]
        if self.allow_token_query:
            offered += parse_qs(query).get("token", [])
        return TOKEN in offered

    async def _listen(self, connection: WebSocketConnection, session_id: str) -> None:
        session = self.sessions.setdefault(session_id, Session(session_id))
        session._connections.add(connection)
        self.connections += 1
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    await self._take(session, orjson.loads(await connection.get_message()), nursery)
        except* ConnectionClosed:
            pass
        finally:
            self.connections -= 1
            session._connections.discard(connection)
            self._note_change()

    async def _take(self, session: Session, frame: dict[str, Any], nursery: trio.Nursery) -> None:
        self.frames.append(frame)
        content = str(frame.get("payload", {}).get("content", ""))
        match frame["type"]:
            case "ping":
                await session.say("pong")
            case "message.send" if not content.strip():
                await session.say("error", code="empty_content", message="message content is empty")
            case "message.send":
                self.messages.append((frame.get("session_id") or session.id, content))
                if session.id not in self._running:  # else it is steered in
                    nursery.start_soon(self._run, session, content)
            case kind:
                await session.say("error", code="unknown_type", message=f"unknown message type: {kind}")
        self._note_change()

    async def _run(self, session: Session, content: str) -> None:
        self._running.add(session.id)
        try:
            await self.model(session, content)
        finally:
            self._running.discard(session.id)

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def open_fake_picoclaw() -> AsyncIterator[FakePicoClaw]:
    """PicoClaw's gateway on a free port of 127.0.0.1."""
    fake = FakePicoClaw()
    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve_websocket, fake.serve, "127.0.0.1", 0, ssl_context=None))
        fake.url = f"ws://127.0.0.1:{server.port}/pico/ws"
        yield fake
        nursery.cancel_scope.cancel(reason="the test is over")
