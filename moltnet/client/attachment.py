"""One attachment while it is connected: the sans-IO client session over a WebSocket, as deliveries and ACKs.

    async with open_attachment(server, token, as_whom, environ) as attachment:
        async for delivery in attachment:
            ...
            await attachment.ack(delivery.cursor)

The reader answers PING on its own, so the work between the two may take as long as it likes. What an event means, and
when to attach again, is decided above: by ``wakes``, or by a bridge.
"""

import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

import attrs
import trio

from moltnet.client.address import ServerAddress
from moltnet.client.errors import AttachRefused, ConnectionLost, one_line, single_error
from moltnet.client.websocket import PASSING_CODES, POLICY, WebSocket, WebSocketClosed, open_websocket
from moltnet.protocol.agents import About
from moltnet.protocol.attachment import (
    Attached,
    ClientInput,
    ClientSession,
    Delivered,
    HelloReceived,
    PeerError,
    Reply,
    Unreadable,
)
from moltnet.protocol.errors import ProtocolViolation
from moltnet.protocol.frames import FrameCapabilities, Ready
from moltnet.protocol.limits import CLOSE_SECONDS, DELIVERY_WINDOW_EVENTS, MAX_CLIENT_UNACKED_EVENTS

EVERYTHING: Final = FrameCapabilities(rooms=True, threads=True, dms=True, artifacts=True)


@attrs.frozen
class Attacher:
    """Who attaches to which network, and from where on: after the event ``cursor``, or live without one."""

    network_id: str
    agent_id: str
    agent_name: str = ""
    cursor: str = ""
    capabilities: FrameCapabilities = EVERYTHING
    about: About = attrs.field(default=About())


@attrs.define(eq=False)
class Attachment:
    """A connection past READY. Iterate over it for the deliveries, in the server's order.

    Made by ``open_attachment``. One task iterates; any task may ``ack``.
    """

    ready: Ready
    _websocket: WebSocket
    _session: ClientSession
    _arrived: trio.MemorySendChannel[Delivered | Unreadable]
    _deliveries: trio.MemoryReceiveChannel[Delivered | Unreadable]
    _owed: set[str] = attrs.field(factory=set, init=False)
    """Delivered here and not settled. A server may end a session that ACKs anything else."""
    _settled: dict[str, None] = attrs.field(factory=dict, init=False)
    """The newest that were settled here. A reference server may deliver an event twice: as replayed, and as new."""
    _loss: str | None = attrs.field(default=None, init=False)

    def __aiter__(self) -> "Attachment":
        return self

    async def __anext__(self) -> Delivered | Unreadable:
        """The next delivery; the end after ``leave``. Raises ``ConnectionLost`` when what had arrived is consumed."""
        try:
            delivery = await self._deliveries.receive()
        except trio.EndOfChannel:
            if self._loss is not None:
                raise ConnectionLost(self._loss) from None
            raise StopAsyncIteration from None
        self._owed.add(delivery.cursor)
        return delivery

    async def ack(self, cursor: str) -> None:
        """Settle one delivery. What this connection has not delivered, or has settled, is left alone.

        Raises:
            ConnectionLost: it did not reach the server, which will deliver the event again.
        """
        if cursor not in self._owed:
            return
        if self._loss is not None:
            raise ConnectionLost(self._loss)
        self._owed.remove(cursor)
        self._settled[cursor] = None
        if len(self._settled) > MAX_CLIENT_UNACKED_EVENTS:
            del self._settled[next(iter(self._settled))]
        try:
            await self._websocket.send(self._session.ack(cursor))
        except ConnectionLost as lost:
            self._lose(lost.reason)
            raise
        except BaseException:
            self._lose("a write was cut off")
            raise

    def leave(self) -> None:
        """End the iteration; the block around can then say goodbye."""
        self._arrived.close()

    async def _read(self) -> None:
        """Frames → session → what they mean. Ends with the connection, whose loss goes to the iteration."""
        try:
            while True:
                for item in await _receive(self._websocket, self._session):
                    match item:
                        case Reply(text):
                            await self._websocket.send(text)
                        case Delivered(cursor) | Unreadable(cursor) if cursor in self._settled:
                            await self._websocket.send(self._session.ack(cursor))
                        case Delivered() | Unreadable():
                            await self._arrived.send(item)
                        case PeerError(text):
                            raise ConnectionLost(f"the server ended the attachment: {one_line(text)}")
                        case HelloReceived() | Attached():  # pragma: no cover - the session refuses both by now
                            raise AssertionError(item)
        except ConnectionLost as lost:
            self._lose(lost.reason)
        except ProtocolViolation as violation:
            # Nothing can be settled any more; the iteration ends, and the connection with it, once the server was told.
            self._loss = f"the server broke the protocol: {one_line(violation.answer)}"
            await _protest(self._websocket, self._session, violation)
            self._arrived.close()
        except trio.ClosedResourceError:
            pass  # left while an event was handed over

    def _lose(self, reason: str) -> None:
        if self._loss is None:
            self._loss = reason
        self._arrived.close()


