"""A server that is killed again and again while clients send and read, and what must be left of it each time.

Senders repeat what was not answered under the same id, as every client does; a reader goes on at its cursor. What the
network says afterwards must be what they were told: nothing more, nothing less, nothing twice, and in one order.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import h11
import trio

from moltnet.protocol.ids import event_id_of_message
from moltnet.protocol.messages import SendMessageRequest
from tests.e2e.running import PATIENCE_SECONDS, POLL_SECONDS, Server, running
from tests.fakes.http_client import HttpClient
from tests.fakes.network import direct_message, room_message, thread_message, wait_until

SENDERS = 6
MOST_BEFORE_A_KILL = 90
# So many of the kills, about, hit a server that has not begun to serve, perhaps in the middle of its recovery.
KILLED_AT_START = 0.2
# Longer than a start takes, so that such a kill may come at any moment of it.
START_SECONDS = 0.7
# What stands before everything in a log of which nothing was removed yet.
FROM_THE_BEGINNING = f"evt_gap_{'0' * 64}"
# How a connection to a server ends that is killed, or that is not there yet.
CUT = (OSError, trio.BrokenResourceError, h11.RemoteProtocolError)


@attrs.define(eq=False)
class Sender:
    """One who sends to a room, a thread and another agent in turns, one message after the other."""

    name: str
    accepted: list[SendMessageRequest] = attrs.field(factory=list)
    unanswered: SendMessageRequest | None = None
    _number: int = 0

    async def send(self, client: HttpClient, life: str) -> None:
        """Raises one of ``CUT`` if there was no answer; then the same message is what is sent next."""
        if self.unanswered is None:
            self.unanswered = self._next(life)
        await accept(client, self.unanswered)
        self.accepted.append(self.unanswered)
        self.unanswered = None

    def _next(self, life: str) -> SendMessageRequest:
        self._number += 1
        message_id = f"{self.name}-{self._number}"
        match self._number % 3:
            case 0:
                return room_message(f"in the room @beta {message_id}", message_id=message_id)
            case 1:
                return thread_message(f"t-{life}-{self.name}", message_id=message_id)
            case _:
                return direct_message(f"d-{life}-{self.name}", "alpha", "beta", message_id=message_id)


@attrs.define(eq=False)
class Reader:
    """One who follows the network's events and comes back with the last one that it has seen."""

    events: dict[str, Mapping[str, object]] = attrs.field(factory=dict)
    gaps: int = 0
    _cursor: str = FROM_THE_BEGINNING

    async def read(self, client: HttpClient) -> None:
        """Until the connection is cut. Raises one of ``CUT``."""
        async with client.stream_events(last_event_id=self._cursor) as source:
            while (sent := await source.next_event()) is not None:
                if sent.type == "stream.replay_gap":
                    self.gaps += 1
                    continue
                assert sent.id not in self.events, f"told twice of {sent.id}"
                self.events[sent.id] = sent.event
                self._cursor = sent.id

    def has(self, message_id: str) -> bool:
        return event_id_of_message(message_id) in self.events

    def messages(self, conversation: str) -> list[str]:
        """The ids of a conversation's messages, in the order in which they were told."""
        found = []
        for event in self.events.values():
            message = event.get("message")
            if isinstance(message, dict) and conversation_of(message["target"]) == conversation:
                found.append(str(message["id"]))
        return found


