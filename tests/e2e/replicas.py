"""Three servers on one database, agents that are attached to them, callers that send, and somebody who kills servers.

Every program is as a user starts it. Whoever loses its server goes on at another one: an agent and an event stream by
the last cursor that they settled, a sender with the same message. What they saw is held against the log afterwards.
"""

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import trio
import trio_websocket

from moltnet.attach.registry import CUT_OFF
from moltnet.config.server_limits import RATES
from moltnet.log import leaves_of
from moltnet.protocol.events import EventType
from moltnet.protocol.identity import agent_fqid
from moltnet.protocol.ids import AgentId, event_id_of_message
from moltnet.protocol.messages import SendMessageRequest
from moltnet.storage.records import EventRecord
from tests.e2e.killed_server import CUT, Reader
from tests.e2e.running import PATIENCE_SECONDS, POLL_SECONDS, Program, Server
from tests.fakes.attach_client import AttachClient, ServerSaid, WireClosed, attach, open_websocket_wire
from tests.fakes.http_client import HttpAnswer, HttpClient
from tests.fakes.network import NETWORK, direct_message, room_message, secret_of
from tests.fakes.ports import free_port

REPLICAS: Final = 3
ROOMS: Final = 6
# Public, so all agents hear what is said there; these write.
PLAZA: Final = "plaza"
PLAZA_MEMBERS: Final = 100
# Half of the agents attach with this token, the others with the one that they are given when they come first.
FLEET: Final = "fleet"
OPS: Final = "ops"
# What an agent has been told of and not yet settled, at most.
MOST_HELD: Final = 4
# How an attachment ends whose server is killed, or that finds none.
LOST: Final = (WireClosed, ServerSaid, OSError, trio_websocket.HandshakeError, trio_websocket.ConnectionClosed)


@attrs.define(eq=False)
class Replica:
    """One of the servers."""

    server: Server
    is_up: bool = False
    _program: Program | None = None
    _killed: trio.Event = attrs.field(factory=trio.Event)

    def client(self, token: str = "") -> HttpClient:
        return HttpClient(self.server.url, token)

    async def keep_running(self) -> None:
        """Start it again whenever it was killed; it is killed when this is cancelled."""
        while True:
            self._killed = trio.Event()
            async with self.server.run() as self._program:
                self.is_up = True
                await self._killed.wait()
                self.is_up = False
                await self._program.kill()

    def kill(self) -> None:
        self._killed.set()

    async def stop(self) -> int:
        """Its exit code after a polite stop; for the last time."""
        assert self._program is not None
        return await self._program.stop()


@attrs.define(eq=False)
class Agent:
    """An agent and all that it was told, in order: ``settled`` is ACKed, ``held`` is not yet.

    What it held when it lost its server is ``owed``: it must come again, and come first.
    """

    id: str
    room: str
    token: str
    chance: random.Random
    settled: list[str] = attrs.field(factory=list)
    held: list[str] = attrs.field(factory=list)
    repeated: int = 0
    identified: int = 0
    """How often it said who it is."""
    attached: int = 0
    """How often it was READY."""
    replica: Replica | None = None
    """Where it is attached."""
    first_cursor: str = ""
    closed: Counter[int] = attrs.field(factory=Counter)
    cut_off: int = 0
    is_leaving: bool = False
    _cursor: str = ""
    _owed: list[str] = attrs.field(factory=list)
    _connecting: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    @property
    def seen(self) -> Sequence[str]:
        """Everything that it was told, each once."""
        return [*self.settled, *self.held, *self._owed]

    def has(self, event_id: str) -> bool:
        """Whether it was told lately."""
        return event_id in (*self.held, *self.settled[-20:])

    def leave(self) -> None:
        """Go, with a goodbye if it is attached, and don't come back."""
        self.is_leaving = True
        self._connecting.cancel()

    async def stay_attached(self, replicas: "Replicas") -> None:
        """To whatever server there is, until it leaves."""
        before: Replica | None = None
        while not self.is_leaving:
            replica = before = replicas.pick(self.chance, than=before)
            try:
                with trio.CancelScope() as self._connecting:
                    async with open_websocket_wire(replica.server.url, self.token) as wire:
                        self.identified += 1
                        client = await attach(wire, self.id, cursor=self._cursor)
                        self.attached, self.replica = self.attached + 1, replica
                        await self._follow(client)
            except* LOST as lost:
                self._note(lost)
            self.replica, self._owed, self.held = None, [*self.held, *self._owed], []
            await trio.sleep(self.chance.uniform(0.02, 0.2))

    async def _follow(self, client: AttachClient) -> None:
        if not self._cursor:
            self.first_cursor = self._cursor = client.ready.cursor
            self.token = self.token or client.ready.agent_token
        while True:
            delivered = await client.next()
            if self._owed:
                owed = self._owed.pop(0)
                assert delivered.cursor == owed, f"{self.id} was owed {owed} and got {delivered.cursor}"
                self.repeated += 1
            self.held.append(delivered.cursor)
            while len(self.held) > self.chance.randrange(MOST_HELD):
                await client.wire.send(client.session.ack(self.held[0]))
                self._cursor = self.held.pop(0)
                self.settled.append(self._cursor)

    def _note(self, lost: BaseExceptionGroup[BaseException]) -> None:
        for error in leaves_of(lost):
            match error:
                case WireClosed(code=code):
                    self.closed[code] += 1
                case ServerSaid():
                    # The database has not heard of it for too long: on a machine with too much to do.
                    assert CUT_OFF.text in str(error), error
                    self.cut_off += 1
                case trio_websocket.ConnectionRejected(status_code=status):
                    raise AssertionError(f"{self.id} was refused with {status}")