async def no_keeper(_token: str) -> None:
    """For who has claimed its id before: a token that the server makes now is one that nobody asked for."""
    raise AttachRefused("the server made a token for the agent, and nobody keeps it; claim the id before it attaches")


@asynccontextmanager
async def open_attachment(
    server: ServerAddress,
    token: str | None,
    attacher: Attacher,
    environ: Mapping[str, str] | None = None,
    *,
    keep_token: Callable[[str], Awaitable[None]] = no_keeper,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Attachment]:
    """Attach an agent. Leaving the block closes the connection; the server keeps what was not ACKed.

    A token that the server mints for a first claim comes once: ``keep_token`` has returned before the block is entered.
    ``environ`` gives the proxy variables, the process's own unless given.

    Raises:
        ConnectionLost: the connection could not be made or ended. Every close of the server counts, clean ones too.
        AttachRefused: the server will not have this agent, or is not the one that is meant.
    """
    session = ClientSession(
        attacher.network_id,
        attacher.agent_id,
        attacher.agent_name,
        cursor=attacher.cursor,
        capabilities=attacher.capabilities,
        about=attacher.about,
        now=trio.current_time(),
    )
    async with open_websocket(server, token, os.environ if environ is None else environ, tls=tls) as websocket:
        ready = await _introduce(websocket, session)
        if ready.agent_token:
            await keep_token(ready.agent_token)
        # As many as a server of ours sends before the first ACK, so that reading goes on, and PING is answered.
        channel = trio.open_memory_channel[Delivered | Unreadable](DELIVERY_WINDOW_EVENTS)
        attachment = Attachment(ready, websocket, session, *channel)
        with single_error():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(attachment._read)
                yield attachment
                nursery.cancel_scope.cancel(reason="the attachment is left")


async def _introduce(websocket: WebSocket, session: ClientSession) -> Ready:
    """HELLO, IDENTIFY, READY. Within the session's deadlines."""
    try:
        while True:
            for item in await _receive(websocket, session):
                match item:
                    case HelloReceived():
                        await websocket.send(session.identify())
                    case Attached(ready):
                        return ready
                    case Reply(text):
                        await websocket.send(text)
                    case PeerError(text):
                        raise await _refusal(websocket, one_line(text))
                    case Delivered() | Unreadable():  # pragma: no cover - the session refuses events before READY
                        raise AssertionError(item)
    except ProtocolViolation as violation:
        await _protest(websocket, session, violation)
        raise AttachRefused(f"the server broke the protocol: {one_line(violation.answer)}") from violation
    except WebSocketClosed as closed:
        if closed.code == POLICY:
            raise AttachRefused(f"refused: {one_line(closed.text)}") from closed
        raise


async def _receive(websocket: WebSocket, session: ClientSession) -> tuple[ClientInput, ...]:
    """What the next message of the server means."""
    with trio.CancelScope(deadline=session.read_deadline) as waiting:
        message = await websocket.receive()
    if waiting.cancelled_caught:
        raise ConnectionLost("the server was silent for too long")
    return session.receive_text(message, trio.current_time())


async def _refusal(websocket: WebSocket, text: str) -> ConnectionLost | AttachRefused:
    """What an ERROR before READY means. The close code that follows tells; the reference sends none."""
    code = None
    with trio.move_on_after(CLOSE_SECONDS):
        try:
            while True:
                await websocket.receive()
        except WebSocketClosed as closed:
            code = closed.code
    if code in PASSING_CODES:
        return ConnectionLost(f"not now: {text}")
    return AttachRefused(f"refused: {text}", certain=code == POLICY)


async def _protest(websocket: WebSocket, session: ClientSession, violation: ProtocolViolation) -> None:
    """Tell the peer what it did wrong, if it still listens, and close accordingly."""
    websocket.close_code = violation.close_code
    with trio.move_on_after(CLOSE_SECONDS):
        with suppress(ConnectionLost):
            await websocket.send(session.error(violation.answer))
