"""What was acknowledged is in the database: servers killed at any moment, the database itself restarted under load."""

import random
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack

import attrs
import pytest
import trio

from moltnet.config.secrets import Secret
from moltnet.config.settings import PostgresStorage, StorageKind, StorageSettings
from moltnet.storage import limits
from moltnet.storage.commands import AnyCommand
from moltnet.storage.sql.postgres import feed
from moltnet.storage.sql.postgres.store import open_postgres
from moltnet.storage.store import Store
from tests.fakes.http_client import http_client
from tests.fakes.network import network_config, open_test_server, room_message, wait_until
from tests.fakes.postgres import PostgresServer, running_postgres
from tests.fakes.tcp_proxy import Proxy, open_proxy
from tests.storage.crashes import (
    acknowledged_until_killed,
    checked_log,
    committing,
    groups_of_rounds,
    messages_in,
    survive_kills,
    whole_log,
)
from tests.storage.examples import NETWORK, create_room, post

MAX_BATCHES_BEFORE_KILL = 20
RESTARTS = 3
BATCHES = 100
# The first commit on a connection takes about thirty, the next ones less than ten each.
MAX_PIECES_BEFORE_CUT = 100
SENDERS = 8

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def careful_server() -> Iterator[PostgresServer]:
    """A server that syncs, and that a test may restart."""
    with running_postgres("fsync=on") as server:
        yield server


@pytest.mark.parametrize("rounds", groups_of_rounds(100))
async def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(
    careful_server: PostgresServer, rounds: int
) -> None:
    dsn = careful_server.dsn_of_new_schema()
    await survive_kills(dsn, rounds, MAX_BATCHES_BEFORE_KILL, lambda: open_postgres(dsn, NETWORK))


async def test_a_killed_server_leaves_a_store_that_takes_the_same_messages_again(
    careful_server: PostgresServer,
) -> None:
    dsn = careful_server.dsn_of_new_schema()
    acknowledged = acknowledged_until_killed(dsn, "r", 5, 1)
    async with open_postgres(dsn, NETWORK) as store:
        before = await store.event_bounds()
        await store.commit([post(each) for each in acknowledged])
        assert await store.event_bounds() == before


async def test_servers_that_are_killed_while_others_write_leave_one_log_without_a_gap(
    careful_server: PostgresServer,
) -> None:
    dsn = careful_server.dsn_of_new_schema()
    acknowledged: list[str] = []
    with committing(dsn, "steady") as steady:
        assert steady.stdout is not None
        assert steady.stdout.readline() == b"\n"
        for number in range(5):
            acknowledged += acknowledged_until_killed(dsn, f"r{number}", 5, 3)
        for _ in range(5):
            acknowledged += steady.stdout.readline().decode().split()
    async with open_postgres(dsn, NETWORK) as store:
        records = await checked_log(store, acknowledged)
    assert len(set(messages_in(records))) == len(messages_in(records))


async def test_servers_whose_connections_are_cut_at_random_are_told_everything_once_and_in_order(
    careful_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How far a connection gets is counted in what it says, not in time: nobody is too slow to get anywhere."""
    # One server may be left behind by as much as it likes, and try for as long as it takes.
    monkeypatch.setattr(feed, "MAX_NEWS_EVENTS", 1_000_000)
    monkeypatch.setattr(limits, "POSTGRES_PATIENCE_SECONDS", float("inf"))
    monkeypatch.setattr(limits, "POSTGRES_LISTEN_AGAIN_SECONDS", 0.02)
    database = careful_server.new_database()
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    told: dict[str, list[tuple[int, str]]] = {}
    async with AsyncExitStack() as opened:
        proxies: list[Proxy] = []
        stores: dict[str, Store] = {}
        for name in "abc":
            proxies.append(await opened.enter_async_context(open_proxy(careful_server.port)))
            dsn = careful_server.tcp_dsn(database, port=proxies[-1].port, query="?sslmode=disable")
            stores[name] = await opened.enter_async_context(open_postgres(dsn, NETWORK))
            told[name] = []

        async def commit(name: str, *commands: AnyCommand) -> None:
            committed = await stores[name].commit(commands)
            told[name].extend((record.seq, record.id) for record in committed.records)

        async def write(name: str) -> None:
            for number in range(BATCHES):
                await commit(name, *(post(f"{name}-{number}-{each}") for each in range(chance.randrange(1, 6))))

        async def follow(name: str) -> None:
            while True:
                await stores[name].wait_changed()
                await commit(name)

        await commit("a", create_room())
        for proxy in proxies:
            proxy.lifetimes = iter(lambda: chance.randrange(MAX_PIECES_BEFORE_CUT), None)
            proxy.cut_all()
        async with trio.open_nursery() as followers:
            for name in stores:
                followers.start_soon(follow, name)
            async with trio.open_nursery() as writers:
                for name in stores:
                    writers.start_soon(write, name)
            log = [(record.seq, record.id) for record in await whole_log(stores["a"])]
            # Nobody commits any more: only what rings tells who has not heard of all.
            await wait_until(lambda: all(len(heard) >= len(log) for heard in told.values()))
            followers.cancel_scope.cancel()
    assert [seq for seq, _ in log] == list(range(1, len(log) + 1))
    for heard in told.values():
        assert heard == log
    careful_server.drop_database(database)
    print(f"{sum(proxy.cuts for proxy in proxies)} cuts, {len(log)} events, each told once to each server")


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGINT], ids=["immediate", "fast"])
async def test_a_database_that_is_restarted_under_load_loses_nothing_and_service_resumes(
    careful_server: PostgresServer, how: signal.Signals
) -> None:
    storage = StorageSettings(
        StorageKind.POSTGRES, postgres=PostgresStorage(Secret(careful_server.dsn_of_new_schema()))
    )
    accepted: list[str] = []
    refused: list[int] = []
    async with open_test_server(attrs.evolve(network_config(), storage=storage)) as server:
        restarted = trio.Event()

        async def send(name: str) -> None:
            number = 0
            while not restarted.is_set():
                number += 1
                message_id = f"{name}-{number}"
                answer = await http_client(server).post("/v1/messages", room_message(message_id=message_id))
                if answer.status == 202:
                    accepted.append(message_id)
                else:
                    refused.append(answer.status)
                    await trio.sleep(0.05)

        async def accept_more(count: int) -> None:
            wanted = len(accepted) + count
            with trio.fail_after(60):
                while len(accepted) < wanted:  # noqa: ASYNC110 - requests of other tasks are answered meanwhile
                    await trio.sleep(0.01)

        async with trio.open_nursery() as nursery:
            for name in range(SENDERS):
                nursery.start_soon(send, f"s{name}")
            for _ in range(RESTARTS):
                await accept_more(50)
                await trio.to_thread.run_sync(careful_server.stop, how)
                careful_server.launch()
                await trio.to_thread.run_sync(careful_server.wait_ready)
            await accept_more(50)
            assert (await http_client(server).get("/readyz")).status == 200
            restarted.set()
        records = await whole_log(server.app.context.store)
        # Readers were told of all of it too.
        assert server.app.broker.newest_seq == records[-1].seq
    stored = messages_in(records)
    assert set(accepted) <= set(stored)
    assert len(set(stored)) == len(stored)
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    assert set(refused) <= {503}
    print(f"{RESTARTS} restarts, {len(accepted)} accepted, {len(refused)} refused, none lost")
