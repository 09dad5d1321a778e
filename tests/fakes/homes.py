"""Where a network's data lives while its servers come and go, whatever kind of store it is."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
import pytest

from moltnet.config.secrets import Secret
from moltnet.config.settings import MoltnetConfig
from moltnet.protocol.times import WallClock, utc_now
from moltnet.storage.factory import AVAILABLE_KINDS, MEMORY, POSTGRES, open_store
from moltnet.storage.memory import MemoryStore
from moltnet.storage.store import Store
from tests.fakes.network import NETWORK, TestServer, open_test_server

KINDS: Final = AVAILABLE_KINDS


def _as_it_is(store: Store) -> Store:
    return store


@attrs.define(eq=False)
class Home:
    """The data of one network. `serve` may be called again and again; a store in memory is kept in between."""

    kind: str
    directory: Path
    postgres_dsn: Secret | None = None
    _in_memory: MemoryStore = attrs.field(init=False, factory=lambda: MemoryStore(NETWORK))

    @property
    def database(self) -> Path:
        """The file of a store that has one."""
        return self.directory / "data" / "moltnet.db"

    @asynccontextmanager
    async def open_store(self) -> AsyncIterator[Store]:
        if self.kind == MEMORY:
            yield self._in_memory
            return
        path = self.database
        async with open_store(
            self.kind, json_path=path, sqlite_path=path, postgres_dsn=self.postgres_dsn, network_id=NETWORK
        ) as store:
            yield store

    @asynccontextmanager
    async def serve(
        self,
        config: MoltnetConfig | None = None,
        *,
        wrap: Callable[[Store], Store] = _as_it_is,
        clock: WallClock = utc_now,
    ) -> AsyncIterator[TestServer]:
        """A real server on the data; `wrap` may put a store with faults around the store."""
        async with self.open_store() as store, open_test_server(config, store=wrap(store), clock=clock) as server:
            yield server


def home_of(kind: str, request: pytest.FixtureRequest, directory: Path) -> Home:
    """An empty one. For PostgreSQL the fixtures of `tests.fakes.postgres` must be there."""
    dsn = Secret(request.getfixturevalue("postgres_dsn")) if kind == POSTGRES else None
    return Home(kind, directory, dsn)