@attrs.define(eq=False)
class Clients:
    """Everybody who talks to the server, and what they know of it."""

    server: Server
    chance: random.Random
    senders: Sequence[Sender] = attrs.field(factory=lambda: [Sender(f"s{number}") for number in range(SENDERS)])
    reader: Reader = attrs.field(factory=Reader)
    starts_killed: int = 0

    @property
    def accepted(self) -> int:
        return sum(len(sender.accepted) for sender in self.senders)

    async def live_until_killed(self, life: int) -> None:
        """Start the server, look at what the last kill left, and kill it while everybody talks."""
        if self.chance.random() < KILLED_AT_START:
            await self._kill_at_start()
        async with self.server.run() as program, trio.open_nursery() as nursery:
            client = HttpClient(self.server.url)
            nursery.start_soon(self._read_until_cut, client)
            await self._look(client, life)
            enough = self.accepted + self.chance.randrange(MOST_BEFORE_A_KILL)
            for sender in self.senders:
                nursery.start_soon(self._send_until_cut, client, sender, str(life))
            await wait_until(lambda: self.accepted >= enough)
            # Anywhere between two answers.
            await trio.sleep(self.chance.random() / 50)
            await program.kill()

    async def last_look(self, life: int) -> None:
        """Look once more, and hear everything again from the beginning, as somebody new does."""
        async with self.server.run() as program, trio.open_nursery() as nursery:
            client, newcomer = HttpClient(self.server.url), Reader()
            nursery.start_soon(self._read_until_cut, client)
            await self._look(client, life)
            with trio.move_on_after(PATIENCE_SECONDS), trio.CancelScope() as reading:
                nursery.start_soon(self._stop_when_even, newcomer, reading)
                await newcomer.read(client)
            assert list(newcomer.events) == list(self.reader.events)
            assert newcomer.gaps + self.reader.gaps == 0
            assert await program.stop() == 0

    async def _stop_when_even(self, newcomer: Reader, reading: trio.CancelScope) -> None:
        await wait_until(lambda: len(newcomer.events) >= len(self.reader.events))
        reading.cancel()

    async def _kill_at_start(self) -> None:
        self.starts_killed += 1
        log_path = self.server.directory / "server.log"
        async with running(
            "start", directory=self.server.directory, log_path=log_path, environment=self.server.environment
        ):
            await trio.sleep(self.chance.random() * START_SECONDS)  # leaving the block kills it

    async def _send_until_cut(self, client: HttpClient, sender: Sender, life: str) -> None:
        try:
            while True:
                await sender.send(client, life)
        except CUT:
            return

    async def _read_until_cut(self, client: HttpClient) -> None:
        try:
            await self.reader.read(client)
        except CUT:
            return

    async def _look(self, client: HttpClient, life: int) -> None:
        """What was not answered is sent again, and so is what was answered last; then all of the last life is read."""
        before = str(life - 1)
        for sender in self.senders:
            for answered in sender.accepted[-1:]:
                await accept(client, answered)
            if sender.unanswered is not None:
                await sender.send(client, before)
        # Everything that came before this one has been told once this one is.
        marker = room_message("a new life", message_id=f"life-{life}")
        await accept(client, marker)
        await wait_until(lambda: self.reader.has(f"life-{life}"))
        expected: dict[str, set[str]] = {"room:general": {f"life-{number}" for number in range(life + 1)}}
        for sender in self.senders:
            for message in sender.accepted:
                assert self.reader.has(message.id)
                expected.setdefault(conversation_of(attrs.asdict(message.target)), set()).add(message.id)
        told = [event["message"] for event in self.reader.events.values() if event["type"] == "message.created"]
        assert len(told) == sum(map(len, expected.values()))
        for conversation, message_ids in expected.items():
            kind, _, id = conversation.partition(":")
            # Those of earlier lives were looked at then.
            if kind == "room" or id.startswith(f"{kind[0]}-{before}-"):
                found = await history(client, kind, id)
                assert len(found) == len(set(found))
                assert set(found) == message_ids
                assert found == self.reader.messages(conversation)
                if kind != "room":
                    counted = (await client.get(f"/v1/{PLACES[kind]}/{id}")).json()
                    assert counted["message_count"] == len(found)


async def accept(client: HttpClient, message: SendMessageRequest) -> None:
    answer = await client.post("/v1/messages", message)
    assert answer.status == 202, answer.body
    assert answer.json()["event_id"] == event_id_of_message(message.id)


PLACES = {"room": "rooms", "thread": "threads", "dm": "dms"}


def conversation_of(target: Mapping[str, object]) -> str:
    """``room:ID``, ``thread:ID`` or ``dm:ID``."""
    kind = str(target["kind"])
    return f"{kind}:{target[f'{kind}_id']}"


async def history(client: HttpClient, kind: str, id: str) -> list[str]:
    """The ids of all messages of a conversation, oldest first."""
    return [str(message["id"]) for message in await messages(client, kind, id)]


async def messages(client: HttpClient, kind: str, id: str) -> list[dict[str, Any]]:
    """All messages of a conversation, oldest first."""
    found: list[dict[str, Any]] = []
    before = ""
    while True:
        page = (await client.get(f"/v1/{PLACES[kind]}/{id}/messages?limit=500{before}")).json()
        found = page["messages"] + found
        if not page["page"]["has_more"]:
            return found
        before = f"&before={page['page']['next_before']}"


async def survive_kills(server: Server, rounds: int) -> Clients:
    """Kill the server so often, and see after each restart what is left of it."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    clients = Clients(server, random.Random(seed))
    with trio.fail_after(rounds * PATIENCE_SECONDS + POLL_SECONDS):
        for life in range(rounds):
            await clients.live_until_killed(life)
        await clients.last_look(rounds)
    print(
        f"{rounds} kills under load and {clients.starts_killed} of servers that were starting, "
        f"{clients.accepted} messages accepted, {len(clients.reader.events)} events read, none lost, none twice"
    )
    return clients
