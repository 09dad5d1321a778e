"""An SQLite database as the source of a backup, beside a server that writes to it, and as the target of one."""

import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio

from moltnet.protocol.ids import NetworkId
from moltnet.storage import limits
from moltnet.storage.backup.format import (
    BackupDamaged,
    Content,
    Counts,
    Header,
    Kind,
    Selection,
    Source,
    Target,
    blocks,
    line,
    value_lines,
)
from moltnet.storage.backup.target import require_empty
from moltnet.storage.changes import Changes
from moltnet.storage.files import real_path
from moltnet.storage.marks import Mark
from moltnet.storage.outbox_memory import outbox_line
from moltnet.storage.records import PairNetwork, StoredSession
from moltnet.storage.snapshot_format import event_line, message_line, wrong_network
from moltnet.storage.sql import rows
from moltnet.storage.sql import sqlite_statements as statements
from moltnet.storage.sql.migrate import load_migrations, missing_steps, schema_version
from moltnet.storage.sql.rows import Row
from moltnet.storage.sql.sqlite import sqlite_store
from moltnet.storage.sql.sqlite_batch import write_changes
from moltnet.storage.sql.sqlite_database import (
    SqliteDatabase,
    Work,
    open_connection,
    open_database,
    translated_errors,
)
from moltnet.storage.sql.sqlite_outbox import all_rows
from moltnet.storage.store import SchemaUnsupported, StorageError

_COUNTS: Final = (
    "SELECT (SELECT count(*) FROM rooms), (SELECT count(*) FROM agents), (SELECT count(*) FROM sessions), "
    "(SELECT count(*) FROM pair_networks), (SELECT count(*) FROM approvals), (SELECT count(*) FROM marks), "
    "(SELECT count(*) FROM threads), (SELECT count(*) FROM dms), "
    "(SELECT count(*) FROM messages), (SELECT count(*) FROM events WHERE wire IS NOT NULL), "
    "(SELECT count(*) FROM relay_outbox)"
)
_ENDS: Final = "SELECT coalesce(min(seq), 1) - 1, (SELECT coalesce(max(seq), 0) FROM messages) FROM events"
_MESSAGES: Final = (
    "SELECT messages.seq, messages.body, messages.digest, events.addressed FROM messages "
    "LEFT JOIN events ON events.seq = messages.seq WHERE messages.seq <= ? ORDER BY messages.seq"
)
_LOG: Final = (
    f"SELECT {', '.join(f'events.{name}' for name in rows.EVENT_COLUMNS)}, messages.body, messages.digest FROM events "
    "LEFT JOIN messages ON messages.seq = events.seq ORDER BY events.seq"
)
_END: Final = 2**63 - 1


@asynccontextmanager
async def open_sqlite_source(path: Path, network_id: NetworkId, selection: Selection) -> AsyncIterator[Source]:
    """The database at ``path`` as it is now, whether a server has it open or not. Its lock is not asked for.

    While it is read, the database's log can't be merged and grows. Raises ``SchemaUnsupported``, ``WrongNetwork``,
    ``StorageError``.
    """
    source = await trio.to_thread.run_sync(_open_source, real_path(path), network_id, selection)
    try:
        yield source
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(source.close)


@asynccontextmanager
async def open_sqlite_target(path: Path, network_id: NetworkId) -> AsyncIterator[Target]:
    """An empty or new database that is filled in one transaction, which is committed when the block ends well.

    Raises ``StoreNotEmpty``, and what ``open_sqlite`` raises.
    """
    async with open_database(path) as database:
        await require_empty(await sqlite_store(database, network_id), f"the database at {database.path}")
        target = SqliteTarget(database)
        await target.run(lambda connection: _execute(connection, "BEGIN IMMEDIATE"))
        try:
            yield target
            await target.run(lambda connection: _execute(connection, "COMMIT"))
        finally:
            with trio.CancelScope(shield=True):
                await target.run(_roll_back)


@attrs.define(eq=False)
class SqliteSource:
    """A ``Source`` in a transaction that reads; each block is read in a thread."""

    header: Header
    _blocks: Iterator[Sequence[bytes]]
    _resources: ExitStack

    async def next_block(self) -> Sequence[bytes]:
        return await trio.to_thread.run_sync(self._next_block)

    def close(self) -> None:
        self._resources.close()

    def _next_block(self) -> Sequence[bytes]:
        with translated_errors():
            return next(self._blocks, ())


