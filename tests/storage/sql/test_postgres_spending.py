"""What callers have used up at several servers: counted once for all of them, by the database's clock."""

from collections.abc import AsyncIterator

import pytest
import trio

from moltnet.storage.spending import Spending, Spent
from moltnet.storage.sql.postgres.store import open_postgres
from tests.fakes.postgres import PostgresServer
from tests.fakes.shared_network import PATIENT, run_sql
from tests.storage.examples import NETWORK


@pytest.fixture
async def servers(postgres_dsn: str) -> AsyncIterator[tuple[Spending, ...]]:
    async with (
        open_postgres(postgres_dsn, NETWORK, PATIENT) as one,
        open_postgres(postgres_dsn, NETWORK, PATIENT) as two,
    ):
        assert one.spending is not None
        assert two.spending is not None
        yield one.spending, two.spending


def hours(number: float) -> float:
    return 3600.0 * number


async def test_what_each_server_says_adds_up(servers: tuple[Spending, ...]) -> None:
    one, other = servers
    assert await one.spend([Spent("a", hours(1), hours(1)), Spent("b", hours(2), hours(2))]) == pytest.approx(
        [hours(1), hours(2)], abs=1
    )
    assert await other.spend([Spent("b", hours(1), hours(1)), Spent("c", 0.5, 0.5)]) == pytest.approx(
        [hours(3), 0.5], abs=1
    )
    assert await one.spend([Spent("b", hours(1), hours(3))]) == pytest.approx([hours(4)], abs=1)


async def test_what_was_taken_a_while_ago_has_been_filling_up(servers: tuple[Spending, ...]) -> None:
    """A bucket that was full then; here is known how much of it is missing now."""
    one, other = servers
    assert await one.spend([Spent("a", 60.0, 40.0)]) == pytest.approx([40.0], abs=1)
    assert await other.spend([Spent("a", 60.0, 10.0)]) == pytest.approx([100.0], abs=1)


async def test_only_as_many_take_as_there_are(servers: tuple[Spending, ...]) -> None:
    waits: list[float] = []

    async def take(spending: Spending) -> None:
        waits.append(await spending.take("a", seconds=hours(1), most_seconds=hours(6)))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(take, servers[number % 2])
    assert waits.count(0.0) == 7
    assert all(0 < wait <= hours(1) for wait in waits if wait)
    # Who was refused has paid nothing.
    assert await servers[0].spend([Spent("a", 0.0, 0.0)]) == pytest.approx([hours(7)], abs=5)


async def test_a_bucket_that_is_full_again_is_forgotten(
    servers: tuple[Spending, ...], postgres_server: PostgresServer, postgres_dsn: str
) -> None:
    await servers[0].spend([Spent("a", 1e-6, 1e-6), Spent("b", hours(1), hours(1))])
    servers[1]._sweep_at = trio.current_time()  # type: ignore[attr-defined]  # instead of a minute
    await servers[1].spend([Spent("c", hours(1), hours(1))])
    assert run_sql(postgres_server, postgres_dsn, "SELECT string_agg(key, ' ' ORDER BY key) FROM buckets") == "b c"


async def test_a_key_may_hold_anything(servers: tuple[Spending, ...]) -> None:
    assert await servers[0].spend([Spent("a\0'\udcff", 60.0, 60.0)]) == pytest.approx([60.0], abs=1)
