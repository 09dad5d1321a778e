"""Who uses a network in a simulation: senders, attachments, event streams, people who read back, an operator.

They use the product's client and know nothing of how a server works. What they are told goes to the judge.
"""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import attrs
import trio

from moltnet.client.address import parse_server_address
from moltnet.client.api import MoltnetClient, open_client
from moltnet.client.attachment import EVERYTHING
from moltnet.client.errors import (
    AttachRefused,
    ClientError,
    ConnectionLost,
    ServerAnswered,
    ServerUnreachable,
)
from moltnet.client.websocket import WebSocket, open_websocket
from moltnet.log import describe_error, leaves_of
from moltnet.protocol.attachment import Attached, ClientSession, Delivered, HelloReceived, PeerError, Reply
from moltnet.protocol.ids import DirectId, MessageId, RoomId, ThreadId
from moltnet.protocol.messages import AGENT, Actor, Message, Part, PartKind, SendMessageRequest, Target, TargetKind
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.rooms import UpdateRoomMembersRequest
from tests.fakes.network import secret_of
from tests.simulation.hosts import ServerHost
from tests.simulation.judge import Judge, Session
from tests.simulation.truth import Reader, Truth
from tests.simulation.wires import host_name

# A caller gives up after so long; the servers are never away for half of it.
PATIENCE_SECONDS: Final = 120.0
RETRY_SECONDS: Final = 0.5


@attrs.define(eq=False)
class Caller:
    """Somebody with a token, somewhere outside of the server."""

    name: str
    host: ServerHost
    truth: Truth
    judge: Judge
    rng: random.Random
    agent_id: str = ""
    quiet: trio.Event = attrs.field(factory=trio.Event)
    """Set when nothing new is begun any more."""

    @property
    def token(self) -> str:
        return secret_of(self.name)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[MoltnetClient]:
        host_name.set(f"{self.name}.sim")
        async with open_client(self.host.url, self.token, environ={}) as client:
            yield client

    async def run(self) -> None:
        """Do what this kind of caller does, until it is quiet or done."""
        raise NotImplementedError

    async def pause(self, longest_seconds: float) -> bool:
        """Wait for a while; whether to go on."""
        with trio.move_on_after(self.rng.uniform(0, longest_seconds)):
            await self.quiet.wait()
        return not self.quiet.is_set()


@attrs.define(eq=False)
class Sender(Caller):
    """Sends as one agent, repeats itself now and then, and tries what it may not."""

    targets: Sequence[Target] = ()
    forbidden: Sequence[Target] = ()
    mentions: Sequence[str] = ()
    pause_seconds: float = 2.0
    sent: list[SendMessageRequest] = attrs.field(factory=list)
    accepted: list[str] = attrs.field(factory=list)
    _number: int = 0

    async def run(self) -> None:
        async with self.client() as client:
            while await self.pause(self.pause_seconds):
                kind = self.rng.random()
                if kind < 0.1 and self.sent:
                    await self._send(client, self.rng.choice(self.sent))
                elif kind < 0.15 and self.accepted:
                    await self._contradict(client)
                elif kind < 0.25 and self.forbidden:
                    await self._intrude(client)
                else:
                    await self._send(client, self._new(self.rng.choice(self.targets)))

    def _new(self, target: Target, *, keep: bool = True) -> SendMessageRequest:
        self._number += 1
        mentions = tuple(each for each in self.mentions if self.rng.random() < 0.5)
        # Now and then one that is far larger than what a connection holds.
        filler = "x" * self.rng.choice((0, 0, 0, 100, 2_000, 40_000 if self.rng.random() < 0.2 else 10))
        request = SendMessageRequest(
            id=f"{self.truth.network_id}.{self.name}.{self._number}",
            target=target,
            sender=Actor(type=AGENT, id=self.agent_id),
            parts=(Part(kind=PartKind.TEXT, text=f"{self.name} {self._number} {filler}"),),
            mentions=mentions,
        )
        if keep:
            self.sent.append(request)
        return request

    async def _send(self, client: MoltnetClient, request: SendMessageRequest) -> None:
        self.judge.trace.note("sends", self.name, request.id, target_name(request.target))
        try:
            with trio.fail_after(PATIENCE_SECONDS):
                answer = await client.send(request)
        except (ClientError, trio.TooSlowError) as error:
            # It was allowed all the time, so only a server that is not well may say no.
            permanent = isinstance(error, ServerAnswered) and error.status < 500
            self.judge.demand(not permanent, 5, f"{self.name} may send {request.id} and was told: {error}")
            self.judge.trace.note("not sent", self.name, request.id, error)
            return
        self.judge.trace.note("accepted", self.name, request.id)
        self.judge.accepted(self.truth, answer.message_id, answer.event_id)
        self.accepted.append(request.id)

    async def _contradict(self, client: MoltnetClient) -> None:
        """The id of an accepted message with other content must be refused."""
        request = next(each for each in self.sent if each.id == self.accepted[-1])
        changed = attrs.evolve(request, parts=(Part(kind=PartKind.TEXT, text="something else"),))
        try:
            with trio.fail_after(PATIENCE_SECONDS):
                await client.send(changed)
        except ServerAnswered as error:
            if error.status < 500:
                self.judge.demand(error.status == 409, 1, f"other content under {request.id} was answered {error}")
        except (ClientError, trio.TooSlowError):
            pass
        else:
            self.judge.demand(False, 1, f"other content under {request.id} was accepted")

    async def _intrude(self, client: MoltnetClient) -> None:
        """Write where the agent is no member, and read there."""
        target = self.rng.choice(self.forbidden)
        began = self.truth.steps.next()
        reader = Reader(self.name, frozenset({self.agent_id}))
        try:
            with trio.fail_after(PATIENCE_SECONDS):
                if self.rng.random() < 0.5:
                    what = "wrote to"
                    await client.send(self._new(target, keep=False))
                else:
                    what = "read"
                    await client.messages(target)
        except (ClientError, trio.TooSlowError):
            return
        allowed = any(self.truth.allows(reader, state) for state in self.truth.states_since(target.room_id, began))
        self.judge.demand(allowed, 5, f"{self.name} {what} {target.room_id}, whose member it is not")


