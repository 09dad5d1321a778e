"""Which store a configuration means."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

from moltnet.protocol.ids import NetworkId
from moltnet.storage.memory import open_memory
from moltnet.storage.sql.sqlite import open_sqlite
from moltnet.storage.store import StorageError, Store

MEMORY: Final = "memory"
SQLITE: Final = "sqlite"
AVAILABLE_KINDS: Final = (MEMORY, SQLITE)


class UnsupportedStorage(StorageError):
    """This version has no such store, or lacks what the store needs."""


def open_store(
    kind: str, *, sqlite_path: Path | None = None, network_id: NetworkId
) -> AbstractAsyncContextManager[Store]:
    """The store of ``network_id``; leaving its block closes it.

    Raises ``UnsupportedStorage`` at once; entering the block raises what the backend's ``open_…`` raises.
    """
    match kind:
        case "memory":
            return open_memory(network_id)
        case "sqlite":
            if sqlite_path is None:
                raise UnsupportedStorage("sqlite storage needs a path")
            return open_sqlite(sqlite_path, network_id)
        case _:
            raise UnsupportedStorage(
                f'storage kind "{kind}" is not available in this version; available are {", ".join(AVAILABLE_KINDS)}'
            )
