"""A new store of each kind, for the contract that they share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from moltnet.storage.factory import AVAILABLE_KINDS, open_store
from moltnet.storage.store import Store
from tests.storage.examples import NETWORK

pytest.register_assert_rewrite("tests.contracts")


@pytest.fixture(params=AVAILABLE_KINDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(request.param, sqlite_path=tmp_path / "moltnet.db", network_id=NETWORK) as opened:
        yield opened
