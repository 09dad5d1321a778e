"""Connections and threads: what is set on each connection, what a cancelled caller leaves behind, how it all ends."""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from moltnet.storage import limits
from moltnet.storage.sql.sqlite_database import SqliteDatabase, open_database
from moltnet.storage.store import StorageError
from tests.storage.sql.raw import raw_connection, raw_value

PATIENCE_SECONDS = 30  # a thread that is never released fails its test instead of hanging it

PutNote = Callable[[sqlite3.Connection], None]


def setting(name: str) -> Callable[[sqlite3.Connection], object]:
    return lambda connection: connection.execute(f"PRAGMA {name}").fetchone()[0]


def put_note(text: str) -> PutNote:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO meta VALUES (?, '')", (text,))

    return work


def notes(connection: sqlite3.Connection) -> list[str]:
    return [key for (key,) in connection.execute("SELECT key FROM meta ORDER BY key")]


class Held:
    """Work that stops in the middle until the test lets it go."""

    def __init__(self, work: Callable[[sqlite3.Connection], object]) -> None:
        self._work = work
        self._go = threading.Event()
        self.started = trio.Event()
        self.finished = False

    def __call__(self, connection: sqlite3.Connection) -> object:
        result = self._work(connection)
        trio.from_thread.run_sync(self.started.set)
        assert self._go.wait(PATIENCE_SECONDS)
        self.finished = True
        return result

    def release(self) -> None:
        self._go.set()

    async def release_when_all_wait(self) -> None:
        await trio.testing.wait_all_tasks_blocked()
        self.release()


async def test_every_connection_is_durable_strict_and_patient(path: Path) -> None:
    """The reference sets its pragmas once, on whichever connection is open then, and leaves `synchronous` alone."""
    full, normal_wait = 2, limits.SQLITE_BUSY_TIMEOUT_MS
    async with open_database(path) as database:
        for connection in (database.writer, *database.readers):
            assert setting("busy_timeout")(connection) == normal_wait
            assert setting("foreign_keys")(connection) == 1
            assert setting("journal_mode")(connection) == "wal"
        assert setting("synchronous")(database.writer) == full
        assert setting("wal_autocheckpoint")(database.writer) == 2000
        assert setting("cache_size")(database.writer) == -8192
        assert len(database.readers) == limits.SQLITE_READERS
        for reader in database.readers:
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                reader.execute("DELETE FROM meta")


async def test_the_log_is_merged_into_the_database_when_it_is_closed(path: Path) -> None:
    async with open_database(path) as database:
        await database.write(put_note("kept"))
    assert {file.name for file in path.parent.iterdir()} == {"moltnet.db", "moltnet.db.lock"}
    assert raw_value(path, "SELECT key FROM meta") == "kept"


async def test_work_that_raises_writes_nothing(database: SqliteDatabase) -> None:
    def work(connection: sqlite3.Connection) -> None:
        put_note("lost")(connection)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(work)
    await database.write(put_note("kept"))
    assert await database.read(notes) == ["kept"]


async def test_a_write_that_is_cancelled_after_it_started_is_finished(database: SqliteDatabase) -> None:
    held = Held(put_note("kept"))
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(database.write, held)
            await held.started.wait()
            scope.cancel()
            with trio.CancelScope(shield=True):
                await held.release_when_all_wait()
    assert held.finished
    assert await database.read(notes) == ["kept"]


async def test_a_write_that_is_cancelled_while_it_waits_for_its_turn_does_not_happen(database: SqliteDatabase) -> None:
    held = Held(put_note("first"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(database.write, held)
        await held.started.wait()
        with trio.move_on_after(0) as scope:
            await database.write(put_note("second"))
        assert scope.cancelled_caught
        held.release()
    assert await database.read(notes) == ["first"]


async def test_a_read_that_is_cancelled_lets_its_caller_go_and_keeps_its_connection(database: SqliteDatabase) -> None:
    held = [Held(notes) for _ in range(limits.SQLITE_READERS)]
    async with trio.open_nursery() as nursery:
        for each in held:
            nursery.start_soon(database.read, each)
            await each.started.wait()
        nursery.cancel_scope.cancel(reason="the clients are gone")
    # Nobody waits for the reads any more, but all connections are still busy with them.
    with trio.move_on_after(0) as scope:
        await database.read(notes)
    assert scope.cancelled_caught
    held[0].release()
    assert await database.read(notes) == []
    for each in held:
        each.release()


async def test_closing_waits_for_an_abandoned_read(path: Path) -> None:
    held = Held(notes)
    waiting: list[int] = []
    async with trio.open_nursery() as outer:
        async with open_database(path) as database:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(database.read, held)
                await held.started.wait()
                nursery.cancel_scope.cancel(reason="the client is gone")

            async def release_while_closing() -> None:
                await trio.testing.wait_all_tasks_blocked()
                waiting.append(database.read_limiter.statistics().tasks_waiting)
                held.release()

            outer.start_soon(release_while_closing)
        assert held.finished
    assert waiting == [1]


async def test_a_block_that_is_cancelled_closes_the_database_all_the_same(path: Path) -> None:
    with trio.CancelScope() as scope:
        async with open_database(path) as database:
            await database.write(put_note("kept"))
            scope.cancel(reason="the server stops")
            await trio.sleep_forever()
    async with open_database(path) as database:
        assert await database.read(notes) == ["kept"]


async def test_readers_work_beside_a_writer_in_the_middle_of_a_transaction(database: SqliteDatabase) -> None:
    """The reference has one connection: a listing waits for every commit before it."""
    await database.write(put_note("before"))
    held = Held(put_note("during"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(database.write, held)
        await held.started.wait()
        assert await database.read(notes) == ["before"]
        assert not held.finished
        held.release()
    assert await database.read(notes) == ["before", "during"]


async def test_a_read_sees_one_state_from_beginning_to_end(database: SqliteDatabase) -> None:
    await database.write(put_note("before"))

    def twice(connection: sqlite3.Connection) -> tuple[list[str], list[str]]:
        first = notes(connection)
        trio.from_thread.run(database.write, put_note("meanwhile"))
        return first, notes(connection)

    assert await database.read(twice) == (["before"], ["before"])
    assert await database.read(notes) == ["before", "meanwhile"]


async def test_a_database_that_another_program_holds_is_an_error_in_bounded_time(
    database: SqliteDatabase, path: Path
) -> None:
    with raw_connection(path) as backup:
        backup.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked"):
            await database.write(put_note("refused"))
        assert await database.read(notes) == []
        backup.execute("ROLLBACK")
    await database.write(put_note("accepted"))
    assert await database.read(notes) == ["accepted"]


async def test_a_transaction_that_could_not_be_rolled_back_does_not_spoil_its_connection(
    database: SqliteDatabase,
) -> None:
    for connection in (database.writer, *database.readers):
        connection.execute("BEGIN")
    put_note("half-finished")(database.writer)

    await database.write(put_note("accepted"))

    assert await database.read(notes) == ["accepted"]
