"""Schema migrations: forward only and recorded; those of SQLite are run here, one transaction each.

The texts are ``migrations/<dialect>/NNNN_name.sql``. Which database may be opened at all is decided here too: a file
that some other program made is left alone, and so is one of a newer version of this program.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from importlib import resources
from typing import Final

import attrs

from moltnet.protocol.times import format_timestamp
from moltnet.storage.store import SchemaUnsupported

# "MOLT": SQLite keeps this number in the file's header for exactly this purpose.
APPLICATION_ID: Final = 0x4D4F4C54

_PREPARE: Final = f"""
PRAGMA application_id = {APPLICATION_ID};
CREATE TABLE IF NOT EXISTS schema_migrations (
    version INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    applied_at TEXT NOT NULL
) STRICT;
"""


@attrs.frozen
class Migration:
    """One step of the schema. ``version`` is the version that it leads to."""

    version: int
    name: str
    script: str


def load_migrations(dialect: str) -> tuple[Migration, ...]:
    """All steps in order. Raises ``ValueError`` if the numbers are not 1, 2, 3 …: a mistake of the build."""
    folder = resources.files("moltnet.storage.sql") / "migrations" / dialect
    found = []
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        number, _, name = file.name.removesuffix(".sql").partition("_")
        found.append(Migration(int(number), name, file.read_text(encoding="utf-8")))
    if not found or [step.version for step in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"the migrations for {dialect} are not numbered from 1: {[step.version for step in found]}")
    return tuple(found)


def missing_steps(version: int, steps: Sequence[Migration]) -> Sequence[Migration]:
    """The steps that a database of ``version`` lacks. Raises ``SchemaUnsupported`` if it knows more than we do."""
    if version > len(steps):
        raise SchemaUnsupported(
            f"the database has schema version {version}, this program knows versions up to {len(steps)}: "
            "it was written by a newer version of the program, use that one"
        )
    return steps[version:]


def schema_version(connection: sqlite3.Connection) -> int:
    """The version of a database that is ours, 0 for an empty one. Writes nothing.

    Raises ``SchemaUnsupported`` if another program made it.
    """
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application_id == APPLICATION_ID:
        (version,) = connection.execute("SELECT coalesce(max(version), 0) FROM schema_migrations").fetchone()
        return int(version)
    if application_id or objects:
        raise SchemaUnsupported("the database was made by another program; choose another path for this network")
    return 0


def migrate(connection: sqlite3.Connection, steps: Sequence[Migration], now: datetime) -> None:
    """Bring the schema to the version of the last step. A step that fails leaves the version before it.

    The caller holds the database's lock, so nobody migrates at the same time. Raises ``SchemaUnsupported``.
    """
    for step in missing_steps(schema_version(connection), steps):
        _apply(connection, step, now)


def _apply(connection: sqlite3.Connection, step: Migration, now: datetime) -> None:
    # The script holds no BEGIN and no COMMIT: the record of the step belongs to the same transaction.
    try:
        connection.executescript(f"BEGIN IMMEDIATE;\n{_PREPARE}\n{step.script}")
        connection.execute(
            "INSERT INTO schema_migrations (version, name, applied_at) VALUES (?, ?, ?)",
            (step.version, step.name, format_timestamp(now)),
        )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
