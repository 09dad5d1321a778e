"""A new store of each kind, for the contract that they share."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from moltnet.config.secrets import Secret
from moltnet.storage.factory import AVAILABLE_KINDS, POSTGRES, open_store
from moltnet.storage.sql.sqlite import open_sqlite
from moltnet.storage.store import Store
from tests.fakes.hosted import open_hosted
from tests.storage.examples import NETWORK

HOSTED = "hosted"


@pytest.fixture(params=(*AVAILABLE_KINDS, HOSTED))
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> AbstractAsyncContextManager[Store]:
    """A store that is not open yet."""
    kind: str = request.param
    if kind == HOSTED:
        return open_hosted(open_sqlite(tmp_path / "moltnet.db", NETWORK), NETWORK)
    return open_store(
        kind,
        json_path=tmp_path / "moltnet.json",
        sqlite_path=tmp_path / "moltnet.db",
        postgres_dsn=Secret(request.getfixturevalue("postgres_dsn")) if kind == POSTGRES else None,
        network_id=NETWORK,
    )


@pytest.fixture
async def store(new_store: AbstractAsyncContextManager[Store]) -> AsyncIterator[Store]:
    async with new_store as opened:
        yield opened
