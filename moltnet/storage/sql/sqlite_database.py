"""The connections of an SQLite database and the threads that they are used from.

One connection writes, a few others read beside it. What is read and written is ``sqlite.py``'s business.
"""

import errno
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Final, TypeVar

import attrs
import trio

from moltnet.log import get_logger
from moltnet.protocol.times import utc_now
from moltnet.storage import limits
from moltnet.storage.files import make_private_directory, real_path, server_lock
from moltnet.storage.sql.migrate import load_migrations, migrate, schema_version
from moltnet.storage.sql.sqlite_files import FileIdentity, create_private_file, log_bytes, shut_out_others
from moltnet.storage.store import SchemaUnsupported, StorageError, StorageFull, StoreInUse

Result = TypeVar("Result")
Work = Callable[[sqlite3.Connection], Result]
log = get_logger("storage")

# STRICT tables came with this version.
_OLDEST_SQLITE: Final = (3, 37, 0)
# A quota, a file size limit and a full disk below the log's index report a failed write or a failed growth.
_NO_ROOM: Final = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN}
)
_NO_ROOM_EXTENDED: Final = frozenset({sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})
_PRIMARY_CODE: Final = 0xFF
_NO_ROOM_FOR_FILES: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


@asynccontextmanager
async def open_database(
    path: Path, *, busy_timeout_ms: int = limits.SQLITE_BUSY_TIMEOUT_MS
) -> AsyncIterator["SqliteDatabase"]:
    """Lock, create and migrate the database at ``path``; leaving the block closes it, whatever is cancelled.

    Raises ``StoreInUse``, ``SchemaUnsupported``, ``StorageError``.
    """
    database = await trio.to_thread.run_sync(_open, real_path(path), busy_timeout_ms)
    try:
        yield database
    finally:
        with trio.CancelScope(shield=True):
            await database.aclose()


@attrs.define(eq=False)
class SqliteDatabase:
    """Open connections. A unit of work is a function of a connection; it runs in a thread, in one transaction.

    The limiters tell how many threads work and how many callers wait.
    """

    file: FileIdentity
    writer: sqlite3.Connection
    readers: tuple[sqlite3.Connection, ...]
    _resources: ExitStack
    _idle_readers: deque[sqlite3.Connection] = attrs.field(init=False)
    # How large the log may become until it is cut; grows while another program keeps it from being cut.
    _longest_log_bytes: int = attrs.field(init=False, factory=lambda: limits.SQLITE_LOG_BYTES)
    _cutting: bool = attrs.field(init=False, default=False)
    write_limiter: trio.CapacityLimiter = attrs.field(init=False, factory=lambda: trio.CapacityLimiter(1))
    read_limiter: trio.CapacityLimiter = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._idle_readers = deque(self.readers)
        self.read_limiter = trio.CapacityLimiter(len(self.readers))

    @property
    def path(self) -> Path:
        return self.file.path

    async def write(self, work: Work[Result]) -> Result:
        """Run ``work`` and commit what it wrote; if it raises, nothing was written.

        Nothing is written either once the path names another file or none: who opens it next would not find it.

        Cancelled before its turn, it does not run; once started it finishes, bounded by the busy timeout. Raises
        ``StorageFull``, ``StorageError``, and whatever ``work`` raises.
        """
        result, size_bytes = await trio.to_thread.run_sync(self._write, work, limiter=self.write_limiter)
        if size_bytes > self._longest_log_bytes and not self._cutting:
            with trio.CancelScope(shield=True):  # what was written is written, and its caller must hear of it
                await self._cut_log()
        return result

    async def read(self, work: Work[Result]) -> Result:
        """Run ``work`` on one consistent state of the database, beside the writer.

        Cancelled, its caller goes on at once; the thread ends by itself and its connection is not used before.
        """
        return await trio.to_thread.run_sync(self._read, work, abandon_on_cancel=True, limiter=self.read_limiter)

    async def _cut_log(self) -> None:
        """Merge the log into the database file and empty it, at a moment at which nobody of us reads.

        SQLite begins its log anew only when no reader needs it, and where reads overlap all the time that may be never.
        """
        held: list[object] = []
        self._cutting = True
        try:
            for turn in (object() for _ in self.readers):
                await self.read_limiter.acquire_on_behalf_of(turn)
                held.append(turn)
            await trio.to_thread.run_sync(self._empty_log, limiter=self.write_limiter)
        finally:
            self._cutting = False
            for turn in held:
                self.read_limiter.release_on_behalf_of(turn)

    async def aclose(self) -> None:
        """Wait for the threads, then close everything. The log is merged into the database file."""
        for reader in self.readers:
            reader.interrupt()  # nobody waits for these reads any more
        for _ in self.readers:
            await self.read_limiter.acquire_on_behalf_of(object())
        await self.write_limiter.acquire_on_behalf_of(object())
        await trio.to_thread.run_sync(self._resources.close)

    def _write(self, work: Work[Result]) -> tuple[Result, int]:
        """The result, and how large the log is now."""
        with translated_errors():
            _begin(self.writer, "BEGIN IMMEDIATE")
            try:
                result = work(self.writer)
                # SQLite itself would go on writing into a file that was removed, and never say so.
                self.file.check()
                self.writer.execute("COMMIT")
            except BaseException:
                # Some failures have already ended the transaction.
                if self.writer.in_transaction:
                    self.writer.execute("ROLLBACK")
                raise
            return result, log_bytes(self.path)

    def _empty_log(self) -> None:
        (busy_timeout_ms,) = self.writer.execute("PRAGMA busy_timeout").fetchone()
        # Of us nobody reads now; for another program nobody waits.
        self.writer.execute("PRAGMA busy_timeout = 0")
        try:
            (is_busy, _, _) = self.writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.DatabaseError as error:
            is_busy, reason = True, str(error)
        else:
            reason = "another program reads the database"
        finally:
            self.writer.execute(f"PRAGMA busy_timeout = {busy_timeout_ms}")
        self._longest_log_bytes = limits.SQLITE_LOG_BYTES
        if is_busy:
            size_bytes = log_bytes(self.path)
            self._longest_log_bytes += size_bytes
            log.warning("the log of the database can't be cut and grows", size_bytes=size_bytes, reason=reason)

    def _read(self, work: Work[Result]) -> Result:
        # Taken and given back in the thread itself, which may outlive its caller. The limiter counts the same.
        connection = self._idle_readers.pop()
        try:
            with translated_errors():
                _begin(connection, "BEGIN")
                try:
                    return work(connection)
                finally:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
        finally:
            self._idle_readers.append(connection)


