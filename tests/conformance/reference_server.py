"""A server as the reference implementation has it, written from the description of its protocol and not from our code.

Its weaknesses are there too: a ring of 256 events in memory, readers whose buffer of 256 is full miss events without a
word, an ACK that it does not expect ends the session, and every end but a shutdown is a bare TCP close. What it says
about HTTP, and the sockets, are those of `tests.fakes.attach_server`.
"""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import orjson
import trio

from moltnet.protocol.codec import encode
from moltnet.protocol.events import Event
from tests.fakes.attach_server import AttachServer, Peer, open_attach_server
from tests.fakes.messages import gap

VERSION: Final = "moltnet.attach.v1"
RING_EVENTS: Final = 256
BUFFERED_EVENTS: Final = 256
TRACKED_EVENTS: Final = 1024
IDENTIFY_SECONDS: Final = 10.0
READ_SECONDS: Final = 10.0
PING_SECONDS: Final = 2.5


class Dropped(Exception):
    """The session ends with a bare close, after ERROR if there is a text."""


@attrs.define(eq=False)
class ReferenceServer:
    """One network, mode none, whose agents attach once. `server` answers what is not the attach protocol."""

    server: AttachServer
    repeats: bool = False
    """Whether the next replay comes live once more, as in the race between its replay and its subscription."""
    acked: list[str] = attrs.field(factory=list)
    unexpected_acks: list[str] = attrs.field(factory=list)
    errors: list[str] = attrs.field(factory=list)
    """What clients complained of."""
    cursors: list[str] = attrs.field(factory=list)
    """What each IDENTIFY resumed after."""
    ready: int = 0
    missed: int = 0
    """Events that were not put into a full buffer."""
    _ring: deque[Event] = attrs.field(factory=lambda: deque(maxlen=RING_EVENTS))
    _sessions: dict[str, "_Session"] = attrs.field(factory=dict)

    def publish(self, *events: Event) -> None:
        for event in events:
            self._ring.append(event)
            for session in self._sessions.values():
                try:
                    session.queue.send_nowait(event)
                except trio.WouldBlock:
                    self.missed += 1
        self.server.note_change()

    def forget(self) -> None:
        """What a restart leaves of the ring."""
        self._ring.clear()

    async def hang_up(self, code: int | None) -> None:
        """End all sessions: with a close frame, as at its shutdown, or by a bare close."""
        for session in list(self._sessions.values()):
            if code is not None:
                # It says goodbye and does not stay for the answer.
                with trio.move_on_after(0.1):
                    await session.peer.close(code)
            await session.peer.drop()

    def note_half_open(self, agent_id: str) -> None:
        """As if a connection of this agent had been cut without the server having noticed."""
        self._sessions[agent_id] = _Session(self, next(iter(self._sessions.values())).peer, agent_id)

    def notice(self, agent_id: str) -> None:
        del self._sessions[agent_id]

    async def wait_acked(self, *events: Event) -> None:
        with trio.fail_after(30):
            await self.server.wait_until(lambda _: {event.id for event in events} <= set(self.acked))

    async def wait_ready(self, times: int) -> None:
        with trio.fail_after(30):
            await self.server.wait_until(lambda _: self.ready >= times)

    def replay(self, cursor: str) -> list[Event]:
        if not cursor or not self._ring:
            return []
        ids = [str(event.id) for event in self._ring]
        if cursor in ids:
            return list(self._ring)[ids.index(cursor) + 1 :]
        return [*([] if cursor.startswith("evt_gap_") else [gap(cursor)]), *self._ring]

    async def talk(self, peer: Peer) -> None:
        """One connection, as a script of the server."""
        peer.websocket = await peer.request.accept()
        session = _Session(self, peer)
        try:
            await session.run()
        except* Dropped as dropped:
            if text := str(dropped.exceptions[0]):
                await session.say("ERROR", error=text)
            await peer.drop()
        finally:
            if self._sessions.get(session.agent_id) is session:
                del self._sessions[session.agent_id]
            self.server.note_change()

    def seat(self, session: "_Session") -> None:
        if session.agent_id in self._sessions:
            raise Dropped(
                f'agent "{session.agent_id}" already has an active attachment; attach with an actor credential to '
                "reconnect"
            )
        self._sessions[session.agent_id] = session


