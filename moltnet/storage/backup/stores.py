"""The stores of a configuration as sources and targets of backups."""

from contextlib import AbstractAsyncContextManager

from moltnet.config.settings import MoltnetConfig, StorageKind
from moltnet.storage.backup.format import Selection, Source, Target
from moltnet.storage.factory import UnsupportedStorage
from moltnet.storage.snapshot_backup import open_json_source, open_json_target
from moltnet.storage.sql.sqlite_backup import open_sqlite_source, open_sqlite_target


def open_source(config: MoltnetConfig, selection: Selection) -> AbstractAsyncContextManager[Source]:
    """The store as it is now, a server may run on it. Raises ``UnsupportedStorage``, and what opening it raises."""
    storage, network_id = config.storage, config.network.id
    match storage.kind:
        case StorageKind.SQLITE if storage.sqlite is not None:
            return open_sqlite_source(storage.sqlite.path, network_id, selection)
        case StorageKind.JSON if storage.json is not None:
            return open_json_source(storage.json.path, network_id, selection)
        case StorageKind.POSTGRES if storage.postgres is not None:
            from moltnet.storage.sql.postgres.backup import open_postgres_source

            return open_postgres_source(storage.postgres.dsn, network_id, selection)
    raise _nothing_there(storage.kind)


def open_target(config: MoltnetConfig) -> AbstractAsyncContextManager[Target]:
    """The store, which must be empty and used by nobody. Raises ``UnsupportedStorage``, and what opening it raises."""
    storage, network_id = config.storage, config.network.id
    match storage.kind:
        case StorageKind.SQLITE if storage.sqlite is not None:
            return open_sqlite_target(storage.sqlite.path, network_id)
        case StorageKind.JSON if storage.json is not None:
            return open_json_target(storage.json.path, network_id)
        case StorageKind.POSTGRES if storage.postgres is not None:
            from moltnet.storage.sql.postgres.backup import open_postgres_target

            return open_postgres_target(storage.postgres.dsn, network_id)
    raise _nothing_there(storage.kind)


def _nothing_there(kind: StorageKind) -> UnsupportedStorage:
    return UnsupportedStorage(f'storage of kind "{kind}" keeps nothing that another program could read or fill')
