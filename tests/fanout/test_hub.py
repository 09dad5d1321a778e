"""The hub, seen from attachments over the fast lane's frames: what it costs, and who gets what when not all goes well.

Work is counted in steps of the scheduler, writes and bytes; nothing here looks at a clock.
"""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from moltnet.app import App
from moltnet.config.settings import AuthMode, MoltnetConfig
from moltnet.protocol import limits
from moltnet.protocol.events import EventType
from moltnet.storage.records import StoredRoom
from moltnet.storage.store import StorageError
from tests.fakes.attach_client import AttachClient, MemoryWire, attach, open_wire, over_lane
from tests.fakes.credentials import agent_token, static
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.lane_pipe import FramedWire, Pipe
from tests.fakes.network import network_config, open_test_app, post, room, room_message

OPERATOR = static("admin write")


async def say(app: App, *texts: str) -> None:
    for text in texts:
        await post(app, room_message(text, sender="poster"), OPERATOR)


@attrs.define(eq=False)
class Steps(trio.abc.Instrument):
    """Counts how often a task is run."""

    taken: int = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.taken += 1


@attrs.define(eq=False)
class Readers:
    """Attachments over frames that stay until the nursery ends."""

    app: App
    _nursery: trio.Nursery

    async def arrive(self, agent_id: str, *, frames: int = 4096) -> AttachClient:
        return await attach(await self._nursery.start(self._hold, agent_id, frames), agent_id)

    async def _hold(self, agent_id: str, frames: int, task_status: trio.TaskStatus[MemoryWire]) -> None:
        over_lane.set(True)
        async with open_wire(self.app, agent_token(agent_id), frames=frames) as wire:
            task_status.started(wire)
            await trio.sleep_forever()


@asynccontextmanager
async def open_readers(config: MoltnetConfig, store: FaultyStore | None = None) -> AsyncIterator[Readers]:
    async with open_test_app(config, store=store) as app, trio.open_nursery() as nursery:
        yield Readers(app, nursery)
        nursery.cancel_scope.cancel()


def pipe_of(client: AttachClient) -> Pipe:
    assert isinstance(client.wire, FramedWire)
    return client.wire.pipe


@asynccontextmanager
async def gathered(count: int, store: FaultyStore | None = None) -> AsyncIterator[tuple[App, list[AttachClient]]]:
    """So many agents in one room, all attached and quiet."""
    names = [f"agent-{number}" for number in range(count)]
    config = network_config(mode=AuthMode.BEARER, rooms=[room("general", "poster", *names)])
    async with open_readers(config, store) as readers:
        clients = [await readers.arrive(name) for name in names]
        await trio.testing.wait_all_tasks_blocked()
        yield readers.app, clients


async def steps_of_a_message(count: int) -> int:
    async with gathered(count) as (app, clients):
        await say(app, "warm")
        await trio.testing.wait_all_tasks_blocked()
        steps = Steps()
        trio.lowlevel.add_instrument(steps)
        await say(app, "hello")
        await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.remove_instrument(steps)
        for client in clients:
            assert await client.next_texts(2, ack=False) == ["warm", "hello"]
        return steps.taken


async def test_a_message_to_hundreds_wakes_a_task_for_none_of_them(autojump_clock: MockClock) -> None:
    few, many = await steps_of_a_message(2), await steps_of_a_message(300)
    assert many - few <= 300 // limits.SENDS_AT_ONCE + 1


async def test_an_ack_is_one_step_and_many_that_come_together_are_no_more(autojump_clock: MockClock) -> None:
    async with gathered(1) as (app, [client]):
        await say(app, *(f"text-{number}" for number in range(20)))
        delivered = [await client.next_of(EventType.MESSAGE_CREATED) for _ in range(20)]
        acks = [client.session.ack(each.cursor) for each in delivered]
        await trio.testing.wait_all_tasks_blocked()
        steps = Steps()
        trio.lowlevel.add_instrument(steps)
        for ack in acks:
            await client.wire.send(ack)
        await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.remove_instrument(steps)
        # Each that this test sends is a step of its own, and each read of the server's is one or two.
        assert steps.taken < 3 * len(acks)


async def test_a_burst_is_one_write_for_each_reader(autojump_clock: MockClock) -> None:
    store = FaultyStore()
    async with gathered(5, store) as (app, clients), trio.open_nursery() as nursery:
        before = [pipe_of(client).writes for client in clients]
        store.hold()
        for number in range(30):
            nursery.start_soon(say, app, f"text-{number}")
        await trio.testing.wait_all_tasks_blocked()
        store.release()
        await trio.testing.wait_all_tasks_blocked()
        # The first was on its way to the disk alone, and the others are one commit.
        assert all(pipe_of(client).writes - writes <= 2 for client, writes in zip(clients, before, strict=True))
        texts = [await client.next_texts(30) for client in clients]
        assert all(each == texts[0] for each in texts)


