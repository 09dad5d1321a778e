"""A PostgreSQL database as the source of a backup, beside servers that write to it, and as the target of one.

Both are one transaction that lasts for many units of work, which those of the store never do.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeVar

import attrs

from moltnet.config.secrets import Secret
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
    line,
    value_lines,
)
from moltnet.storage.backup.target import StoreNotEmpty, require_empty
from moltnet.storage.changes import Changes
from moltnet.storage.marks import Mark
from moltnet.storage.outbox_memory import outbox_line
from moltnet.storage.records import PairNetwork, StoredSession
from moltnet.storage.snapshot_format import event_line, message_line, wrong_network
from moltnet.storage.sql import rows
from moltnet.storage.sql.migrate import load_migrations, missing_steps
from moltnet.storage.sql.outbox_rows import outbox_row
from moltnet.storage.sql.postgres import statements
from moltnet.storage.sql.postgres.batch import changed_keys, write_changes
from moltnet.storage.sql.postgres.database import Connection, PostgresDatabase, Work, open_database
from moltnet.storage.sql.postgres.dsn import parse_dsn
from moltnet.storage.sql.postgres.failures import ConnectionLost, unreachable
from moltnet.storage.sql.postgres.feed import Position, position_of
from moltnet.storage.sql.postgres.names import stored_agent, stored_room
from moltnet.storage.sql.postgres.outbox import LOAD_OUTBOX_AFTER
from moltnet.storage.sql.postgres.schema import schema_version
from moltnet.storage.sql.postgres.store import PostgresStore, open_postgres
from moltnet.storage.sql.rows import Row
from moltnet.storage.store import SchemaUnsupported, StorageError

Result = TypeVar("Result")

_BEGIN_READING: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# Whoever takes long here is at work: counting a large table, or writing a file.
_TAKE_TIME: Final = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
_FIRST_REVISION: Final = 1
_END: Final = 2**63 - 1
# SQLSTATE classes: a value that does not fit, a violated constraint.
_WRONG_VALUES: Final = ("22", "23")


@asynccontextmanager
async def open_postgres_source(dsn: Secret | str, network_id: NetworkId, selection: Selection) -> AsyncIterator[Source]:
    """The database as it is now, whoever writes to it. A standby will do.

    Raises ``SchemaUnsupported``, ``WrongNetwork``, ``StorageError``.
    """
    address = parse_dsn(dsn)
    async with open_database(address) as database:
        try:
            transaction = await _Transaction.begin(database, _BEGIN_READING)
        except ConnectionLost as error:
            raise unreachable(error, address) from error
        header = await transaction.run(partial(_header, network_id=network_id, selection=selection))
        yield PostgresSource(header, transaction, deque(_steps(header, selection)))


@asynccontextmanager
async def open_postgres_target(dsn: Secret | str, network_id: NetworkId) -> AsyncIterator[Target]:
    """An empty database that is filled in one transaction, which is committed when the block ends well.

    Servers that run on it wait meanwhile, and then hear of it. Raises ``StoreNotEmpty``, and what ``open_postgres``
    raises.
    """
    async with open_postgres(dsn, network_id) as store:
        assert isinstance(store, PostgresStore)
        name = f"PostgreSQL at {store.database.dsn.address}"
        await require_empty(store, name)
        transaction = await _Transaction.begin(store.database, store.begin)
        if await transaction.run(position_of) != Position():
            raise StoreNotEmpty(f"{name} is not empty any more: somebody writes to it")
        yield PostgresTarget(transaction)
        await transaction.run(partial(_execute, text=statements.NOTIFY_AND_COMMIT))


@attrs.frozen
class _Step:
    """A statement that reads what follows a key, bounded by ``bounds``, and what its rows are in the file."""

    text: str
    after: tuple[str | int, ...]
    bounds: Sequence[object]
    lines: Callable[[Sequence[Row]], Iterable[bytes]]


@attrs.frozen(eq=False)
class PostgresSource:
    """A ``Source`` in a transaction that reads."""

    header: Header
    _transaction: "_Transaction"
    _steps: deque[_Step]

    async def next_block(self) -> Sequence[bytes]:
        while self._steps:
            step = self._steps.popleft()
            found = await self._transaction.run(partial(_fetch, text=step.text, values=(*step.after, *step.bounds)))
            if found:
                # The first columns are the key by which they are ordered.
                self._steps.appendleft(attrs.evolve(step, after=tuple(found[-1][: len(step.after)])))
                return list(step.lines(found))
        return ()


@attrs.frozen(eq=False)
class PostgresTarget:
    """A ``Target`` in a transaction that nobody else writes beside."""

    _transaction: "_Transaction"

    async def write(self, changes: Changes) -> None:
        try:
            await self._transaction.run(partial(_fill, changes=changes))
        except Exception as error:
            if getattr(error, "sqlstate", "")[:2] not in _WRONG_VALUES:
                raise
            raise BackupDamaged(f"it is damaged: something stands in it twice, or fits nowhere ({error})") from error


@attrs.frozen(eq=False)
class _Transaction:
    """A transaction on a database's writing connection, which nobody else uses."""

    _database: PostgresDatabase
    _server_pid: int

    @classmethod
    async def begin(cls, database: PostgresDatabase, text: str) -> "_Transaction":
        async def work(connection: Connection) -> int:
            await connection.execute(text)
            await connection.execute(_TAKE_TIME)
            return int(await connection.fetchval("SELECT pg_backend_pid()"))

        return cls(database, await database.prepare(work, limits.POSTGRES_MIGRATION_SECONDS))

    async def run(self, work: Work[Result]) -> Result:
        """Raises ``StorageError``, and whatever ``work`` raises; then the transaction is undone."""

        async def checked(connection: Connection) -> Result:
            # After a lost connection there is a new one, which knows of no transaction.
            if await connection.fetchval("SELECT pg_backend_pid()") != self._server_pid:
                raise StorageError("the connection to PostgreSQL was lost in the middle: begin again")
            return await work(connection)

        return await self._database.prepare(checked, limits.POSTGRES_MIGRATION_SECONDS)