@attrs.define(eq=False)
class Sender:
    """One who sends as any of the agents, one message after the other, each until somebody has accepted it."""

    name: str
    chance: random.Random
    accepted: list[SendMessageRequest] = attrs.field(factory=list)
    asked_again: int = 0
    moved: int = 0
    """How often there was no answer, and another server was asked."""

    async def send(self, replicas: "Replicas", agents: Sequence[Agent]) -> None:
        """Send the next message, and sometimes ask another server afterwards what became of it."""
        agent = self.chance.choice(agents)
        message = self._next(agent, agents)
        replica = replicas.pick(self.chance)
        while (answer := await self._ask(replica, agent, message)) is None:
            replica = replicas.pick(self.chance, than=replica)
            self.moved += 1
        assert answer.status == 202, answer.body
        assert answer.json()["event_id"] == event_id_of_message(message.id)
        self.accepted.append(message)
        if self.chance.random() < 0.25:
            again = await self._ask(replicas.pick(self.chance, than=replica), agent, message)
            if again is not None:
                # This one has made no conversation.
                created = {"thread_created": False, "dm_created": False}
                assert (again.status, again.json()) == (202, answer.json() | created)
                self.asked_again += 1

    async def _ask(self, replica: Replica, agent: Agent, message: SendMessageRequest) -> HttpAnswer | None:
        try:
            return await replica.client(agent.token).post("/v1/messages", message)
        except CUT:
            await trio.sleep(POLL_SECONDS)
            return None

    def _next(self, agent: Agent, agents: Sequence[Agent]) -> SendMessageRequest:
        message_id = f"{self.name}-{len(self.accepted) + 1}"
        dice = self.chance.random()
        if dice < 0.4:
            other = self.chance.choice([each for each in agents if each is not agent])
            pair = sorted((agent.id, other.id))
            return direct_message("-".join(("d", *pair)), *pair, sender=agent.id, message_id=message_id)
        neighbour = self.chance.choice([each for each in agents if each.room == agent.room])
        room = PLAZA if dice > 0.95 and agent in agents[:PLAZA_MEMBERS] else agent.room
        return room_message(f"hello @{neighbour.id}", sender=agent.id, room=room, message_id=message_id)


@attrs.define(eq=False)
class Replicas:
    """The servers, and everybody who is there."""

    members: Sequence[Replica]
    agents: Sequence[Agent]
    senders: Sequence[Sender]
    readers: Sequence[Reader]
    chance: random.Random
    kills: int = 0

    def pick(self, chance: random.Random, *, than: Replica | None = None) -> Replica:
        """Any server, up or not, for who must find out; another one than that which was just lost."""
        return chance.choice([each for each in self.members if each is not than])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """All servers, started again whenever they are killed."""
        async with trio.open_nursery() as nursery:
            for replica in self.members:
                nursery.start_soon(replica.keep_running)
            await wait_for(lambda: all(replica.is_up for replica in self.members))
            yield
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def attached(self) -> AsyncIterator[None]:
        """Agents and event streams, which come back until the end of the block."""
        async with trio.open_nursery() as nursery:
            for number, reader in enumerate(self.readers):
                nursery.start_soon(self._keep_reading, reader, number)
            for agent in self.agents:
                nursery.start_soon(agent.stay_attached, self)
            await wait_for(lambda: all(agent.replica for agent in self.agents))
            yield
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def sending(self, posts_per_second: float) -> AsyncIterator[None]:
        """Senders, which bring what they began to an end."""
        async with trio.open_nursery() as nursery:
            for sender in self.senders:
                nursery.start_soon(self._keep_sending, sender, len(self.senders) / posts_per_second)
            yield
            nursery.cancel_scope.cancel()

    async def kill_in_turn(self, kills: int, *, pause_seconds: float, until: float) -> AsyncIterator[Replica]:
        """Kill one server after the other, so many and until that time. Gives each one just before it dies."""
        while self.kills < kills or trio.current_time() < until:
            await trio.sleep(self.chance.uniform(0.7, 1.3) * pause_seconds)
            await wait_for(lambda: all(replica.is_up for replica in self.members))
            dying = self.members[self.kills % len(self.members)]
            self.kills += 1
            yield dying
            dying.kill()
        await wait_for(lambda: all(replica.is_up for replica in self.members))

    async def _keep_sending(self, sender: Sender, seconds: float) -> None:
        while True:
            # A message that was begun is brought to an end: what nobody has accepted must not come later.
            with trio.CancelScope(shield=True):
                await sender.send(self, self.agents)
            await trio.sleep(sender.chance.uniform(0.5, 1.5) * seconds)

    async def _keep_reading(self, reader: Reader, first: int) -> None:
        """An event stream of everything, at each server in turn."""
        number = first
        while True:
            try:
                await reader.read(self.members[number % len(self.members)].client(OPS))
            except CUT:
                await trio.sleep(POLL_SECONDS)
            number += 1