async def test_what_waits_for_a_reader_that_stops_is_bounded_and_comes_when_it_reads_again(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(limits, "RING_EVENTS", 32)
    names = ("alpha", "beta")
    config = network_config(mode=AuthMode.BEARER, rooms=[room("general", "poster", *names)], delivery_window=1024)
    store = FaultyStore()
    texts = [f"{number} {'x' * 20_000}" for number in range(100)]
    async with open_readers(config, store) as readers:
        stuck, reading = await readers.arrive("alpha", frames=2), await readers.arrive("beta")
        await say(readers.app, *texts)
        assert await reading.next_texts(len(texts)) == texts
        await trio.testing.wait_all_tasks_blocked()
        assert 0 < pipe_of(stuck).most_unsent_bytes < limits.PASS_BYTES + 21_000
        assert await stuck.next_texts(len(texts)) == texts
        assert store.reads  # the ring had moved on


async def test_who_may_read_no_more_in_the_middle_of_a_pass_is_sent_nothing_more(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(limits, "SENDS_AT_ONCE", 1)
    async with gathered(2) as (app, clients):
        found = app.context.directory.room("general")
        assert found is not None
        real = Pipe.write

        def write(pipe: Pipe, data: bytes) -> None:
            real(pipe, data)
            if b"hello" in data:  # now only who has just been sent it is a member
                served = next(client for client in clients if pipe_of(client) is pipe)
                alone = attrs.evolve(found, members=(served.session.agent_id,))
                app.context.directory.apply([StoredRoom(alone)], [])

        monkeypatch.setattr(Pipe, "write", write)
        await say(app, "hello")
        await trio.testing.wait_all_tasks_blocked()
        heard = [b"hello" in pipe_of(client).unread for client in clients]
        assert sorted(heard) == [False, True]


async def test_a_hub_behind_the_ring_lets_every_reader_ask_the_store_for_itself(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(limits, "RING_EVENTS", 4)
    store = FaultyStore()
    async with gathered(3, store) as (app, clients):
        real, failed = type(app.broker).recent_after, 0

        def recent_after(broker: object, seq: int, limit: int) -> object:
            nonlocal failed
            if failed == 0:  # as if it had moved on before the hub had its turn
                failed, store.read_failure = 1, StorageError("no disk")
                return None
            store.read_failure = None
            return real(app.broker, seq, limit)

        monkeypatch.setattr(type(app.broker), "recent_after", recent_after)
        await say(app, "one", "two", "three")
        for client in clients:
            assert await client.next_texts(3) == ["one", "two", "three"]
        await say(app, "four")
        for client in clients:
            assert await client.next_texts(1) == ["four"]


@pytest.mark.parametrize("seed", range(6))
async def test_everybody_gets_everything_once_and_in_order_whatever_happens_in_between(
    seed: int, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Readers of every speed, windows that fill, a ring that moves on, some that come late and some that come back."""
    dice = random.Random(seed)
    monkeypatch.setattr(limits, "RING_EVENTS", 24)
    monkeypatch.setattr(limits, "REPLAY_PAGE_EVENTS", 7)
    monkeypatch.setattr(limits, "PASS_BYTES", 2000)
    monkeypatch.setattr(limits, "SENDS_AT_ONCE", 2)
    names = [f"agent-{number}" for number in range(8)]
    config = network_config(mode=AuthMode.BEARER, rooms=[room("general", "poster", *names)], delivery_window=9)
    texts = [f"text-{number}" for number in range(120)]
    heard: dict[str, list[str]] = {name: [] for name in names}

    async def live(app: App, name: str, cursor: str) -> None:
        token, its = over_lane.set(dice.random() < 0.5), random.Random(dice.random())
        while len(heard[name]) < len(texts):
            async with open_wire(app, agent_token(name), frames=its.choice((1, 3, 4096))) as wire:
                client = await attach(wire, name, cursor=cursor)
                for _ in range(its.choice((10, 40, 1000))):
                    delivered = await client.next()
                    await client.ack(delivered)
                    cursor = delivered.cursor
                    if delivered.event.message is not None:
                        heard[name].append(delivered.event.message.parts[0].text)
                        if len(heard[name]) == len(texts):
                            break
                    for _ in range(its.choice((0, 0, 5, 30))):
                        await trio.lowlevel.checkpoint()
        over_lane.reset(token)

    async with open_test_app(config) as app:
        cursor = (await app.context.store.event_bounds()).newest_id
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(live, app, name, cursor)
            for text in texts:
                await say(app, text)
                for _ in range(dice.choice((0, 3, 20))):
                    await trio.lowlevel.checkpoint()
    assert heard == dict.fromkeys(names, texts)
