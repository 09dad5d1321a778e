"""Whether a database may be ours, and bringing it to the newest schema.

Servers that start together wait for each other. Everything happens in one transaction: a step that fails leaves the
database as it was.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from moltnet.protocol.ids import NetworkId
from moltnet.protocol.times import format_timestamp
from moltnet.storage.sql.migrate import Migration, missing_steps
from moltnet.storage.sql.postgres.database import Connection
from moltnet.storage.sql.postgres.dsn import Dsn
from moltnet.storage.store import SchemaUnsupported, StorageError, WrongNetwork

# Other programs keep a `schema_migrations` of their own in the same schema, some with the same columns.
MIGRATIONS: Final = "moltnet_migrations"
# "MOLT" and "MOLS": the first halves of our advisory locks; the second halves tell apart networks in one database.
_LOG_LOCK: Final = 0x4D4F4C54
_SCHEMA_LOCK: Final = 0x4D4F4C53
# What would be in the way of ours.
_TABLES: Final = (
    "meta",
    "events",
    "rooms",
    "room_members",
    "threads",
    "dms",
    "dm_participants",
    "messages",
    "artifacts",
    "agents",
    "sessions",
    "pair_networks",
    "directory_changes",
    "servers",
    "owners",
    "seats",
    "seat_changes",
    "buckets",
)
_NETWORK_ID: Final = "network_id"

# Each statement sees what was committed until then, so who has waited for a lock sees what its holder did. A database
# may have another level by default.
_BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
BEGIN_PREPARING: Final = f"{_BEGIN}; SET LOCAL statement_timeout = 0"
_SURROUNDINGS: Final = (
    "SELECT current_schema(), (SELECT oid FROM pg_namespace WHERE nspname = current_schema()), "
    "pg_is_in_recovery(), current_setting('server_encoding')"
)
_CREATE_MIGRATIONS: Final = (
    f"CREATE TABLE IF NOT EXISTS {MIGRATIONS} "
    "(version integer PRIMARY KEY, name text NOT NULL, applied_at text NOT NULL)"
)


async def prepare(
    connection: Connection, dsn: Dsn, steps: Sequence[Migration], network_id: NetworkId, now: datetime
) -> str:
    """Migrate and claim the database for ``network_id``, in a transaction begun with ``BEGIN_PREPARING``.

    Returns the text that begins a transaction which writes to the log: it waits until no other one does.

    Raises ``SchemaUnsupported``, ``WrongNetwork``, ``StorageError``.
    """
    schema, schema_oid, is_standby, encoding = await _surroundings(connection)
    if schema is None:
        raise StorageError(
            f"PostgreSQL at {dsn.address} has no schema for us: create one of those in search_path, or name another"
        )
    if is_standby:
        raise StorageError(f"PostgreSQL at {dsn.address} is a standby, which takes no writes: name its primary")
    if encoding != "UTF8":
        raise StorageError(f"PostgreSQL at {dsn.address} keeps text as {encoding}: create the database with UTF8")
    await connection.execute(f"SELECT pg_advisory_xact_lock({_lock(_SCHEMA_LOCK, schema_oid)})")
    missing = missing_steps(await schema_version(connection), steps)
    if missing:
        await connection.execute(_CREATE_MIGRATIONS)
    for step in missing:
        await connection.execute(step.script)
        await connection.execute(
            f"INSERT INTO {MIGRATIONS} (version, name, applied_at) VALUES ($1, $2, $3)",
            step.version,
            step.name,
            format_timestamp(now),
        )
    await _claim(connection, dsn, network_id)
    log_oid = await connection.fetchval("SELECT 'events'::regclass::oid")
    return f"{_BEGIN}; SELECT pg_advisory_xact_lock({_lock(_LOG_LOCK, log_oid)})"


async def schema_version(connection: Connection) -> int:
    """The version of a database that is ours, 0 if there is nothing of ours. Writes nothing.

    Raises ``SchemaUnsupported`` if another program has tables of our names.
    """
    if await connection.fetchval("SELECT to_regclass($1)::text", MIGRATIONS) is not None:
        return int(await connection.fetchval(f"SELECT coalesce(max(version), 0) FROM {MIGRATIONS}"))
    others = await connection.fetch(
        "SELECT name FROM unnest($1::text[]) AS name WHERE to_regclass(name) IS NOT NULL", _TABLES
    )
    if others:
        names = ", ".join(name for (name,) in others)
        raise SchemaUnsupported(
            f"the database already has tables of another program ({names}); choose another database for this network, "
            "or another schema with ?search_path= in the DSN"
        )
    return 0


async def _surroundings(connection: Connection) -> tuple[str | None, int | None, bool, str]:
    row = await connection.fetchrow(_SURROUNDINGS)
    assert row is not None
    return row[0], row[1], row[2], row[3]


async def _claim(connection: Connection, dsn: Dsn, network_id: NetworkId) -> None:
    await connection.execute(
        "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", _NETWORK_ID, network_id
    )
    owner = await connection.fetchval("SELECT value FROM meta WHERE key = $1", _NETWORK_ID)
    if owner != network_id:
        raise WrongNetwork(
            f'PostgreSQL at {dsn.address} holds network "{owner}", but the configuration names "{network_id}": every '
            "address in it holds the old id, so set network.id back or choose another database"
        )


def _lock(kind: int, oid: int | None) -> int:
    return kind << 32 | (oid or 0)