@attrs.define(eq=False)
class AttachedAgent(Caller):
    """An agent that is attached, reads at its own pace, ACKs when it likes, and comes back with what it has ACKed."""

    window: int = 256
    cursor: str = ""
    sessions: int = 0
    session: Session | None = None
    done: trio.Event = attrs.field(factory=trio.Event)
    slowness_seconds: float = 0.0

    async def run(self) -> None:
        host_name.set(f"{self.name}.sim")
        while not self.done.is_set():
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._end_when_done, scope)
                    await self._attach_once()
                    nursery.cancel_scope.cancel()
            if not self.done.is_set():
                await trio.sleep(self.rng.uniform(0, 2 * RETRY_SECONDS))

    async def _end_when_done(self, scope: trio.CancelScope) -> None:
        await self.done.wait()
        scope.cancel(reason="the simulation ends")

    async def _attach_once(self) -> None:
        self.sessions += 1
        reader = Reader(self.name, frozenset({self.agent_id}))
        self.session = Session(self.truth, reader, self.truth.seq_of.get(self.cursor, -1))
        try:
            async with open_websocket(parse_server_address(self.host.url), self.token, {}) as websocket:
                await self._talk(websocket, self.session)
        except* ConnectionLost as group:  # its reader and its writer may find the same connection lost
            reasons = sorted({str(leaf) for leaf in leaves_of(group)})
            self.judge.trace.note("detached", self.name, "; ".join(reasons))
        except* AttachRefused as group:
            self.judge.break_off(f"guarantee 5: {self.name} may attach and was refused: {describe_error(group)}")

    async def _talk(self, websocket: WebSocket, seen: Session) -> None:
        # The session by hand, without the client that forgives what comes twice.
        session = ClientSession(
            self.truth.network_id,
            self.agent_id,
            "",
            cursor=self.cursor,
            capabilities=EVERYTHING,
            now=trio.current_time(),
        )
        unacked: list[str] = []
        async with trio.open_nursery() as nursery:
            wake = trio.Event()

            async def acknowledge() -> None:
                nonlocal wake
                while True:
                    while not unacked:
                        wake = trio.Event()
                        await wake.wait()
                    await trio.sleep(self.rng.uniform(0, self.slowness_seconds))
                    # Mostly in order, but any order is allowed.
                    place = 0 if self.rng.random() < 0.8 else self.rng.randrange(len(unacked))
                    cursor = unacked.pop(place)
                    await websocket.send(session.ack(cursor))
                    if place == 0:
                        self.cursor = cursor

            nursery.start_soon(acknowledge)
            while True:
                for item in session.receive_text(await websocket.receive(), trio.current_time()):
                    match item:
                        case HelloReceived():
                            await websocket.send(session.identify())
                        case Reply(text):
                            await websocket.send(text)
                        case PeerError(text):
                            raise ConnectionLost(text)
                        case Delivered(cursor):
                            unacked.append(cursor)
                            self.judge.trace.note("delivered", self.name, item.event.type, cursor)
                            self.judge.received(seen, cursor)
                            self.judge.demand(
                                len(unacked) <= self.window, 6, f"{self.name} has {len(unacked)} events to ACK"
                            )
                            wake.set()
                        case Attached(ready):
                            self.judge.trace.note("attached", self.name, "after", self.cursor or "nothing")
                            if not self.cursor and ready.cursor:
                                self.cursor = ready.cursor
                                seen.last_seq = self.truth.seq_of.get(self.cursor, -1)
                        case _:
                            raise AssertionError(item)


