"""Disks that are full or read-only, rows that are damaged, code that fails in the middle: nothing half is kept."""

import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from moltnet.protocol.ids import EventId
from moltnet.protocol.pages import PageRequest
from moltnet.storage import limits
from moltnet.storage.commands import DeclareRoom, RecordEvents
from moltnet.storage.records import StoredRoom
from moltnet.storage.sql.sqlite import SqliteStore, open_sqlite, sqlite_store
from moltnet.storage.sql.sqlite_database import SqliteDatabase
from moltnet.storage.store import StorageError, StorageFull, Store
from tests.contracts.store_messages import wake
from tests.fakes.http_client import http_client
from tests.fakes.network import open_test_server, room_message
from tests.storage.examples import GENERAL, NETWORK, create_room, post, room, room_history
from tests.storage.sql.raw import raw_connection, raw_value

LARGE = "x" * 100_000


@pytest.fixture
async def store(database: SqliteDatabase) -> SqliteStore:
    opened = await sqlite_store(database, NETWORK)
    await opened.commit([create_room(), post("before")])
    return opened


async def set_on_writer(store: SqliteStore, pragma: str) -> None:
    await store.database.write(lambda connection: connection.execute(f"PRAGMA {pragma}").fetchall())


async def assert_unchanged_and_working(store: SqliteStore) -> None:
    """A failed commit left nothing, and the next one goes through with the next number."""
    assert (await store.event_bounds()).newest_seq == 2
    assert (await store.message_page(room_history(), PageRequest())).last_id == "before"
    committed = await store.commit([post("after", text=LARGE)])
    assert [record.seq for record in committed.records] == [3]
    assert (await store.message_page(room_history(), PageRequest())).last_id == "after"
    assert raw_value(store.database.path, "PRAGMA integrity_check") == "ok"


async def test_a_full_database_refuses_and_works_again_when_there_is_room(store: SqliteStore) -> None:
    await set_on_writer(store, "max_page_count = 1")  # SQLite makes it the present size
    with pytest.raises(StorageFull, match="full"):
        await store.commit([post("small"), post("large", text=LARGE)])
    await set_on_writer(store, "max_page_count = 1000000")
    await assert_unchanged_and_working(store)


