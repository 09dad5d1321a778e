"""Which store a configuration means, and what is said when it means none."""

import subprocess
import sys
from pathlib import Path

import pytest

from moltnet.config.secrets import Secret
from moltnet.storage.factory import UnsupportedStorage, open_store
from moltnet.storage.memory import MemoryStore
from moltnet.storage.snapshot import JsonStore
from moltnet.storage.sql.sqlite import SqliteStore
from tests.storage.examples import NETWORK, create_room


async def test_memory_forgets_at_the_end_of_its_block() -> None:
    for _ in range(2):
        async with open_store("memory", network_id=NETWORK) as store:
            assert isinstance(store, MemoryStore)
            assert (await store.load_directory()).rooms == ()
            await store.commit([create_room()])


async def test_sqlite_remembers(tmp_path: Path) -> None:
    path = tmp_path / "moltnet.db"
    async with open_store("sqlite", sqlite_path=path, network_id=NETWORK) as store:
        assert isinstance(store, SqliteStore)
        await store.commit([create_room()])
    async with open_store("sqlite", sqlite_path=path, network_id=NETWORK) as store:
        assert len((await store.load_directory()).rooms) == 1


async def test_json_remembers(tmp_path: Path) -> None:
    path = tmp_path / "moltnet.json"
    async with open_store("json", json_path=path, network_id=NETWORK) as store:
        assert isinstance(store, JsonStore)
        await store.commit([create_room()])
    async with open_store("json", json_path=path, network_id=NETWORK) as store:
        assert len((await store.load_directory()).rooms) == 1


@pytest.mark.parametrize("kind", ["mongodb", ""])
def test_a_kind_that_is_not_there_is_refused_with_those_that_are(kind: str) -> None:
    with pytest.raises(
        UnsupportedStorage, match=f'"{kind}" is not available .*; available are memory, json, sqlite, postgres'
    ):
        open_store(kind, network_id=NETWORK)


async def test_postgres_remembers(postgres_dsn: str) -> None:
    dsn = Secret(postgres_dsn)
    async with open_store("postgres", postgres_dsn=dsn, network_id=NETWORK) as store:
        await store.commit([create_room()])
    async with open_store("postgres", postgres_dsn=dsn, network_id=NETWORK) as store:
        assert len((await store.load_directory()).rooms) == 1


def test_the_driver_of_postgres_is_loaded_only_for_postgres() -> None:
    code = "import sys, moltnet.app; sys.exit(not {'asyncpg', 'trio_asyncio'}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_postgres_needs_a_dsn() -> None:
    with pytest.raises(UnsupportedStorage, match="postgres storage needs a DSN"):
        open_store("postgres", network_id=NETWORK)


@pytest.mark.parametrize("kind", ["json", "sqlite"])
def test_a_file_needs_a_path(kind: str) -> None:
    with pytest.raises(UnsupportedStorage, match=f"{kind} storage needs a path"):
        open_store(kind, network_id=NETWORK)
