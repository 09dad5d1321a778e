"""Which store a configuration means."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

from moltnet.config.secrets import Secret
from moltnet.protocol.ids import NetworkId
from moltnet.storage.memory import open_memory
from moltnet.storage.snapshot import open_json
from moltnet.storage.sql.sqlite import open_sqlite
from moltnet.storage.store import StorageError, Store

MEMORY: Final = "memory"
JSON: Final = "json"
SQLITE: Final = "sqlite"
POSTGRES: Final = "postgres"
AVAILABLE_KINDS: Final = (MEMORY, JSON, SQLITE, POSTGRES)


class UnsupportedStorage(StorageError):
    """This version has no such store, or lacks what the store needs."""


def open_store(
    kind: str,
    *,
    json_path: Path | None = None,
    sqlite_path: Path | None = None,
    postgres_dsn: Secret | None = None,
    network_id: NetworkId,
) -> AbstractAsyncContextManager[Store]:
    """The store of ``network_id``; leaving its block closes it.

    Raises ``UnsupportedStorage`` at once; entering the block raises what the backend's ``open_…`` raises.
    """
    match kind:
        case "memory":
            return open_memory(network_id)
        case "json":
            if json_path is None:
                raise UnsupportedStorage("json storage needs a path")
            return open_json(json_path, network_id)
        case "sqlite":
            if sqlite_path is None:
                raise UnsupportedStorage("sqlite storage needs a path")
            return open_sqlite(sqlite_path, network_id)
        case "postgres":
            if postgres_dsn is None:
                raise UnsupportedStorage("postgres storage needs a DSN")
            # asyncio and the driver are loaded only where they are used.
            from moltnet.storage.sql.postgres.store import open_postgres

            return open_postgres(postgres_dsn, network_id)
        case _:
            raise UnsupportedStorage(
                f'storage kind "{kind}" is not available in this version; available are {", ".join(AVAILABLE_KINDS)}'
            )
