"""What a page costs on PostgreSQL, in blocks of 8 KiB that it touches: the same at the start and at the end."""

from collections.abc import Sequence
from typing import Any

import attrs
import orjson
import pytest

from moltnet.config.secrets import Secret
from moltnet.protocol.limits import REPLAY_PAGE_EVENTS
from moltnet.protocol.pages import PageRequest
from moltnet.storage.sql.postgres.database import Connection, PostgresDatabase, Result, Work
from moltnet.storage.sql.postgres.store import PostgresStore, open_postgres
from tests.fakes.postgres import PostgresServer
from tests.scale.large_network import fill
from tests.scale.pages import LISTINGS, PAGE_ITEMS
from tests.storage.examples import NETWORK

# A tree is a level higher or not, a page of rows begins in the middle of a block or not.
MORE_BLOCKS = 12


@attrs.define
class CountingConnection:
    """Asks for the plan of every query as it really ran, and then runs it again."""

    inner: Connection
    blocks: int = 0
    plans: list[str] = attrs.field(factory=list)

    async def execute(self, query: str, *args: Any) -> str:
        return await self.inner.execute(query, *args)

    async def fetch(self, query: str, *args: Any) -> list[Any]:
        await self._explain(query, args)
        return await self.inner.fetch(query, *args)

    async def fetchrow(self, query: str, *args: Any) -> Any | None:
        await self._explain(query, args)
        return await self.inner.fetchrow(query, *args)

    async def fetchval(self, query: str, *args: Any) -> Any:
        await self._explain(query, args)
        return await self.inner.fetchval(query, *args)

    async def _explain(self, query: str, args: Sequence[Any]) -> None:
        # As a statement that is prepared, since only such a one is planned as it is when the server runs it.
        await self.inner.execute(f"PREPARE asked AS {query}")
        values = f"({', '.join(map(_literal, args))})" if args else ""
        text = await self.inner.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE asked {values}")
        await self.inner.execute("DEALLOCATE asked")
        plan = orjson.loads(text)[0]["Plan"]
        self.blocks += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        self.plans.append(text)


def _literal(value: int | str | Sequence[str]) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return f"ARRAY[{', '.join(map(_literal, value))}]::text[]"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[CountingConnection]:
    """One for each read of a store, in order."""
    connections: list[CountingConnection] = []
    read = PostgresDatabase.read

    async def counting_read(self: PostgresDatabase, work: Work[Result]) -> Result:
        async def counting_work(connection: Connection) -> Result:
            connections.append(CountingConnection(connection))
            return await work(connections[-1])

        return await read(self, counting_work)

    monkeypatch.setattr(PostgresDatabase, "read", counting_read)
    return connections


@pytest.mark.slow
async def test_a_page_touches_as_many_blocks_wherever_it_is(
    postgres_server: PostgresServer, postgres_dsn: str, counted: list[CountingConnection]
) -> None:
    async with open_postgres(Secret(postgres_dsn), NETWORK) as store:
        assert isinstance(store, PostgresStore)
        await fill(store)
        postgres_server.sql("VACUUM ANALYZE")
        for listing in LISTINGS:
            taken = {}
            for place, page in listing.places():
                counted.clear()
                assert await listing.read(store, page) == (PAGE_ITEMS, True), (listing.name, place)
                taken[place] = sum(connection.blocks for connection in counted)
                plans = [plan for connection in counted for plan in connection.plans]
                assert not [plan for plan in plans if "Seq Scan" in plan], listing.name
            assert 0 < max(taken.values()) <= min(taken.values()) + MORE_BLOCKS, (listing.name, taken)
        newest = (await store.event_bounds()).newest_seq
        replays = []
        for seq in (newest // 3, newest // 2, newest - REPLAY_PAGE_EVENTS):
            counted.clear()
            assert len(await store.events_after(seq, REPLAY_PAGE_EVENTS)) == REPLAY_PAGE_EVENTS
            replays.append(sum(connection.blocks for connection in counted))
        # Each event looks up its message.
        assert max(replays) <= 1.2 * min(replays), replays


async def test_looking_at_everything_would_be_noticed(postgres_dsn: str, counted: list[CountingConnection]) -> None:
    async with open_postgres(Secret(postgres_dsn), NETWORK) as store:
        assert isinstance(store, PostgresStore)
        await fill(store, part=0.1)
        counted.clear()
        await store.database.read(lambda connection: connection.fetch("SELECT id FROM messages ORDER BY created_at"))
        everything = counted[0].blocks
        counted.clear()
        await LISTINGS[0].read(store, PageRequest(PAGE_ITEMS))
        assert everything > 5 * sum(connection.blocks for connection in counted)