@attrs.frozen
class Told:
    """How often the log says that an agent has come and gone."""

    connected: int
    disconnected: int


def open_replicas(
    directory: Path, dsn: str, *, agents: int, senders: int, seed: int, limits: Mapping[str, object] | None = None
) -> Replicas:
    """Write the files of the servers of one network in mode open."""
    chance = random.Random(seed)

    def fresh() -> random.Random:
        return random.Random(chance.random())

    everybody = [
        Agent(f"agent-{number:03}", f"room-{number % ROOMS}", FLEET if number % 2 else "", fresh())
        for number in range(agents)
    ]
    rooms = {PLAZA: [agent.id for agent in everybody[:PLAZA_MEMBERS]]}
    for agent in everybody:
        rooms.setdefault(agent.room, []).append(agent.id)
    members = []
    for name in ("a", "b", "c")[:REPLICAS]:
        place = directory / name
        place.mkdir(parents=True)
        port = free_port()
        (place / "Moltnet").write_text("\n".join(_file(port, rooms, limits or dict.fromkeys(RATES, "unlimited"))))
        (place / "Moltnet").chmod(0o600)
        members.append(Replica(Server(place, f"http://127.0.0.1:{port}", {"MOLTNET_POSTGRES_DSN": dsn})))
    return Replicas(
        members,
        everybody,
        [Sender(f"s{number}", fresh()) for number in range(senders)],
        [Reader() for _ in members],
        fresh(),
    )


def _file(port: int, rooms: Mapping[str, Sequence[str]], limits: Mapping[str, object]) -> Iterator[str]:
    yield "version: moltnet.v1"
    yield "network: {id: lab, name: Lab}"
    yield "server:"
    yield f'  listen_addr: "127.0.0.1:{port}"'
    yield "  limits:"
    yield from (f"    {key}: {value}" for key, value in limits.items())
    yield "auth:"
    yield "  mode: open"
    yield "  tokens:"
    yield f"    - {{id: {OPS}, value: {secret_of(OPS)}, scopes: [observe, write, admin]}}"
    yield f"    - {{id: {FLEET}, value: {secret_of(FLEET)}, scopes: [attach, write]}}"
    yield "storage: {kind: postgres}"
    yield "rooms:"
    for room, members in rooms.items():
        visibility = "public" if room == PLAZA else "private"
        yield f"  - {{id: {room}, name: {room}, visibility: {visibility}, members: [{', '.join(members)}]}}"


async def wait_for(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    with trio.fail_after(seconds):
        while not condition():
            await trio.sleep(POLL_SECONDS)


def visible_to(agent: Agent, log: Sequence[EventRecord]) -> Sequence[str]:
    """What an agent must have been told: all after it came that is said in its rooms or to it, and reports about it."""
    (came_at,) = (record.seq for record in log if record.id == agent.first_cursor)
    return [record.id for record in log if record.seq > came_at and _is_for(agent, record)]


def _is_for(agent: Agent, record: EventRecord) -> bool:
    if record.direct_id:
        return agent_fqid(NETWORK, AgentId(agent.id)) in record.addressed
    if record.room_id:
        return record.room_id in (PLAZA, agent.room)
    return record.agent_id == agent.id


def comings_and_goings(agent: Agent, log: Sequence[EventRecord]) -> Told:
    of_agent = Counter(record.type for record in log if record.agent_id == agent.id)
    return Told(of_agent[EventType.AGENT_CONNECTED], of_agent[EventType.AGENT_DISCONNECTED])


async def connected_at(replica: Replica) -> frozenset[str]:
    """The agents that a server shows as connected."""
    found: set[str] = set()
    async for page in pages(replica, "/v1/agents", after=True):
        found |= {agent["id"] for agent in page["agents"] if agent["connected"]}
    return frozenset(found)


async def history_at(replica: Replica, place: str) -> Sequence[str]:
    """The ids of a conversation's messages, oldest first."""
    found: list[str] = []
    async for page in pages(replica, f"/v1/{place}/messages"):
        found = [message["id"] for message in page["messages"]] + found
    return found


async def pages(replica: Replica, target: str, *, after: bool = False) -> AsyncIterator[Any]:
    cursor = ""
    while True:
        answer = await replica.client(OPS).get(f"{target}?limit=100{cursor}")
        assert answer.status == 200, answer.body
        page = answer.json()
        yield page
        if not page["page"]["has_more"]:
            return
        cursor = f"&after={page['page']['next_after']}" if after else f"&before={page['page']['next_before']}"
