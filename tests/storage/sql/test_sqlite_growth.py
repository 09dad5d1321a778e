"""How large the files get: places of what was pruned are used again, and a log that had to grow is cut back."""

import sqlite3
import time
from pathlib import Path

import pytest
import trio

from moltnet.protocol.ids import NetworkId
from moltnet.storage import limits
from moltnet.storage.backup.format import Selection
from moltnet.storage.sql.sqlite import SqliteStore, open_sqlite
from moltnet.storage.sql.sqlite_backup import open_sqlite_source
from moltnet.storage.sql.sqlite_database import SqliteDatabase
from moltnet.storage.store import Store
from tests.contracts.store_pruning import prune
from tests.storage.examples import NETWORK, create_room, post
from tests.storage.sql.raw import raw_connection, raw_value

TEXT = "x" * 2000


async def write(store: Store, name: str, seconds: float) -> None:
    for start in range(0, 1000, 250):
        await store.commit([post(f"{name}{start + each}", text=TEXT, seconds=seconds) for each in range(250)])


async def test_what_is_pruned_makes_room_for_what_comes(path: Path) -> None:
    async with open_sqlite(path, NETWORK) as store:
        await store.commit([create_room()])
        await write(store, "first", 0)
    size_bytes = path.stat().st_size
    async with open_sqlite(path, NETWORK) as store:
        for number in range(1, 5):
            await write(store, f"round{number}", number * 100)
            await store.commit([prune(number * 100 - 50, number * 100 - 50)])
    # Two rounds at most are there at once.
    assert path.stat().st_size < 2.5 * size_bytes
    assert raw_value(path, "SELECT count(*) FROM messages") == 1000


async def test_a_log_that_grew_during_a_backup_is_cut_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SQLITE_LOG_BYTES", 1024 * 1024)
    monkeypatch.setattr(limits, "SQLITE_CHECKPOINT_PAGES", 100)
    log = path.with_name(path.name + "-wal")
    async with open_sqlite(path, NETWORK) as store:
        await store.commit([create_room()])
        async with open_sqlite_source(path, NetworkId(NETWORK), Selection()):
            await write(store, "during", 0)
            assert log.stat().st_size > 2 * 1024 * 1024
        for number in range(3):
            await store.commit([post(f"after{number}")])
        assert log.stat().st_size <= 1024 * 1024


@pytest.fixture
def small_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SQLITE_LOG_BYTES", 1024 * 1024)
    monkeypatch.setattr(limits, "SQLITE_CHECKPOINT_PAGES", 100)


async def test_a_log_under_readers_that_overlap_all_the_time_stays_small(path: Path, small_log: None) -> None:
    """SQLite alone begins it anew only when nobody reads, which under load may be never."""
    log, largest_bytes = path.with_name(path.name + "-wal"), 0
    async with open_sqlite(path, NETWORK) as store:
        assert isinstance(store, SqliteStore)
        await store.commit([create_room()])
        last_reads = [0] * limits.SQLITE_READERS

        def read_slowly(connection: sqlite3.Connection) -> None:
            connection.execute("SELECT count(*) FROM events").fetchone()
            time.sleep(0.003)

        async def read(database: SqliteDatabase, reader: int) -> None:
            while True:
                await database.read(read_slowly)
                last_reads[reader] += 1

        async with trio.open_nursery() as nursery:
            for reader in range(limits.SQLITE_READERS):
                nursery.start_soon(read, store.database, reader)
            for number in range(20):
                before = log.stat().st_size
                await store.commit([post(f"{number}-{each}", text=TEXT) for each in range(100)])
                largest_bytes = max(largest_bytes, log.stat().st_size)
                assert log.stat().st_size <= max(before, limits.SQLITE_LOG_BYTES)
            nursery.cancel_scope.cancel()
    assert all(last_reads)
    assert 0 < largest_bytes <= limits.SQLITE_LOG_BYTES
    assert raw_value(path, "SELECT count(*) FROM messages") == 2000


async def test_another_program_that_reads_for_long_holds_up_nobody_and_is_told_of(
    path: Path, small_log: None, caplog: pytest.LogCaptureFixture
) -> None:
    log = path.with_name(path.name + "-wal")
    async with open_sqlite(path, NETWORK) as store:
        await store.commit([create_room()])
        with raw_connection(path) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM events").fetchone()
            # Each commit would wait for as long as the busy timeout if it waited for that reader.
            with trio.fail_after(limits.SQLITE_BUSY_TIMEOUT_MS / 1000 * 3):
                for number in range(20):
                    await store.commit([post(f"{number}-{each}", text=TEXT) for each in range(100)])
            grown_bytes = log.stat().st_size
            assert grown_bytes > 2 * limits.SQLITE_LOG_BYTES
            warnings = [record for record in caplog.records if "can't be cut and grows" in record.getMessage()]
            # Not with every commit.
            assert 1 <= len(warnings) <= grown_bytes / limits.SQLITE_LOG_BYTES
        for number in range(3):
            await store.commit([post(f"after{number}")])
        assert log.stat().st_size <= limits.SQLITE_LOG_BYTES


async def test_a_log_that_can_not_be_cut_fails_no_commit(path: Path, small_log: None) -> None:
    """What was committed is committed, whatever becomes of the log."""
    async with open_sqlite(path, NETWORK) as store:
        assert isinstance(store, SqliteStore)
        await store.commit([create_room()])
        writer = store.database.writer
        # Of which a checkpoint that empties the log would have to ask.
        writer.set_authorizer(
            lambda action, name, *_: (
                sqlite3.SQLITE_DENY
                if (action, name) == (sqlite3.SQLITE_PRAGMA, "wal_checkpoint")
                else sqlite3.SQLITE_OK
            )
        )
        for number in range(10):
            await store.commit([post(f"{number}-{each}", text=TEXT) for each in range(100)])
        writer.set_authorizer(None)
    assert raw_value(path, "SELECT count(*) FROM messages") == 1000