@attrs.frozen(eq=False)
class SqliteTarget:
    """A ``Target`` in a transaction that nobody else writes beside."""

    database: SqliteDatabase

    async def write(self, changes: Changes) -> None:
        await self.run(partial(_fill, changes=changes))

    async def run(self, work: Work[None]) -> None:
        await trio.to_thread.run_sync(self._run, work, limiter=self.database.write_limiter)

    def _run(self, work: Work[None]) -> None:
        with translated_errors():
            work(self.database.writer)


def _execute(connection: sqlite3.Connection, text: str) -> None:
    connection.execute(text)


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _fill(connection: sqlite3.Connection, changes: Changes) -> None:
    try:
        write_changes(connection, changes, {}, {})
    except sqlite3.IntegrityError as error:
        raise BackupDamaged(f"it is damaged: something stands in it twice ({error})") from error


def _open_source(path: Path, network_id: NetworkId, selection: Selection) -> SqliteSource:
    if not path.exists():
        raise StorageError(f"there is no database at {path}")
    with ExitStack() as opened, translated_errors():
        connection = opened.enter_context(
            open_connection(path, "ro", limits.SQLITE_BUSY_TIMEOUT_MS, limits.SQLITE_READER_CACHE_KIB)
        )
        connection.execute("BEGIN")
        steps = load_migrations("sqlite")
        if missing_steps(schema_version(connection), steps):
            raise SchemaUnsupported(
                f"the database at {path} is of an older version or empty: start its server once, which brings it along"
            )
        (owner,) = connection.execute(statements.SELECT_META, ("network_id",)).fetchone() or (network_id,)
        if owner != network_id:
            raise wrong_network(owner, network_id)
        pruned_to, newest_message = connection.execute(_ENDS).fetchone()
        header = Header(
            content=selection.content,
            network_id=network_id,
            counts=selection.counts(Counts(*connection.execute(_COUNTS).fetchone())),
            pruned_to=selection.pruned_to(pruned_to, newest_message),
            store="sqlite",
            schema=len(steps),
        )
        return SqliteSource(header, blocks(_lines(connection, header, selection)), opened.pop_all())


def _lines(connection: sqlite3.Connection, header: Header, selection: Selection) -> Iterator[bytes]:
    network_id = header.network_id

    def all_of(text: str) -> Iterable[Row]:
        return connection.execute(text)

    is_whole = selection.content is Content.NETWORK
    rooms = (rows.stored_room(row, network_id) for row in all_of(statements.LOAD_ALL_ROOMS))
    yield from value_lines(Kind.ROOM, rooms)
    if is_whole:
        agents = (rows.stored_agent(row, network_id) for row in all_of(statements.LOAD_AGENTS))
        yield from value_lines(Kind.AGENT, agents)
        if selection.sessions:
            sessions = (StoredSession(*row) for row in all_of(statements.LOAD_SESSIONS))
            yield from value_lines(Kind.SESSION, sessions)
        pairs = (PairNetwork(*row) for row in all_of(statements.LOAD_PAIR_NETWORKS))
        yield from value_lines(Kind.PAIR_NETWORK, pairs)
        yield from value_lines(Kind.APPROVAL, map(rows.stored_approval, all_of(statements.LOAD_APPROVALS)))
        yield from value_lines(Kind.MARK, (Mark(*row) for row in all_of(statements.LOAD_MARKS)))
    threads = (rows.thread(row, network_id) for row in all_of(statements.LOAD_THREADS))
    yield from value_lines(Kind.THREAD, threads)
    directs = (rows.direct(row, network_id) for row in all_of(statements.LOAD_DIRECTS))
    yield from value_lines(Kind.DIRECT, directs)
    for seq, body, digest, addressed in connection.execute(_MESSAGES, (header.pruned_to if is_whole else _END,)):
        yield line(Kind.MESSAGE, message_line(seq, body, digest, rows.names(addressed or "[]")))
    for *event, body, digest in all_of(_LOG) if is_whole else ():
        record = rows.event_record((*event, body), network_id)
        if body is None:
            yield line(Kind.EVENT, event_line(record))
        else:
            yield line(Kind.MESSAGE, message_line(record.seq, body, digest, record.addressed))
    for row in all_rows(connection) if is_whole else ():
        yield line(Kind.RELAY, outbox_line(row))
