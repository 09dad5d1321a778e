"""A store that fails, stalls and dies at any statement, and that is opened again with what it had committed.

In memory, or real SQLite. Either way the plan of faults is asked before each step, and `Truth` is told of each commit.
"""

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import attrs
import trio

from moltnet.protocol.ids import NetworkId
from moltnet.storage.commands import AnyCommand
from moltnet.storage.memory import MemoryStore
from moltnet.storage.records import EventRecord
from moltnet.storage.sql.sqlite import open_sqlite
from moltnet.storage.store import Committed, StorageError, StorageFull, Store
from tests.simulation.truth import Truth


class Faults(Protocol):
    """What happens to a store; decided by a world (`tests.simulation.chaos`)."""

    async def before(self, what: str) -> None:
        """Before anything is read or written: takes time, perhaps, or raises `StorageError`."""
        ...

    def at_statement(self, text: str) -> None:
        """In the middle of a transaction: may raise `sqlite3.OperationalError`, or kill the server."""
        ...


@attrs.define(eq=False)
class Disk:
    """What a network has on disk, whichever server has it open."""

    network_id: NetworkId
    directory: Path | None
    """Where SQLite keeps it; `None`: in memory."""
    truth: Truth
    _memory: MemoryStore = attrs.field(init=False)
    _lives: int = 0

    def __attrs_post_init__(self) -> None:
        self._memory = MemoryStore(self.network_id)

    @property
    def _path(self) -> Path:
        assert self.directory is not None
        return self.directory / f"life-{self._lives}" / "moltnet.db"

    def shorten(self, text: str) -> str:
        """A text without the directory, whose name is another one in each run."""
        return text if self.directory is None else text.replace(str(self.directory), "~")

    def crash(self) -> None:
        """Keep what lies on disk at this moment for the next life; what the dying one still writes is lost."""
        if self.directory is None:
            return
        before = self._path
        self._lives += 1
        self._path.parent.mkdir()
        for name in ("moltnet.db", "moltnet.db-wal"):
            if before.with_name(name).exists():
                shutil.copyfile(before.with_name(name), self._path.with_name(name))

    @asynccontextmanager
    async def open(self, faults: Faults) -> AsyncIterator[Store]:
        if self.directory is None:
            store: Store = self._memory
            await self._look(store)
            yield _Watched(store, faults, self.truth)
            return
        self._path.parent.mkdir(exist_ok=True)
        path = str(self._path)
        _plans[path] = faults
        try:
            async with open_sqlite(self._path, self.network_id) as store:
                await self._look(store)
                yield _Watched(store, faults, self.truth)
        finally:
            del _plans[path]

    async def _look(self, store: Store) -> None:
        contents = await store.load_directory()
        seq, records = self.truth.log[-1].seq if self.truth.log else 0, list[EventRecord]()
        while page := await store.events_after(seq, 500):
            records += page
            seq = page[-1].seq
        self.truth.found(contents.rooms, records)
        bounds = await store.event_bounds()
        newest = self.truth.log[-1].seq if self.truth.log else 0
        assert bounds.newest_seq == newest, (
            f"guarantee 1: {self.network_id} had committed {newest} events and comes back with {bounds.newest_seq}"
        )


class _Watched:
    """Passes everything on, after the faults and before the truth."""

    def __init__(self, store: Store, faults: Faults, truth: Truth) -> None:
        self._store, self._faults, self._truth = store, faults, truth

    async def commit(self, commands: Sequence[AnyCommand]) -> Committed:
        await self._faults.before("commit")
        if isinstance(self._store, MemoryStore):
            # No checkpoint from here to the truth, and so no moment at which it does not know.
            planned = self._store.decide(commands)
            self._store.apply(planned.changes)
            committed = Committed.of(planned)
        else:
            committed = await self._store.commit(commands)
        self._truth.committed(committed)
        self._faults.at_statement("committed")
        return committed

    def owned(self, name: str) -> AbstractAsyncContextManager[None]:
        return self._store.owned(name)

    @property
    def seating(self) -> None:
        return None

    @property
    def spending(self) -> None:
        return None

    async def wait_changed(self) -> None:
        await trio.sleep_forever()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        passed_on = getattr(self._store, name)

        async def read(*args: Any, **kwargs: Any) -> Any:
            await self._faults.before(name)
            return await passed_on(*args, **kwargs)

        return read


# SQLite is told by its own connection class, which knows the path that it was opened with and nothing else.
_plans: dict[str, Faults] = {}


class FaultyConnection(sqlite3.Connection):
    """A connection whose statements may fail."""

    def __init__(self, database: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(database, *args, **kwargs)
        path = str(database).removeprefix("file://").partition("?")[0]
        self._faults = _plans.get(path)

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if self._faults is not None:
            self._faults.at_statement(sql)
        return super().execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        if self._faults is not None:
            self._faults.at_statement(sql)
        return super().executemany(sql, parameters)


def faulty_connect(real: Callable[..., sqlite3.Connection]) -> Callable[..., sqlite3.Connection]:
    def connect(database: Any, *args: Any, **kwargs: Any) -> sqlite3.Connection:
        return real(database, *args, factory=FaultyConnection, **kwargs)

    return connect


def disk_failure(full: bool) -> sqlite3.OperationalError:
    """What SQLite raises for a disk that is full, or broken."""
    error = sqlite3.OperationalError("database or disk is full" if full else "disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL if full else sqlite3.SQLITE_IOERR
    return error


def store_failure(full: bool) -> StorageError:
    return StorageFull("no room, says the simulation") if full else StorageError("the disk fails, says the simulation")
