"""Several servers on one PostgreSQL, in one process: they share nothing but the database."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from urllib.parse import parse_qs, urlsplit

from moltnet.app import App
from moltnet.config.settings import MoltnetConfig
from moltnet.storage.sql.postgres.lease import LeaseTimes
from moltnet.storage.sql.postgres.store import open_postgres
from tests.fakes.network import NETWORK, network_config, open_test_app
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


def run_sql(server: PostgresServer, dsn: str, text: str) -> str:
    """What `psql` prints, in the schema that the DSN names."""
    address = urlsplit(dsn)
    (schema,) = parse_qs(address.query).get("search_path", ["public"])
    return server.sql(f"SET search_path = {schema}; {text}", address.path.removeprefix("/"))
