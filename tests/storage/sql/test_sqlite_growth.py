"""How large the files get: places of what was pruned are used again, and a log that had to grow is cut back."""

from pathlib import Path

import pytest

from moltnet.protocol.ids import NetworkId
from moltnet.storage import limits
from moltnet.storage.backup.format import Selection
from moltnet.storage.sql.sqlite import open_sqlite
from moltnet.storage.sql.sqlite_backup import open_sqlite_source
from moltnet.storage.store import Store
from tests.contracts.store_pruning import prune
from tests.storage.examples import NETWORK, create_room, post
from tests.storage.sql.raw import raw_value

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