async def test_a_read_only_database_refuses_and_is_not_ready(store: SqliteStore) -> None:
    """Health of the reference is a ping: a read-only or full disk reports ready."""
    store.database.writer.execute("PRAGMA query_only = ON")
    with pytest.raises(StorageFull, match="readonly"):
        await store.commit([post("refused")])
    with pytest.raises(StorageFull, match="readonly"):
        await store.check_writable()
    store.database.writer.execute("PRAGMA query_only = OFF")
    await store.check_writable()
    await assert_unchanged_and_working(store)


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """What a quota does: the kernel refuses to let a file grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_quota_refuses_and_the_store_works_again_without_it(store: SqliteStore) -> None:
    with largest_file(256 * 1024), pytest.raises(StorageFull):
        await store.commit([post(f"large{number}", text=LARGE) for number in range(4)])
    await assert_unchanged_and_working(store)


async def test_a_disk_with_little_room_left_is_not_ready(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MIN_FREE_BYTES", 2**62)
    with pytest.raises(StorageFull, match="bytes are free"):
        await store.check_writable()


async def test_a_database_whose_file_was_removed_is_not_ready(store: SqliteStore) -> None:
    """SQLite goes on writing into the removed file: every answer would be a lie after the next restart."""
    moved = store.database.path.rename(store.database.path.with_name("elsewhere.db"))
    with pytest.raises(StorageError, match="is gone"):
        await store.check_writable()
    moved.rename(store.database.path)
    await store.check_writable()


async def test_nothing_is_written_once_the_database_file_was_removed(store: SqliteStore) -> None:
    await store.commit([post("before")])
    store.database.path.unlink()
    for _ in range(2):  # it does not come to terms with that either
        with pytest.raises(StorageError, match=r"moltnet\.db is gone: No such file"):
            await store.commit([post("lost")])
    newest = (await store.message_page(room_history(), PageRequest())).items[-1]
    assert b'"before"' in newest


async def test_nothing_is_written_once_another_file_lies_at_the_path(store: SqliteStore) -> None:
    path = store.database.path
    path.rename(path.with_name("elsewhere.db"))
    shutil.copyfile(path.with_name("elsewhere.db"), path)
    with pytest.raises(StorageError, match=r"moltnet\.db is gone: another file has taken its place"):
        await store.commit([post("lost")])
    with pytest.raises(StorageError, match="another file"):
        await store.check_writable()


async def test_a_server_whose_database_was_removed_accepts_nothing_until_it_is_restarted(path: Path) -> None:
    async with open_sqlite(path, NETWORK) as store, open_test_server(store=store) as server:
        client = http_client(server)
        assert (await client.post("/v1/messages", room_message(message_id="before"))).status == 202
        for file in path.parent.glob("moltnet.db*"):
            file.unlink()
        for answer in (
            await client.post("/v1/messages", room_message(message_id="lost")),
            await client.post("/v1/messages", room_message(message_id="before")),
            await client.get("/readyz"),
        ):
            assert (answer.status, answer.code) == (503, "storage_unavailable")
        page = await client.get("/v1/rooms/general/messages")
        assert b"lost" not in page.body
    async with open_sqlite(path, NETWORK) as store, open_test_server(store=store) as server:
        client = http_client(server)
        assert (await client.get("/readyz")).status == 200
        assert (await client.post("/v1/messages", room_message(message_id="after"))).status == 202


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting needs root")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


async def commits_until_full(store: Store) -> int:
    for accepted in range(100):
        try:
            await store.commit([post(f"m{accepted}", text=LARGE)])
        except StorageFull:
            return accepted
    return 100


@pytest.mark.slow
async def test_a_full_disk_refuses_keeps_serving_reads_and_works_again_when_there_is_room(small_disk: Path) -> None:
    async with open_sqlite(small_disk / "moltnet.db", NETWORK) as store:
        await store.commit([create_room()])
        await store.check_writable()
        filler = small_disk / "filler"
        filler.write_bytes(b"x" * 20 * 1024 * 1024)
        with pytest.raises(StorageFull, match="bytes are free"):
            await store.check_writable()
        accepted = await commits_until_full(store)
        assert 0 < accepted < 100
        assert (await store.message_page(room_history(), PageRequest())).last_id == f"m{accepted - 1}"
        filler.unlink()
        await store.commit([post("after", text=LARGE)])
        assert (await store.event_bounds()).newest_seq == accepted + 2
    async with open_sqlite(small_disk / "moltnet.db", NETWORK) as store:
        assert (await store.event_bounds()).newest_seq == accepted + 2
    assert raw_value(small_disk / "moltnet.db", "PRAGMA integrity_check") == "ok"


async def test_a_crash_of_the_planner_rolls_the_transaction_back(store: SqliteStore) -> None:
    broken = attrs.evolve(post("broken"), body="not bytes")  # type: ignore[arg-type]  # the bug that is acted out
    with pytest.raises(TypeError):
        await store.commit([post("neighbour"), broken])
    await assert_unchanged_and_working(store)


async def test_a_violated_constraint_is_a_bug_and_not_an_error_of_the_storage(store: SqliteStore) -> None:
    """Whoever commits can then try the commands one by one, and only the broken one fails."""
    event = wake("evt_twice")
    with pytest.raises(sqlite3.IntegrityError):
        await store.commit([post("neighbour"), RecordEvents((event, attrs.evolve(event, id=EventId("evt_twice"))))])
    await assert_unchanged_and_working(store)


async def test_a_removed_room_that_is_declared_again_comes_back_empty_of_old_members(store: SqliteStore) -> None:
    await store.commit([create_room("gone", "old"), post("m1", "gone")])
    with raw_connection(store.database.path) as connection:
        connection.execute("UPDATE rooms SET removed_at = '2026-01-02T03:04:05Z' WHERE id = 'gone'")
        connection.execute("DELETE FROM room_members WHERE room_id = 'gone'")
    assert [stored.room.id for stored in (await store.load_directory()).rooms] == [GENERAL]
    await store.commit([DeclareRoom(room("gone", "new"), "digest")])
    assert StoredRoom(room("gone", "new"), "digest") in (await store.load_directory()).rooms
    assert (await store.message_page(room_history("gone"), PageRequest())).last_id == "m1"


@pytest.mark.parametrize(
    ("damage", "read"),
    [
        ("UPDATE events SET addressed = '{' WHERE seq = 2", lambda store: store.events_after(0, 10)),
        ("DELETE FROM messages", lambda store: store.events_after(0, 10)),
        ("DROP TABLE room_members", lambda store: store.load_directory()),
    ],
)
async def test_a_damaged_row_is_an_error_and_not_a_shorter_page(
    store: SqliteStore, damage: str, read: Callable[[SqliteStore], Awaitable[Any]]
) -> None:
    """The reference skips rows that it can't read and counts `has_more` on what is left."""
    with raw_connection(store.database.path) as connection:
        connection.execute(damage)
    with pytest.raises(StorageError):
        await read(store)
