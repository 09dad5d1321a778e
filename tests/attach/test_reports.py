import pytest
import trio
import trio.testing

from moltnet.attach.delivery import AttachedAgent, Reporter
from moltnet.attach.reports import Reports, open_reports
from moltnet.journal import open_journal
from moltnet.protocol import limits
from moltnet.protocol.identity import agent_fqid
from moltnet.protocol.times import Timestamp
from moltnet.storage.store import StorageError
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.network import NETWORK

REPORTER = Reporter(
    AttachedAgent(NETWORK, "alpha", agent_fqid(NETWORK, "alpha"), ""), lambda: Timestamp("2026-01-02T03:04:05Z")
)


async def stored(store: FaultyStore) -> list[str]:
    return [record.id for record in await store.events_after(0, 1000)]


def add(reports: Reports, count: int) -> list[str]:
    """Leave so many reports; their ids."""
    events = [REPORTER.connected() for _ in range(count)]
    for event in events:
        reports.add(event)
    return [event.id for event in events]


async def test_they_are_written_in_order_even_the_last_ones() -> None:
    store = FaultyStore()
    async with open_journal(store, lambda committed: None) as journal, open_reports(journal) as reports:
        added = add(reports, 5)
        await trio.testing.wait_all_tasks_blocked()
        assert await stored(store) == added
        added += add(reports, 5)
    assert await stored(store) == added


async def test_cancelled_the_last_ones_are_written_too() -> None:
    store = FaultyStore()
    with trio.CancelScope() as scope:
        async with open_journal(store, lambda committed: None) as journal, open_reports(journal) as reports:
            added = add(reports, 5)
            scope.cancel()
    assert await stored(store) == added


async def test_with_a_full_queue_they_are_dropped_and_counted_and_nobody_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_QUEUED_REPORTS", 2)
    store = FaultyStore()
    async with open_journal(store, lambda committed: None) as journal, open_reports(journal) as reports:
        store.hold()
        first = add(reports, 1)
        await trio.testing.wait_all_tasks_blocked()  # it is being written
        added = add(reports, 5)
        assert reports.dropped == 3
        store.release()
    assert await stored(store) == first + added[:2]


async def test_a_store_that_fails_loses_a_batch_and_no_more() -> None:
    store = FaultyStore()
    async with open_journal(store, lambda committed: None) as journal, open_reports(journal) as reports:
        store.failures.append(StorageError("hiccup"))
        add(reports, 1)
        await trio.testing.wait_all_tasks_blocked()
        kept = add(reports, 1)
    assert await stored(store) == kept


async def test_after_the_end_they_are_dropped() -> None:
    store = FaultyStore()
    async with open_journal(store, lambda committed: None) as journal:
        async with open_reports(journal) as reports:
            pass
        add(reports, 1)
    assert reports.dropped == 1
    assert await stored(store) == []
