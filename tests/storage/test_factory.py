"""Which store a configuration means, and what is said when it means none."""

from pathlib import Path

import pytest

from moltnet.storage.factory import UnsupportedStorage, open_store
from moltnet.storage.memory import MemoryStore
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


@pytest.mark.parametrize("kind", ["json", "postgres", "mongodb", ""])
def test_a_kind_that_is_not_there_is_refused_with_those_that_are(kind: str) -> None:
    with pytest.raises(UnsupportedStorage, match=f'"{kind}" is not available .*; available are memory, sqlite'):
        open_store(kind, network_id=NETWORK)


def test_sqlite_needs_a_path() -> None:
    with pytest.raises(UnsupportedStorage, match="needs a path"):
        open_store("sqlite", network_id=NETWORK)
