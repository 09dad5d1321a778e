"""Several servers on one PostgreSQL, in one process: they share nothing but the database."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from urllib.parse import parse_qs, urlsplit

import trio

from moltnet.app import App
from moltnet.config.settings import MoltnetConfig
from moltnet.storage.sql.postgres.lease import LeaseTimes
from moltnet.storage.sql.postgres.store import open_postgres
from tests.fakes.network import NETWORK, TestServer, network_config, open_test_app, open_test_server, wait_until
from tests.fakes.postgres import PostgresServer

# A lease that never ends by itself while a test runs, and one that soon does once it is not renewed. A machine must
# stand still for seconds before it does so without that.
PATIENT: Final = LeaseTimes(valid=3600, renew=3600, margin=1, beat=0.01, settle=30)
HASTY: Final = LeaseTimes(valid=4, renew=0.2, margin=1, beat=0.01, settle=1)


@asynccontextmanager
async def open_apps(*dsns: str, config: MoltnetConfig | None = None, hasty: str = "") -> AsyncIterator[tuple[App, ...]]:
    """A network, with a server for each DSN; that of the DSN `hasty` has a lease that may end."""
    config = config or network_config()
    async with AsyncExitStack() as opened:
        apps = []
        for dsn in dsns:
            store = await opened.enter_async_context(open_postgres(dsn, NETWORK, HASTY if dsn == hasty else PATIENT))
            apps.append(await opened.enter_async_context(open_test_app(config, store=store)))
        yield tuple(apps)


@asynccontextmanager
async def open_servers(*dsns: str, config: MoltnetConfig) -> AsyncIterator[tuple[TestServer, ...]]:
    """The same with HTTP and WebSockets."""
    async with AsyncExitStack() as opened:
        servers = []
        for dsn in dsns:
            store = await opened.enter_async_context(open_postgres(dsn, NETWORK, PATIENT))
            servers.append(await opened.enter_async_context(open_test_server(config, store=store)))
        yield tuple(servers)


def run_sql(server: PostgresServer, dsn: str, text: str) -> str:
    """What `psql` prints, in the schema that the DSN names."""
    address = urlsplit(dsn)
    (schema,) = parse_qs(address.query).get("search_path", ["public"])
    return server.sql(f"SET search_path = {schema}; {text}", address.path.removeprefix("/"))


@asynccontextmanager
async def locked_table(server: PostgresServer, dsn: str, table: str) -> AsyncIterator[None]:
    """Nobody reads or writes it."""
    (schema,) = parse_qs(urlsplit(dsn).query)["search_path"]
    held = "FROM pg_stat_activity WHERE query ~ 'LOCK TABLE' AND wait_event = 'PgSleep' AND pid <> pg_backend_pid()"
    text = f"BEGIN; LOCK TABLE {schema}.{table}; SELECT pg_sleep(600)"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, server.try_sql, text)
        await wait_until(lambda: server.sql(f"SELECT count(*) {held}") != "0")
        try:
            yield
        finally:
            server.sql(f"SELECT pg_terminate_backend(pid) {held}")
