"""Old events and messages: when they go, who does not notice, and what it costs those who write meanwhile."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import attrs
import pytest
import trio
import trio.testing

from moltnet.config.settings import MoltnetConfig
from moltnet.journal import open_journal
from moltnet.metrics import RetentionMetrics, new_metrics
from moltnet.protocol.events import EventType
from moltnet.protocol.pages import PageRequest
from moltnet.retention import Retention, open_retention, prune_old
from moltnet.storage import limits
from moltnet.storage.commands import AppendMessage, Prune
from moltnet.storage.store import StorageError
from tests.contracts.store_messages import ids_of
from tests.fakes.attach_client import attach, open_wire
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.network import network_config, open_test_app, post_texts
from tests.storage.examples import create_room, room_history
from tests.storage.examples import post as post_command

DAY = timedelta(days=1)
INTERVAL = limits.PRUNE_INTERVAL_SECONDS


@attrs.define(eq=False)
class SetClock:
    """A wall clock that stands still until it is set."""

    now: datetime = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def config_with(*, events: timedelta = 7 * DAY, messages: timedelta | None = None) -> MoltnetConfig:
    config = network_config()
    storage = attrs.evolve(
        config.storage,
        event_retention_seconds=int(events.total_seconds()),
        message_retention_seconds=None if messages is None else int(messages.total_seconds()),
    )
    return attrs.evolve(config, storage=storage)


async def seqs(store: FaultyStore) -> list[int]:
    return [record.seq for record in await store.events_after(0, 10_000)]


class TestNetwork:
    async def test_events_go_when_they_are_old_and_messages_stay(self, autojump_clock: trio.testing.MockClock) -> None:
        clock, store = SetClock(), FaultyStore()
        async with open_test_app(config_with(), store=store, clock=clock) as app:
            await post_texts(app, "one", "two")
            clock.now += 6 * DAY
            await post_texts(app, "three")
            await trio.sleep(INTERVAL * 1.5)
            assert await seqs(store) == [1, 2, 3, 4]
            clock.now += 1.5 * DAY
            await trio.sleep(INTERVAL)
            assert await seqs(store) == [4]
            page = await store.message_page(room_history(), PageRequest())
            assert len(page.items) == 3
            text, _ = app.metrics.text()
            assert b"moltnet_pruned_events_total 3.0" in text
            assert b"moltnet_pruned_messages_total 0.0" in text

    async def test_messages_go_later_if_the_file_says_so(self, autojump_clock: trio.testing.MockClock) -> None:
        clock, store = SetClock(), FaultyStore()
        async with open_test_app(config_with(messages=30 * DAY), store=store, clock=clock) as app:
            await post_texts(app, "one", "two")
            for days, left in ((29, 3), (2, 1)):
                clock.now += days * DAY
                await post_texts(app, "new")
                await trio.sleep(INTERVAL * 1.5)
                page = await store.message_page(room_history(), PageRequest())
                assert len(page.items) == left + (days == 2)
            text, _ = app.metrics.text()
            assert b"moltnet_pruned_messages_total 2.0" in text

    async def test_a_cursor_within_the_retention_misses_nothing_and_an_older_one_is_told(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        clock, store = SetClock(), FaultyStore()
        async with open_test_app(config_with(), store=store, clock=clock) as app:
            await post_texts(app, "old")
            old = app.broker.newest_id
            clock.now += 4 * DAY
            await post_texts(app, "young")
            young = app.broker.newest_id
            clock.now += 4 * DAY
            await post_texts(app, "new")
            await trio.sleep(INTERVAL * 1.5)
            position = await app.broker.locate(young, clock())
            assert (position.seq, position.gap) == (3, None)
            told = await app.broker.locate(old, clock())
            assert told.gap is not None
            assert told.gap.type == EventType.REPLAY_GAP
            assert told.seq == 2

    async def test_an_attachment_stays_while_what_it_has_seen_goes(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        clock, store = SetClock(), FaultyStore()
        async with open_test_app(config_with(), store=store, clock=clock) as app, open_wire(app) as wire:
            await attach(wire, "alpha")
            await post_texts(app, "one")
            clock.now += 8 * DAY
            await trio.sleep(INTERVAL * 1.5)
            before = app.broker.newest_seq
            await post_texts(app, "two")
            assert app.broker.newest_seq == before + 1

    async def test_a_restart_after_pruning_goes_on_counting(self, autojump_clock: trio.testing.MockClock) -> None:
        clock, store = SetClock(), FaultyStore()
        async with open_test_app(config_with(), store=store, clock=clock) as app:
            await post_texts(app, "one", "two")
            clock.now += 8 * DAY
            await trio.sleep(INTERVAL * 1.5)
            assert await seqs(store) == [3]
        async with open_test_app(config_with(), store=store, clock=clock) as app:
            await post_texts(app, "three")
            assert await seqs(store) == [3, 4]


class TestService:
    async def test_a_storage_that_fails_is_asked_again_later(self, autojump_clock: trio.testing.MockClock) -> None:
        clock, store = SetClock(), FaultyStore()
        async with open_journal(store, lambda committed: None) as journal:
            await journal.commit(create_room())
            await journal.commit(post_command("m1"))
            clock.now += 8 * DAY
            store.failures.append(StorageError("no disk"))
            async with open_retention(journal, Retention(DAY), clock):
                await trio.sleep(INTERVAL * 1.5)
                assert await seqs(store) == [1, 2]
                await trio.sleep(INTERVAL)
                assert await seqs(store) == [2]

    async def test_it_ends_with_its_block_also_in_the_middle_of_a_step(self) -> None:
        store = FaultyStore()
        async with open_journal(store, lambda committed: None) as journal:
            with trio.fail_after(30):
                async with open_retention(journal, Retention(DAY), SetClock()):
                    await trio.testing.wait_all_tasks_blocked()
                store.hold()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(prune_old, journal, Retention(DAY), SetClock(), RetentionMetrics.on())
                    await trio.testing.wait_all_tasks_blocked()
                    nursery.cancel_scope.cancel()
            store.release()

    async def test_whoever_writes_has_a_turn_between_two_steps(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
    ) -> None:
        monkeypatch.setattr(limits, "MAX_PRUNED_ROWS", 5)
        clock, store, written = SetClock(), FaultyStore(), 0
        clock.now += 8 * DAY
        async with open_journal(store, lambda committed: None) as journal:
            await journal.commit(create_room())
            await store.commit([post_command(f"old{number}") for number in range(50)])
            store.batches.clear()

            async def write() -> None:
                nonlocal written
                while True:
                    await journal.commit(post_command(f"new{written}", seconds=10_000_000))
                    written += 1
                    await trio.sleep(limits.PRUNE_PAUSE_SECONDS / 4)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                await prune_old(journal, Retention(DAY), clock, RetentionMetrics.on())
                nursery.cancel_scope.cancel()
        kinds = [type(command) for batch in store.batches for command in batch]
        assert kinds.count(Prune) > 10
        assert (Prune, Prune) not in set(pairwise(kinds))
        assert kinds.count(AppendMessage) > 2 * kinds.count(Prune)
        assert await seqs(store) == list(range(52, 52 + written))


def test_what_is_pruned_is_counted() -> None:
    metrics = new_metrics()
    metrics.retention.pruned(3, 2)
    metrics.retention.pruned(1, 0)
    text, _ = metrics.text()
    assert b"moltnet_pruned_events_total 4.0" in text
    assert b"moltnet_pruned_messages_total 2.0" in text


async def test_messages_pruned_before_a_page_is_read_are_just_not_there() -> None:
    store = FaultyStore()
    await store.commit([create_room(), *(post_command(f"m{number}", seconds=number) for number in range(5))])
    cutoff = datetime(2026, 1, 2, 3, 4, 8, tzinfo=UTC)
    await store.commit([Prune(cutoff, cutoff, 100)])
    assert ids_of(await store.message_page(room_history(), PageRequest())) == ["m3", "m4"]
