"""Work that one of several servers does: who has it, who gets it next, and when a server may not go on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from moltnet.storage.sql.postgres.lease import LeaseTimes
from moltnet.storage.sql.postgres.store import open_postgres
from moltnet.storage.store import OwnershipLost, Store
from tests.fakes.network import wait_until
from tests.fakes.postgres import PostgresServer
from tests.fakes.shared_network import HASTY, PATIENT, locked_table, run_sql
from tests.fakes.tcp_proxy import Proxy, open_proxy
from tests.storage.examples import NETWORK


@pytest.fixture
async def first(postgres_dsn: str) -> AsyncIterator[Store]:
    async with open_postgres(postgres_dsn, NETWORK, PATIENT) as store:
        yield store


@pytest.fixture
async def second(postgres_dsn: str, first: Store) -> AsyncIterator[Store]:
    async with open_postgres(postgres_dsn, NETWORK, PATIENT) as store:
        yield store


@asynccontextmanager
async def open_by_proxy(server: PostgresServer, times: LeaseTimes) -> AsyncIterator[tuple[Store, Proxy, str]]:
    """A store behind a wire that can be cut, and the DSN of its database without that wire."""
    database = server.new_database()
    async with (
        open_proxy(server.port) as proxy,
        open_postgres(server.tcp_dsn(database, port=proxy.port), NETWORK, times) as store,
    ):
        yield store, proxy, server.dsn(database)


def expire(server: PostgresServer, dsn: str) -> None:
    """Let the leases of all servers be over, as the database sees it."""
    run_sql(server, dsn, "UPDATE servers SET expires_at = '-infinity'")


async def test_one_of_two_servers_owns_a_name(first: Store, second: Store) -> None:
    inside, most, turns = 0, 0, 0

    async def work(store: Store) -> None:
        nonlocal inside, most, turns
        for _ in range(5):
            async with store.owned("relay"):
                inside, turns = inside + 1, turns + 1
                most = max(most, inside)
                await first.check_writable()
                inside -= 1

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for store in (first, second):
                nursery.start_soon(work, store)
                nursery.start_soon(work, store)
    assert (most, turns) == (1, 20)


async def test_a_server_that_is_gone_is_followed_when_its_lease_is_over(
    first: Store, second: Store, postgres_server: PostgresServer, postgres_dsn: str
) -> None:
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            has_it, got_it = trio.Event(), trio.Event()

            @nursery.start_soon
            async def hold() -> None:
                async with first.owned("relay"):
                    has_it.set()
                    await trio.sleep_forever()

            await has_it.wait()

            @nursery.start_soon
            async def follow() -> None:
                async with second.owned("relay"):
                    got_it.set()

            # It asks, again and again, and gets nothing while the lease holds.
            with trio.move_on_after(0.2):
                await got_it.wait()
            assert not got_it.is_set()
            # Both are over; the one that asks finds out, and comes back under another id. The other one is not asked.
            expire(postgres_server, postgres_dsn)
            second._servers.lease.doubt()  # type: ignore[attr-defined]  # instead of an hour
            await got_it.wait()
            nursery.cancel_scope.cancel()


async def test_a_server_that_closes_is_followed_at_once(first: Store, postgres_dsn: str) -> None:
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            has_it = trio.Event()

            async def hold(store: Store) -> None:
                async with store.owned("relay"):
                    has_it.set()
                    await trio.sleep_forever()

            async with open_postgres(postgres_dsn, NETWORK, PATIENT) as second:
                nursery.start_soon(hold, second)
                await has_it.wait()
            # Closed before the block had time to end.
            async with first.owned("relay"):
                nursery.cancel_scope.cancel()


async def test_a_server_that_is_cut_off_stops_before_another_one_may_begin(postgres_server: PostgresServer) -> None:
    order = []
    with trio.fail_after(60):
        async with (
            open_by_proxy(postgres_server, HASTY) as (cut_off, proxy, dsn),
            open_postgres(dsn, NETWORK, PATIENT) as other,
            trio.open_nursery() as nursery,
        ):
            has_it = trio.Event()

            async def hold() -> None:
                async with cut_off.owned("relay"):
                    has_it.set()
                    try:
                        await trio.sleep_forever()
                    finally:
                        order.append("stopped")

            @nursery.start_soon
            async def hold_until_it_is_lost() -> None:
                with pytest.raises(OwnershipLost):
                    await hold()

            await has_it.wait()
            proxy.hold()
            async with other.owned("relay"):
                order.append("followed")
            proxy.release()
            # It can own again, under its next lease.
            async with cut_off.owned("relay"):
                order.append("back")
    assert order == ["stopped", "followed", "back"]


async def test_a_lease_that_the_database_has_ended_is_lost_whatever_our_clock_says(
    first: Store, postgres_server: PostgresServer, postgres_dsn: str
) -> None:
    servers = first._servers  # type: ignore[attr-defined]  # whose next renewal is due in an hour
    before = servers.lease.id

    async def hold() -> None:
        async with first.owned("relay"):
            expire(postgres_server, postgres_dsn)
            servers.lease.doubt()
            await trio.sleep_forever()

    with trio.fail_after(60):
        with pytest.raises(OwnershipLost):
            await hold()
        assert servers.lease.id != before
        async with first.owned("relay"):
            pass


async def test_a_server_whose_other_questions_wait_still_says_that_it_lives(
    postgres_server: PostgresServer, postgres_dsn: str
) -> None:
    times = attrs.evolve(PATIENT, renew=0.05)
    with trio.fail_after(60):
        async with open_postgres(postgres_dsn, NETWORK, times) as store, trio.open_nursery() as nursery:
            lease = store._servers.lease  # type: ignore[attr-defined]  # what the others would see of it
            async with locked_table(postgres_server, postgres_dsn, "owners"):

                async def work() -> None:
                    async with store.owned("relay"):
                        pass

                nursery.start_soon(work)
                waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'owners'"
                await wait_until(lambda: postgres_server.sql(waiting) != "0")
                for _ in range(3):
                    await lease.renewed.wait()
                assert postgres_server.sql(waiting) != "0"


async def test_what_is_owned_outlives_a_short_loss_of_the_connection(postgres_server: PostgresServer) -> None:
    with trio.fail_after(60):
        async with open_by_proxy(postgres_server, PATIENT) as (store, proxy, _), store.owned("relay"):
            lease = store._servers.lease  # type: ignore[attr-defined]  # what it counts on
            id, deadline = lease.id, lease.deadline
            proxy.cut_all()
            lease.doubt()
            await wait_until(lambda: lease.deadline != deadline)
            assert lease.id == id
