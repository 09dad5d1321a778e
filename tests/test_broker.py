"""The broker against a store in memory. `Log` commits as the journal does; what is published can lag behind it."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime

import attrs
import pytest
import trio
import trio.testing

from moltnet.broker import Broker, StreamEnded, Subscription
from moltnet.protocol import limits
from moltnet.protocol.codec import decode
from moltnet.protocol.events import Event, EventType
from moltnet.protocol.ids import GAP_PREFIX, EventId, gap_event_id
from moltnet.storage.records import EventBounds, EventRecord
from moltnet.storage.store import StorageError
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.network import NETWORK
from tests.storage.examples import create_room, post

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@attrs.define(eq=False)
class Log:
    """A broker and the store behind it."""

    store: FaultyStore = attrs.field(factory=FaultyStore)
    broker: Broker = attrs.field(init=False)
    _texts: int = 0

    def __attrs_post_init__(self) -> None:
        self.broker = Broker(NETWORK, self.store, 0)

    async def commit(self, count: int = 1, *, text: str = "hello") -> Sequence[EventRecord]:
        """Store so many events without publishing them."""
        commands = [create_room()] if self._texts == 0 else []
        names = range(self._texts, self._texts + count - len(commands))
        self._texts += count
        committed = await self.store.commit([*commands, *(post(f"m{number}", text=text) for number in names)])
        return committed.records

    async def publish(self, count: int = 1, *, text: str = "hello") -> Sequence[EventRecord]:
        records = await self.commit(count, text=text)
        self.broker.publish(records)
        return records

    def reopen(self) -> None:
        """A broker after a restart: it knows where the log ends, and holds nothing."""
        self.broker = Broker(NETWORK, self.store, self.broker.newest_seq)


async def receive_all(subscription: Subscription, limit: int = limits.REPLAY_PAGE_EVENTS) -> list[int]:
    """The places of everything that is there without waiting."""
    seqs: list[int] = []
    with trio.move_on_after(0.01):
        while True:
            seqs += [record.seq for record in await subscription.receive(limit)]
    return seqs


class TestReceiving:
    async def test_events_come_in_order_from_where_the_reader_starts(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        log = Log()
        await log.publish(5)
        assert await receive_all(log.broker.subscribe(0)) == [1, 2, 3, 4, 5]
        assert await receive_all(log.broker.subscribe(3)) == [4, 5]
        assert await receive_all(log.broker.subscribe(5)) == []

    async def test_a_reader_that_waits_gets_what_comes(self) -> None:
        log = Log()
        received: list[int] = []

        async def read(subscription: Subscription) -> None:
            received.extend(record.seq for record in await subscription.receive())

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(read, log.broker.subscribe(0))
            await trio.testing.wait_all_tasks_blocked()
            assert received == []
            await log.publish(2)
        assert received == [1, 2] * 3

    async def test_at_most_as_many_as_asked_for_come_at_once(self) -> None:
        log = Log()
        await log.publish(5)
        subscription = log.broker.subscribe(0)
        assert [record.seq for record in await subscription.receive(2)] == [1, 2]
        assert [record.seq for record in await subscription.receive(2)] == [3, 4]

    async def test_it_is_a_checkpoint_also_when_it_need_not_wait(self) -> None:
        log = Log()
        await log.publish(2)
        subscription = log.broker.subscribe(0)
        with trio.testing.assert_checkpoints():
            await subscription.receive(1)

    async def test_cancelled_it_hands_out_nothing(self) -> None:
        log = Log()
        await log.publish(3)
        subscription = log.broker.subscribe(0)
        with trio.CancelScope() as scope:
            scope.cancel()
            await subscription.receive()
        assert scope.cancelled_caught
        assert subscription.seq == 0
        assert [record.seq for record in await subscription.receive()] == [1, 2, 3]

    async def test_an_event_that_is_committed_but_not_published_is_not_seen(self) -> None:
        log = Log()
        await log.publish(1)
        await log.commit(1)
        assert [record.seq for record in await log.broker.subscribe(0).receive()] == [1]

    async def test_it_is_not_seen_either_by_a_reader_that_is_served_from_the_store(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        """Who may see an event is decided by rooms and members that the server knows of when it publishes."""
        log = Log()
        await log.publish(3)
        log.reopen()
        late = await log.commit(2)
        subscription = log.broker.subscribe(0)
        assert await receive_all(subscription) == [1, 2, 3]
        log.broker.publish(late)
        assert await receive_all(subscription) == [4, 5]

    async def test_a_failing_store_is_the_readers_to_know_and_costs_it_nothing(self) -> None:
        log = Log()
        await log.publish(3)
        log.reopen()
        log.store.read_failure = StorageError("no disk")
        subscription = log.broker.subscribe(0)
        with pytest.raises(StorageError):
            await subscription.receive()
        log.store.read_failure = None
        assert [record.seq for record in await subscription.receive()] == [1, 2, 3]


class TestRingAndStore:
    async def test_a_reader_within_the_ring_never_asks_the_store(self) -> None:
        log = Log()
        await log.publish(50)
        assert len(await log.broker.subscribe(0).receive()) == 50
        assert log.store.reads == []

    async def test_a_reader_behind_the_ring_is_served_from_the_store_and_then_from_the_ring(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        log = Log()
        await log.publish(20)
        log.reopen()
        await log.publish(20)
        assert await receive_all(log.broker.subscribe(0), 8) == list(range(1, 41))
        assert log.store.reads == [0, 8, 16]  # at 24 it has reached the ring, which begins at 21

    async def test_the_ring_is_bounded_in_events(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
    ) -> None:
        monkeypatch.setattr(limits, "RING_EVENTS", 10)
        log = Log()
        await log.publish(10)
        assert len(log.broker.recent_after(0, 100) or ()) == 10
        await log.publish(1)
        assert log.broker.recent_after(0, 100) is None
        assert [record.seq for record in log.broker.recent_after(6, 100) or ()] == [7, 8, 9, 10, 11]
        assert await receive_all(log.broker.subscribe(0)) == list(range(1, 12))

    async def test_the_ring_is_bounded_in_bytes(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
    ) -> None:
        monkeypatch.setattr(limits, "RING_BYTES", 10_000)
        log = Log()
        for _ in range(20):
            await log.publish(1, text="x" * 1000)
        kept = log.broker.recent_after(19, 100)
        assert kept is not None
        assert log.broker.recent_after(9, 100) is None
        assert await receive_all(log.broker.subscribe(0)) == list(range(1, 21))

    async def test_one_event_larger_than_the_whole_ring_still_reaches_everybody(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
    ) -> None:
        monkeypatch.setattr(limits, "RING_BYTES", 1000)
        log = Log()
        await log.publish(2, text="x" * 5000)
        assert await receive_all(log.broker.subscribe(0)) == [1, 2]

    async def test_what_was_committed_but_never_published_is_taken_from_the_store(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        log = Log()
        await log.publish(3)
        await log.commit(2)  # publishing these has crashed
        await log.publish(2)
        assert await receive_all(log.broker.subscribe(0)) == [1, 2, 3, 4, 5, 6, 7]
        assert await receive_all(log.broker.subscribe(3)) == [4, 5, 6, 7]

    async def test_a_reader_that_catches_up_while_the_log_is_pruned_misses_nothing_new(self) -> None:
        """The store answers "nothing" for what it has pruned; an event that is published meanwhile still comes."""
        log = Log()
        await log.publish(3)
        log.reopen()
        subscription = log.broker.subscribe(0)
        store = log.store

        @attrs.define(eq=False)
        class PrunedStore(FaultyStore):
            async def events_after(self, seq: int, limit: int) -> Sequence[EventRecord]:
                if seq == 0:
                    await log.publish(1)
                    return ()
                return await super().events_after(seq, limit)

        log.broker.store = PrunedStore(store.store)
        with trio.fail_after(5):
            assert [record.seq for record in await subscription.receive()] == [4]


class TestTheEnd:
    async def test_readers_that_wait_are_let_go(self) -> None:
        log = Log()
        ended = 0

        async def read() -> None:
            nonlocal ended
            with pytest.raises(StreamEnded):
                await log.broker.subscribe(0).receive()
            ended += 1

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            log.broker.end()
        assert ended == 3

    async def test_who_comes_later_is_let_go_too_also_if_there_is_more_to_read(self) -> None:
        log = Log()
        await log.publish(3)
        log.broker.end()
        log.broker.end()
        with pytest.raises(StreamEnded):
            await log.broker.subscribe(0).receive()
        await log.publish(1)  # publishing goes on
        assert log.broker.newest_seq == 4


class TestCursors:
    async def test_no_cursor_means_from_now_on(self) -> None:
        log = Log()
        await log.publish(3)
        position = await log.broker.locate("", NOW)
        assert (position.seq, position.gap) == (3, None)

    async def test_a_known_cursor_is_resumed_exactly_also_after_a_restart(self) -> None:
        log = Log()
        records = await log.publish(5)
        log.reopen()
        for record in records:
            position = await log.broker.locate(record.id, NOW)
            assert (position.seq, position.gap) == (record.seq, None)

    @pytest.mark.parametrize("cursor", ["evt_unknown", "evt_" + "x" * 100, 'not "an" id\n'])
    async def test_an_unknown_cursor_starts_at_the_oldest_event_and_says_so(self, cursor: str) -> None:
        log = Log()
        records = await log.publish(5)
        position = await log.broker.locate(cursor, NOW)
        assert position.seq == 0
        assert position.gap is not None
        assert (position.gap.id, position.gap.type) == (gap_event_id(cursor), EventType.REPLAY_GAP)
        event = decode(position.gap.wire, Event)
        assert (event.network_id, event.created_at) == (NETWORK, "2026-01-02T00:00:00Z")
        assert event.replay_gap is not None
        assert event.replay_gap.requested_event_id == cursor
        assert event.replay_gap.oldest_event_id == records[0].id
        assert event.replay_gap.newest_event_id == records[-1].id

    async def test_an_unknown_cursor_on_an_empty_log_says_so_too(self) -> None:
        position = await Log().broker.locate("evt_unknown", NOW)
        assert position.seq == 0
        assert position.gap is not None

    async def test_the_cursor_of_a_gap_starts_at_the_oldest_event_without_another_gap(self) -> None:
        log = Log()
        await log.publish(5)
        position = await log.broker.locate(f"{GAP_PREFIX}{'0' * 64}", NOW)
        assert (position.seq, position.gap) == (0, None)

    async def test_after_pruning_the_oldest_event_that_is_left_counts(self) -> None:
        @attrs.define(eq=False)
        class PrunedStore(FaultyStore):
            async def event_bounds(self) -> EventBounds:
                return EventBounds(8, 12, EventId("evt_8"), EventId("evt_12"))

        broker = Broker(NETWORK, PrunedStore(), 12)
        assert (await broker.locate("evt_pruned", NOW)).seq == 7


@pytest.mark.parametrize("seed", range(25))
async def test_nothing_is_lost_or_doubled_however_publishing_and_reading_interleave(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers of every speed, cancelled at random, on a ring so small that they keep falling off it."""
    monkeypatch.setattr(limits, "RING_EVENTS", 8)
    chance = random.Random(seed)
    log, total, received = Log(), 200, dict[int, list[int]]()

    async def publish() -> None:
        sent = 0
        while sent < total:
            count = min(chance.randint(1, 12), total - sent)
            records = await log.commit(count)
            await _pause(chance)
            if chance.random() < 0.9 or sent + count == total:
                log.broker.publish(records)  # else: a crash between commit and publish
            sent += count

    async def read(reader: int) -> None:
        start = chance.randint(0, 20)
        subscription = log.broker.subscribe(start)
        received[reader] = seqs = list(range(1, start + 1))
        while len(seqs) < total:
            with trio.CancelScope() as scope:
                if chance.random() < 0.3:
                    scope.deadline = trio.current_time() + chance.random() * 0.0005
                seqs += [record.seq for record in await subscription.receive(chance.randint(1, 20))]
            await _pause(chance)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            for reader in range(6):
                nursery.start_soon(read, reader)
    assert list(received.values()) == [list(range(1, total + 1))] * 6


async def _pause(chance: random.Random) -> None:
    for _ in range(chance.randint(0, 3)):
        await trio.lowlevel.checkpoint()
