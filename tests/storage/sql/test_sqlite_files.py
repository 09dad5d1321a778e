"""Who may read the files, whose directory it is, and how many servers one database has."""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import trio

from moltnet.storage.sql.sqlite import open_sqlite
from moltnet.storage.store import StorageError, StorageFull, StoreInUse
from tests.storage.examples import NETWORK, create_room
from tests.storage.sql.raw import raw_connection

HOLD = r"""
import os, sys, trio
from pathlib import Path
from moltnet.storage.sql.sqlite import open_sqlite

async def main():
    async with open_sqlite(Path(sys.argv[1]), "net_a"):
        os.write(1, b"open\n")
        await trio.sleep_forever()

trio.run(main)
"""


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.fixture
def generous_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("generous_umask")
async def test_all_files_are_private_whatever_the_umask(path: Path) -> None:
    async with open_sqlite(path, NETWORK) as store:
        await store.commit([create_room()])
        await store.load_directory()
        files = {file.name: mode_of(file) for file in path.parent.iterdir()}
    names = ["moltnet.db", "moltnet.db-shm", "moltnet.db-wal", "moltnet.db.lock"]
    assert files == dict.fromkeys(names, 0o600)


@pytest.mark.usefixtures("generous_umask")
async def test_the_files_of_a_database_that_others_could_read_become_private(path: Path) -> None:
    async with open_sqlite(path, NETWORK) as store:
        await store.commit([create_room()])
    path.chmod(0o644)
    with raw_connection(path) as other_program:
        # While it looks, the log and its index exist with the database's old mode.
        other_program.execute("SELECT count(*) FROM events").fetchone()
        assert mode_of(path.with_name("moltnet.db-wal")) == 0o644
        async with open_sqlite(path, NETWORK):
            assert {mode_of(file) for file in path.parent.iterdir()} == {0o600}


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o1777])
async def test_an_existing_directory_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    """The reference made the parent 0700, whatever it was: `/data`, or a shared directory."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(mode)
    async with open_sqlite(shared / "moltnet.db", NETWORK):
        pass
    assert mode_of(shared) == mode


@pytest.mark.usefixtures("generous_umask")
async def test_missing_directories_are_made_for_the_owner_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    async with open_sqlite(tmp_path / "a" / "b" / "moltnet.db", NETWORK):
        pass
    assert [mode_of(each) for each in (tmp_path, tmp_path / "a", tmp_path / "a" / "b")] == [0o755, 0o700, 0o700]


async def test_a_second_server_on_the_same_database_is_refused_and_told_who_has_it(path: Path) -> None:
    async with open_sqlite(path, NETWORK) as store:
        with pytest.raises(StoreInUse, match=f"in use by process {os.getpid()}: .*stop the other one"):
            async with open_sqlite(path, NETWORK):
                pass
        await store.commit([create_room()])
    async with open_sqlite(path, NETWORK) as store:
        assert len((await store.load_directory()).rooms) == 1


async def test_a_process_that_is_just_being_started_does_not_keep_the_database_locked(path: Path) -> None:
    async with open_sqlite(path, NETWORK):
        lock = f"{path}.lock"
        (held,) = (each for each in Path("/proc/self/fd").iterdir() if each.is_symlink() and os.readlink(each) == lock)
        # What a fork does to it, until the new program begins.
        inherited = os.dup(int(held.name))
    try:
        async with open_sqlite(path, NETWORK):
            pass
    finally:
        os.close(inherited)


async def test_a_link_to_the_database_meets_the_same_lock(path: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    async with open_sqlite(path, NETWORK):
        (elsewhere / "link.db").symlink_to(path)
        with pytest.raises(StoreInUse):
            async with open_sqlite(elsewhere / "link.db", NETWORK):
                pass


async def test_the_database_is_free_again_after_opening_it_failed(path: Path) -> None:
    path.write_text("this is no database, and long enough to look like a header of one or of something else\n" * 9)
    for _ in range(2):
        with pytest.raises(StorageError, match="not an SQLite database"):
            async with open_sqlite(path, NETWORK):
                pass
    path.unlink()
    async with open_sqlite(path, NETWORK):
        pass


@pytest.mark.parametrize("obstacle", ["file", "directory"])
async def test_a_path_that_cannot_be_opened_is_named(tmp_path: Path, obstacle: str) -> None:
    path = tmp_path / "obstacle"
    if obstacle == "file":
        path.write_text("not a directory")
        path = path / "moltnet.db"
    else:
        path.mkdir()
    with pytest.raises(StorageError, match=f"can't open {path}: ") as refused:
        async with open_sqlite(path, NETWORK):
            pass
    assert not isinstance(refused.value, StorageFull)


@pytest.mark.slow
async def test_a_database_is_refused_while_another_process_has_it_and_free_once_that_is_killed(path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(path)]
    async with trio.open_nursery() as nursery:
        holder = await nursery.start(partial(trio.run_process, command, stdout=subprocess.PIPE, check=False))
        assert await holder.stdout.receive_some() == b"open\n"
        with pytest.raises(StoreInUse, match=f"in use by process {holder.pid}:"):
            async with open_sqlite(path, NETWORK):
                pass
        holder.kill()
    async with open_sqlite(path, NETWORK) as store:
        await store.commit([create_room()])
