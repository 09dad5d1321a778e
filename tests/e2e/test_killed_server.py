"""The server process is killed at random moments while clients talk to it: what was accepted is there, once.

`make crash` does it as often as you like. What is killed in tests/storage is a store alone, which gets many more
commits into a second.
"""

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from moltnet.storage.sql.postgres.store import open_postgres
from moltnet.storage.sql.sqlite import open_sqlite
from moltnet.storage.store import Store
from tests.e2e.killed_server import Clients, survive_kills
from tests.e2e.running import open_network
from tests.fakes.network import NETWORK
from tests.fakes.postgres import PostgresServer, running_postgres
from tests.storage.crashes import groups_of_rounds, messages_in, whole_log
from tests.storage.sql.raw import raw_value

MEMBERS = ("alpha", "beta")
SETTING = "MOLTNET_CRASH_SERVER_ROUNDS"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def careful_server() -> Iterator[PostgresServer]:
    """A server that syncs."""
    with running_postgres("fsync=on") as server:
        yield server


async def assert_one_whole_log(store: Store, clients: Clients) -> None:
    """What clients can't see: places without a hole, and nothing but what they were told."""
    records = await whole_log(store)
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    assert [record.id for record in records] == list(clients.reader.events)
    stored = messages_in(records)
    assert len(stored) == len(set(stored))


@pytest.mark.parametrize("rounds", groups_of_rounds(10, SETTING))
async def test_a_server_on_sqlite_killed_at_any_moment_loses_and_repeats_nothing(tmp_path: Path, rounds: int) -> None:
    server = open_network(tmp_path / "net", MEMBERS)
    clients = await survive_kills(server, rounds)
    path = server.directory / "data" / "moltnet.db"
    assert raw_value(path, "PRAGMA integrity_check") == "ok"
    assert raw_value(path, "SELECT count(*) FROM pragma_foreign_key_check") == 0
    async with open_sqlite(path, NETWORK) as store:
        await assert_one_whole_log(store, clients)


@pytest.mark.parametrize("rounds", groups_of_rounds(5, SETTING))
async def test_a_server_on_postgres_killed_at_any_moment_loses_and_repeats_nothing(
    careful_server: PostgresServer, tmp_path: Path, rounds: int
) -> None:
    dsn = careful_server.dsn_of_new_schema()
    server = attrs.evolve(
        open_network(tmp_path / "net", MEMBERS), environment={"MOLTNET_POSTGRES_DSN": dsn, "MOLTNET_SQLITE_PATH": ""}
    )
    clients = await survive_kills(server, rounds)
    async with open_postgres(dsn, NETWORK) as store:
        await assert_one_whole_log(store, clients)