@attrs.define(eq=False)
class _Session:
    owner: ReferenceServer
    peer: Peer
    agent_id: str = ""
    queue: trio.MemorySendChannel[Event] = attrs.field(init=False)
    _events: trio.MemoryReceiveChannel[Event] = attrs.field(init=False)
    _pending: dict[str, None] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.queue, self._events = trio.open_memory_channel[Event](BUFFERED_EVENTS)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:  # whatever happens, it is a group
            await self.say("HELLO", heartbeat_interval_ms=5000)
            with trio.move_on_after(IDENTIFY_SECONDS) as waiting:
                identify = await self._read()
            if waiting.cancelled_caught:
                raise Dropped
            cursor = self._identified(identify)
            self.owner.seat(self)
            await self.say(
                "READY",
                network_id="net",
                agent_id=self.agent_id,
                actor_uid=f"actor_{self.agent_id}",
                actor_uri=f"molt://net/agents/{self.agent_id}",
            )
            self.owner.ready += 1
            self.owner.server.note_change()
            replayed = self.owner.replay(cursor)
            if self.owner.repeats:
                self.owner.repeats = False
                for event in replayed:
                    self.queue.send_nowait(event)
            nursery.start_soon(self._listen)
            nursery.start_soon(self._ping)
            for event in replayed:
                await self._deliver(event)
            async for event in self._events:
                await self._deliver(event)

    def _identified(self, frame: dict[str, Any]) -> str:
        if frame["op"] != "IDENTIFY":
            raise Dropped("expected IDENTIFY frame")
        if frame.get("version") != VERSION:
            raise Dropped("attachment IDENTIFY version is required")
        if frame.get("network_id") != "net":
            raise Dropped(f'attachment network_id "{frame.get("network_id")}" does not match "net"')
        self.agent_id = frame["agent"]["id"]
        cursor: str = frame.get("cursor", "")
        self.owner.cursors.append(cursor)
        return cursor

    async def _listen(self) -> None:
        while True:
            with trio.move_on_after(READ_SECONDS) as waiting:
                frame = await self._read()
            if waiting.cancelled_caught:
                raise Dropped
            match frame["op"]:
                case "ACK":
                    self._settle(frame["cursor"])
                case "PONG":
                    pass
                case "PING":
                    await self.say("PONG")
                case "ERROR":
                    self.owner.errors.append(frame.get("error", ""))
                    raise Dropped
                case op:
                    raise Dropped(f'unexpected frame op "{op}"')

    def _settle(self, cursor: str) -> None:
        if cursor not in self._pending:
            self.owner.unexpected_acks.append(cursor)
            raise Dropped("unexpected ACK cursor")
        del self._pending[cursor]
        self.owner.acked.append(cursor)
        self.owner.server.note_change()

    async def _ping(self) -> None:
        while True:
            await trio.sleep(PING_SECONDS)
            await self.say("PING")

    async def _deliver(self, event: Event) -> None:
        self._pending[event.id] = None
        if len(self._pending) > TRACKED_EVENTS:
            del self._pending[next(iter(self._pending))]
        await self.say("EVENT", network_id="net", cursor=event.id, event=orjson.loads(encode(event)))

    async def _read(self) -> dict[str, Any]:
        assert self.peer.websocket is not None
        frame: dict[str, Any] = orjson.loads(await self.peer.websocket.get_message())
        if frame["op"] not in ("ACK", "PONG") and frame.get("version") != VERSION:
            raise Dropped(f"attachment {frame['op']} version is required")
        return frame

    async def say(self, op: str, **fields: object) -> None:
        frame = {"op": op, "version": VERSION, "capabilities": {}, **fields}
        await self.peer.send(orjson.dumps(frame).decode() + "\n")


@asynccontextmanager
async def open_reference_server() -> AsyncIterator[ReferenceServer]:
    """On a port of loopback."""
    async with open_attach_server() as server:
        reference = ReferenceServer(server)
        server.usual = reference.talk
        yield reference