def _begin(connection: sqlite3.Connection, how: str) -> None:
    """Begin a transaction; one that could not be rolled back is ended first, or the connection would be of no use."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")
    connection.execute(how)


@contextmanager
def translated_errors() -> Iterator[None]:
    """The one place where SQLite's errors become ours. A violated constraint is a bug and stays what it is."""
    try:
        yield
    except (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.NotSupportedError):
        raise
    except sqlite3.DatabaseError as error:
        code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        if code == sqlite3.SQLITE_NOTADB:
            raise SchemaUnsupported("the file is not an SQLite database") from error
        if code & _PRIMARY_CODE in _NO_ROOM or code in _NO_ROOM_EXTENDED:
            raise StorageFull(f"the database can't be written to: {error}") from error
        raise StorageError(f"the database failed: {error}") from error


def _open(path: Path, busy_timeout_ms: int) -> SqliteDatabase:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        needed = ".".join(str(number) for number in _OLDEST_SQLITE)
        raise StorageError(f"SQLite {sqlite3.sqlite_version} is too old: {needed} is the oldest that has what we use")
    with ExitStack() as opened:
        try:
            with translated_errors():
                make_private_directory(path.parent)
                opened.enter_context(server_lock(path, "an SQLite database"))
                file = create_private_file(path)
                writer = opened.enter_context(_writing_connection(path, busy_timeout_ms))
                migrate(writer, load_migrations("sqlite"), utc_now())
                readers = tuple(
                    opened.enter_context(open_connection(path, "ro", busy_timeout_ms, limits.SQLITE_READER_CACHE_KIB))
                    for _ in range(limits.SQLITE_READERS)
                )
        except OSError as error:
            kind = StorageFull if error.errno in _NO_ROOM_FOR_FILES else StorageError
            raise kind(f"can't open {path}: {error.strerror}") from error
        except StoreInUse:
            raise
        except StorageError as error:
            raise type(error)(f"can't open {path}: {error}") from error
        return SqliteDatabase(file, writer, readers, opened.pop_all())


@contextmanager
def _writing_connection(path: Path, busy_timeout_ms: int) -> Iterator[sqlite3.Connection]:
    with open_connection(path, "rw", busy_timeout_ms, limits.SQLITE_CACHE_KIB) as connection:
        # A foreign database is refused before anything changes it or its rights.
        schema_version(connection)
        shut_out_others(path)
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StorageError(f"the file system of {path.parent} does not support SQLite's write-ahead log")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {limits.SQLITE_CHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {limits.SQLITE_LOG_BYTES}")
        yield connection


@contextmanager
def open_connection(path: Path, mode: str, busy_timeout_ms: int, cache_kib: int) -> Iterator[sqlite3.Connection]:
    """A connection with everything set that SQLite keeps per connection. Transactions are begun by hand."""
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={mode}",
        uri=True,
        timeout=busy_timeout_ms / 1000,
        isolation_level=None,
        check_same_thread=False,  # a limiter sees to it that one thread uses it at a time
        cached_statements=limits.SQLITE_CACHED_STATEMENTS,
    )
    with closing(connection):
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
        yield connection