@attrs.define(eq=False)
class Streaming(Caller):
    """Reads the event stream; one reader over all its connections."""

    reader: Reader = attrs.field(factory=lambda: Reader("nobody"))
    session: Session | None = None
    done: trio.Event = attrs.field(factory=trio.Event)
    slowness_seconds: float = 0.0

    async def run(self) -> None:
        self.session = Session(self.truth, self.reader, all_events=self.reader.observes)
        last_id = ""
        async with self.client() as client, trio.open_nursery() as nursery:

            async def end_when_done() -> None:
                await self.done.wait()
                nursery.cancel_scope.cancel(reason="the simulation ends")

            nursery.start_soon(end_when_done)
            while True:
                try:
                    async with client.events(last_id) as stream:
                        self.judge.trace.note("streaming", self.name, "after", last_id or "nothing")
                        async for event in stream:
                            self.judge.trace.note("streamed", self.name, event.type, event.id)
                            self.judge.received(self.session, event.id)
                            last_id = event.id
                            if self.slowness_seconds:
                                await trio.sleep(self.rng.uniform(0, self.slowness_seconds))
                except ClientError as error:
                    self.judge.trace.note("stream lost", self.name, error)
                    if isinstance(error, ServerAnswered) and error.status in (401, 403):
                        self.judge.break_off(f"guarantee 5: {self.name} may stream and was told: {error}")
                await trio.sleep(self.rng.uniform(0, 2 * RETRY_SECONDS))


@attrs.define(eq=False)
class ReadingBack(Caller):
    """Reads whole histories, page by page."""

    targets: Sequence[Target] = ()

    async def run(self) -> None:
        async with self.client() as client:
            while await self.pause(6.0):
                await self.read(client, self.rng.choice(self.targets))

    async def read(self, client: MoltnetClient, target: Target) -> None:
        conversation = conversation_name(target)
        sure = list(self.truth.texts(conversation))
        seen: list[Message] = []
        before = ""
        try:
            with trio.fail_after(PATIENCE_SECONDS):
                while True:
                    page = await client.messages(target, PageRequest(limit=self.rng.randint(1, 30), before=before))
                    seen[:0] = page.messages
                    if not page.page.has_more or not page.messages:
                        break
                    before = page.messages[0].id
        except (ClientError, trio.TooSlowError) as error:
            self.judge.trace.note("not read", self.name, target_name(target), error)
            return
        self.judge.trace.note("read back", self.name, target_name(target), len(seen))
        self.judge.read_back(self.truth, conversation, (each.id for each in seen), sure)


@attrs.define(eq=False)
class Operator(Caller):
    """Lets agents into rooms and takes them out again."""

    room_ids: Sequence[str] = ()
    agent_ids: Sequence[str] = ()
    pause_seconds: float = 4.0

    async def run(self) -> None:
        async with self.client() as client:
            while await self.pause(self.pause_seconds):
                room_id, agent_id = self.rng.choice(self.room_ids), self.rng.choice(self.agent_ids)
                add = self.rng.random() < 0.5
                change = UpdateRoomMembersRequest(**{"add" if add else "remove": (agent_id,)})
                try:
                    with trio.fail_after(PATIENCE_SECONDS):
                        await client.update_members(room_id, change)
                except (ServerUnreachable, ClientError, trio.TooSlowError) as error:
                    self.judge.trace.note("membership unknown", room_id, agent_id, error)
                else:
                    self.judge.trace.note("membership", room_id, agent_id, "added" if add else "removed")


def to_room(room_id: str) -> Target:
    return Target(kind=TargetKind.ROOM, room_id=RoomId(room_id))


def to_thread(room_id: str, thread_id: str, parent: str) -> Target:
    return Target(
        kind=TargetKind.THREAD,
        room_id=RoomId(room_id),
        thread_id=ThreadId(thread_id),
        parent_message_id=MessageId(parent),
    )


def to_direct(direct_id: str, *participants: str) -> Target:
    return Target(kind=TargetKind.DM, dm_id=DirectId(direct_id), participant_ids=participants)


def conversation_name(target: Target) -> tuple[str, str]:
    return target.kind, target.thread_id or target.dm_id or target.room_id


def target_name(target: Target) -> str:
    return ":".join(conversation_name(target))