async def _execute(connection: Connection, text: str) -> None:
    await connection.execute(text)


async def _fill(connection: Connection, changes: Changes) -> None:
    await write_changes(connection, changes, {}, {})
    await statements.PUT_CHANGES.run(connection, ((kind, key, _FIRST_REVISION) for kind, key in changed_keys(changes)))


async def _header(connection: Connection, network_id: NetworkId, selection: Selection) -> Header:
    steps = load_migrations("postgres")
    if missing_steps(await schema_version(connection), steps):
        raise SchemaUnsupported(
            "the database is of an older version or empty: start its server once, which brings it along"
        )
    owner = await connection.fetchval("SELECT value FROM meta WHERE key = 'network_id'")
    if owner != network_id:
        raise wrong_network(owner or "", network_id)
    (counts,) = await connection.fetch(statements.COUNT_ALL)
    oldest_event, newest_message = await connection.fetchrow(statements.LOAD_ENDS) or (1, 0)
    return Header(
        content=selection.content,
        network_id=network_id,
        counts=selection.counts(Counts(*counts)),
        pruned_to=selection.pruned_to(oldest_event - 1, newest_message),
        store="postgres",
        schema=len(steps),
    )


def _steps(header: Header, selection: Selection) -> Iterator[_Step]:
    network_id = header.network_id
    is_whole = selection.content is Content.NETWORK

    def by_id(text: str, kind: Kind, value: Callable[[Row], object]) -> _Step:
        return _Step(text, ("",), (limits.BACKUP_BLOCK_LINES,), lambda found: value_lines(kind, map(value, found)))

    def by_seq(text: str, end: int, entry: Callable[[Row], bytes]) -> _Step:
        bounds = (end, limits.BACKUP_BLOCK_LINES, limits.BACKUP_BLOCK_BYTES)
        return _Step(text, (0,), bounds, lambda found: map(entry, found))

    yield by_id(statements.LOAD_ROOMS_AFTER, Kind.ROOM, lambda row: stored_room(row, network_id))
    if is_whole:
        yield by_id(statements.LOAD_AGENTS_AFTER, Kind.AGENT, lambda row: stored_agent(row, network_id))
        if selection.sessions:
            yield by_id(statements.LOAD_SESSIONS_AFTER, Kind.SESSION, lambda row: StoredSession(*row))
        yield by_id(statements.LOAD_PAIR_NETWORKS_AFTER, Kind.PAIR_NETWORK, lambda row: PairNetwork(*row))
        yield _Step(
            statements.LOAD_APPROVALS_AFTER,
            (0,),
            (_END, limits.BACKUP_BLOCK_LINES),
            lambda found: value_lines(Kind.APPROVAL, map(rows.stored_approval, found)),
        )
        yield by_id(statements.LOAD_MARKS_AFTER, Kind.MARK, lambda row: Mark(*row))
    yield by_id(statements.LOAD_THREADS_AFTER, Kind.THREAD, lambda row: rows.thread(row, network_id))
    yield by_id(statements.LOAD_DIRECTS_AFTER, Kind.DIRECT, lambda row: rows.direct(row, network_id))
    yield by_seq(statements.LOAD_MESSAGES_AFTER, header.pruned_to if is_whole else _END, _message_line)
    if is_whole:
        yield by_seq(statements.LOAD_EVENTS_AFTER, _END, partial(_log_line, network_id=network_id))
        bounds = (limits.BACKUP_BLOCK_LINES, limits.BACKUP_BLOCK_BYTES)
        yield _Step(LOAD_OUTBOX_AFTER, ("", 0), bounds, lambda found: map(_relay_line, found))


def _message_line(row: Row) -> bytes:
    seq, body, digest, addressed = row
    return line(Kind.MESSAGE, message_line(seq, body, digest, rows.names(addressed or "[]")))


def _relay_line(row: Row) -> bytes:
    return line(Kind.RELAY, outbox_line(outbox_row(row)))


def _log_line(row: Row, network_id: NetworkId) -> bytes:
    *event, body, digest = row
    record = rows.event_record((*event, body), network_id)
    if body is None:
        return line(Kind.EVENT, event_line(record))
    return line(Kind.MESSAGE, message_line(record.seq, body, digest, record.addressed))


async def _fetch(connection: Connection, text: str, values: Sequence[object]) -> Sequence[Row]:
    return await connection.fetch(text, *values)
