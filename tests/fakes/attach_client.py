"""Attachments as a test sees them: an agent's side of the wire, in memory or over a real WebSocket.

`open_wire` runs the server's side of one attachment without a socket, so tests may set the clock; `open_websocket_wire`
connects to a real server. `attach` says HELLO and IDENTIFY on either. The client is driven by the protocol's own
`ClientSession`; frames that it would never send go straight onto the wire.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Final

import attrs
import orjson
import trio
import trio_websocket

from moltnet.app import App
from moltnet.attach.link import CloseCode, Link, LinkClosed, OneAtATime
from moltnet.auth.claims import UNCHECKED, Claims
from moltnet.fanout.frames import Sendable
from moltnet.lane.websocket import WireLink
from moltnet.protocol.attachment import Attached, ClientSession, Delivered, HelloReceived, PeerError, Reply
from moltnet.protocol.events import Event
from moltnet.protocol.frames import FrameCapabilities, Ready
from moltnet.protocol.network import ATTACH_PROTOCOL
from tests.fakes.credentials import admit
from tests.fakes.http_client import bearer
from tests.fakes.lane_pipe import FramedWire, Pipe
from tests.fakes.network import NETWORK
from tests.fakes.wires import MemoryWire as MemoryWire
from tests.fakes.wires import Wire as Wire
from tests.fakes.wires import WireClosed as WireClosed

WIRE_FRAMES: Final = 4096
"""Frames that a wire in memory holds, unless the test is about a peer that does not read."""
FRAME_BYTES: Final = 512
"""What one of them takes as bytes, more or less."""

over_lane: ContextVar[bool] = ContextVar("over_lane", default=False)
"""Whether `open_wire` goes through the fast lane's frames. Set by the fixture `either_transport`."""


class ServerSaid(AssertionError):
    """The server has sent ERROR."""


@attrs.define(eq=False)
class MemoryLink:
    """The server's end of a wire in memory."""

    _incoming: trio.MemoryReceiveChannel[str | bytes | LinkClosed]
    _outgoing: trio.MemorySendChannel[str | WireClosed]
    _unsent: deque[str] = attrs.field(factory=deque, init=False)
    _writing: OneAtATime = attrs.field(factory=OneAtATime, init=False)

    def push(self, what: Sendable) -> bool:
        self._unsent.extend(what.texts)
        try:
            while self._unsent and not self._writing.is_busy:
                self._outgoing.send_nowait(self._unsent[0])
                self._unsent.popleft()
        except trio.WouldBlock:
            pass
        except trio.BrokenResourceError:
            self._unsent.clear()
        return not self._unsent

    async def flush(self) -> None:
        await self._writing.until(lambda: not self._unsent, self._write)

    async def send(self, text: str) -> None:
        self._unsent.append(text)
        await self.flush()

    async def _write(self) -> None:
        try:
            while self._unsent:
                await self._outgoing.send(self._unsent[0])
                self._unsent.popleft()
        except trio.BrokenResourceError:
            self._unsent.clear()
            await trio.lowlevel.checkpoint()

    async def receive(self) -> str | bytes:
        message = await self._incoming.receive()
        if isinstance(message, LinkClosed):
            raise message
        return message

    async def close(self, code: CloseCode, reason: str) -> None:
        try:
            await self._outgoing.send(WireClosed(code, reason))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await trio.lowlevel.checkpoint()
        self._outgoing.close()


@attrs.define(eq=False)
class ChannelWire:
    """The agent's end of a `MemoryLink`."""

    _outgoing: trio.MemorySendChannel[str | bytes | LinkClosed]
    _incoming: trio.MemoryReceiveChannel[str | WireClosed]
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    ended: trio.Event = attrs.field(factory=trio.Event)
    _hung_up: bool = attrs.field(default=False, init=False)

    async def send(self, message: str | bytes) -> None:
        await self._outgoing.send(message)

    async def receive(self) -> str:
        try:
            message = await self._incoming.receive()
        except trio.EndOfChannel:
            raise WireClosed(1006, "") from None
        if isinstance(message, WireClosed):
            raise message
        return message

    async def hang_up(self, code: int = 1000) -> None:
        self.hang_up_nowait(code)
        await self.ended.wait()

    def hang_up_nowait(self, code: int = 1006) -> None:
        """Once; later calls do nothing."""
        if not self._hung_up:
            self._hung_up = True
            self._outgoing.send_nowait(LinkClosed(code))
            self._incoming.close()


def _channel(frames: int) -> tuple[MemoryWire, Link, Callable[[], None]]:
    to_server, from_agent = trio.open_memory_channel[str | bytes | LinkClosed](WIRE_FRAMES)
    to_agent, from_server = trio.open_memory_channel[str | WireClosed](frames)
    return ChannelWire(to_server, from_server), MemoryLink(from_agent, to_agent), to_agent.close


def _pipe(frames: int) -> tuple[MemoryWire, Link, Callable[[], None]]:
    pipe = Pipe(frames * FRAME_BYTES)
    link = WireLink(pipe)  # type: ignore[arg-type]  # it looks like one
    return FramedWire(pipe), link, pipe.end


