"""An open SQLite database whose connections a test may reach, to put faults into them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from moltnet.storage.sql.sqlite_database import SqliteDatabase, open_database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "moltnet.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[SqliteDatabase]:
    # A lock held by someone else is given up on after this time instead of after seconds.
    async with open_database(path, busy_timeout_ms=20) as opened:
        yield opened