@asynccontextmanager
async def open_wire(app: App, claims: Claims = UNCHECKED, *, frames: int = WIRE_FRAMES) -> AsyncIterator[MemoryWire]:
    """An accepted attachment whose credential has been checked. Leaving the block hangs up and waits for the server.

    `frames` is how many frames of the server a peer holds that does not read them.
    """
    admit(app, claims)
    wire, link, end = _pipe(frames) if over_lane.get() else _channel(frames)

    async def serve() -> None:
        try:
            with wire.scope:
                await app.gateway.serve(link, claims)
        finally:
            end()
            wire.ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        try:
            yield wire
        finally:
            wire.hang_up_nowait()


@attrs.define(eq=False)
class WebSocketWire:
    """The agent's end of a real WebSocket."""

    connection: trio_websocket.WebSocketConnection

    async def send(self, message: str | bytes) -> None:
        await self.connection.send_message(message)

    async def receive(self) -> str:
        try:
            message = await self.connection.get_message()
        except trio_websocket.ConnectionClosed as closed:
            reason = closed.reason
            raise WireClosed(1006 if reason is None else reason.code, (reason and reason.reason) or "") from None
        assert isinstance(message, str)
        return message

    async def hang_up(self, code: int = 1000) -> None:
        if code == 1006:
            await trio.aclose_forcefully(self.connection._stream)  # there is no public way to be this rude
        else:
            await self.connection.aclose(code)


@asynccontextmanager
async def open_websocket_wire(
    url: str, token_id: str = "", *, headers: Mapping[str, str] | None = None
) -> AsyncIterator[WebSocketWire]:
    """A WebSocket to a server's base URL. Raises `trio_websocket.ConnectionRejected`."""
    fields = {**(bearer(token_id) if token_id else {}), **(headers or {})}
    async with trio.open_nursery() as nursery:
        connection = await trio_websocket.connect_websocket_url(
            nursery,
            f"ws{url.removeprefix('http')}/v1/attach",
            extra_headers=[(name.encode(), value.encode()) for name, value in fields.items()],
        )
        try:
            yield WebSocketWire(connection)
        finally:
            with trio.move_on_after(5, shield=True):
                await connection.aclose()
            # What the library leaves open if it is cancelled while it says goodbye. Shielded, as nothing else may be
            # awaited here: a cancellation would take the place of the exception that the test is about to see.
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(connection._stream)
            nursery.cancel_scope.cancel(reason="the test is done with it")


@attrs.define(eq=False)
class AttachClient:
    """An attached agent. PINGs are answered while it waits for something, and at no other time."""

    wire: Wire
    session: ClientSession
    ready: Ready = attrs.field(init=False)
    _delivered: deque[Delivered] = attrs.field(init=False, factory=deque)

    async def next(self) -> Delivered:
        """The next event. Raises `WireClosed`, and `AssertionError` with the text if the server says ERROR."""
        while not self._delivered:
            await self._step()
        return self._delivered.popleft()

    async def next_of(self, event_type: str) -> Delivered:
        """The next event of a type; others are passed over without an ACK."""
        while (delivered := await self.next()).event.type != event_type:
            pass
        return delivered

    async def next_texts(self, count: int, *, ack: bool = True) -> list[str]:
        """The texts of the next messages; other events are passed over."""
        texts: list[str] = []
        while len(texts) < count:
            delivered = await self.next()
            if delivered.event.message is not None:
                texts.append(delivered.event.message.parts[0].text)
            if ack:
                await self.ack(delivered)
        return texts

    async def quiet_events(self, seconds: float = 1.0) -> list[Event]:
        """Everything that is delivered within a time; under the tests' clock it passes at once."""
        events = []
        with trio.move_on_after(seconds):
            while True:
                events.append((await self.next()).event)
        return events

    async def ack(self, delivered: Delivered) -> None:
        await self.wire.send(self.session.ack(delivered.cursor))

    async def wait_closed(self) -> WireClosed:
        """How the server closed; what it still sent is dropped."""
        try:
            while True:
                await self.wire.receive()
        except WireClosed as closed:
            return closed

    async def _step(self) -> None:
        text = await self.wire.receive()
        for received in self.session.receive_text(text, trio.current_time()):
            match received:
                case Delivered():
                    self._delivered.append(received)
                case Reply(text=reply):
                    await self.wire.send(reply)
                case HelloReceived():
                    await self.wire.send(self.session.identify())
                case Attached(ready=ready):
                    self.ready = ready
                case PeerError(text=error):
                    raise ServerSaid(f"the server said: {error}")


async def attach(
    wire: Wire, agent_id: str, *, name: str = "", cursor: str = "", network: str = NETWORK
) -> AttachClient:
    """Attach an agent: returns once READY has come."""
    session = ClientSession(
        network, agent_id, name, cursor=cursor, capabilities=FrameCapabilities(), now=trio.current_time()
    )
    client = AttachClient(wire, session)
    while not hasattr(client, "ready"):
        await client._step()
    return client


def frame(op: str, **fields: Any) -> str:
    """A frame as any client might send it."""
    return orjson.dumps({"op": op, "version": ATTACH_PROTOCOL, **fields}).decode()


def identify_frame(agent_id: str = "alpha", *, network: str = NETWORK, **fields: Any) -> str:
    return frame("IDENTIFY", network_id=network, agent={"type": "agent", "id": agent_id}, **fields)


async def read_until_closed(wire: Wire) -> tuple[list[dict[str, Any]], WireClosed]:
    """All frames that the server still sends, and how it closes."""
    frames = []
    while True:
        try:
            frames.append(orjson.loads(await wire.receive()))
        except WireClosed as closed:
            return frames, closed
