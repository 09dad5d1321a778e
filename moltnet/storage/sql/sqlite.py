"""The store on SQLite: one file, one server process, durable with every commit.

How connections and threads are used stands in ``sqlite_database``, the writing side in ``sqlite_batch``.
"""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio

from moltnet.protocol.ids import AgentId, ApprovalId, DirectId, MessageId, NetworkId, RoomId, ThreadId
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.relays import DeadLetter
from moltnet.protocol.rooms import DirectConversation, Thread
from moltnet.protocol.times import format_timestamp, utc_now
from moltnet.storage import limits
from moltnet.storage.commands import AnyCommand
from moltnet.storage.files import free_bytes
from moltnet.storage.marks import Mark
from moltnet.storage.outbox import OutboxDepth, OutboxRow
from moltnet.storage.ownership import LocalOwners
from moltnet.storage.pages import body_page, id_page, replay_page
from moltnet.storage.records import (
    ApprovalFilter,
    DirectoryContents,
    EventBounds,
    EventRecord,
    History,
    PairNetwork,
    PlacedMessage,
    StoredApproval,
    StoredPage,
    StoredRoom,
    StoredSession,
)
from moltnet.storage.sql import rows
from moltnet.storage.sql import sqlite_statements as statements
from moltnet.storage.sql.sqlite_approvals import approval_page, find_approval
from moltnet.storage.sql.sqlite_batch import commit_batch, found
from moltnet.storage.sql.sqlite_database import SqliteDatabase, open_database
from moltnet.storage.sql.sqlite_messages import find_message, messages_after, messages_before
from moltnet.storage.sql.sqlite_outbox import read_dead_letters, read_depths, read_outbox
from moltnet.storage.sql.sqlite_rooms import find_rooms, removed_rooms
from moltnet.storage.store import Committed, StorageError, StorageFull, Store, UnknownCursor, WrongNetwork

_NETWORK_ID: Final = "network_id"
_WRITE_PROBE: Final = "write_probe"
# Greater than every seq: a page without a cursor ends before it.
_END: Final = 2**63 - 1


@asynccontextmanager
async def open_sqlite(path: Path, network_id: NetworkId) -> AsyncIterator[Store]:
    """The store of ``network_id`` in the database at ``path``, which is created if it is missing.

    Raises ``StoreInUse``, ``SchemaUnsupported``, ``WrongNetwork``, ``StorageError``.
    """
    async with open_database(path) as database:
        yield await sqlite_store(database, network_id)


async def sqlite_store(database: SqliteDatabase, network_id: NetworkId) -> "SqliteStore":
    """The store in an open database, which belongs to the first network that it was opened for.

    Raises ``WrongNetwork``, ``StorageError``.
    """
    owner = await database.write(partial(_claim, network_id=network_id))
    if owner != network_id:
        raise WrongNetwork(
            f'{database.path} holds network "{owner}", but the configuration names "{network_id}": every address in it '
            "holds the old id, so set network.id back or choose another path"
        )
    return SqliteStore(network_id, database)


@attrs.define(eq=False)
class SqliteStore:
    """A ``Store`` over open connections. Each method is one transaction in a thread."""

    network_id: NetworkId
    database: SqliteDatabase
    _had_no_room: bool = attrs.field(init=False, default=False)
    _owners: LocalOwners = attrs.field(init=False, factory=LocalOwners)

    async def commit(self, commands: Sequence[AnyCommand]) -> Committed:
        if not commands:
            await trio.lowlevel.checkpoint()
            return Committed(())
        try:
            return await self.database.write(partial(commit_batch, commands=commands, network_id=self.network_id))
        except StorageFull:
            self._had_no_room = True
            raise

    async def load_directory(self) -> DirectoryContents:
        return await self.database.read(self._directory)

    async def rooms(self, room_ids: Sequence[RoomId]) -> Sequence[StoredRoom]:
        return await self.database.read(partial(find_rooms, room_ids=room_ids, network_id=self.network_id))

    async def removed_rooms(self, page: PageRequest) -> tuple[Sequence[StoredRoom], bool]:
        return await self.database.read(partial(removed_rooms, page=page, network_id=self.network_id))

    async def event_bounds(self) -> EventBounds:
        return await self.database.read(_event_bounds)

    async def event_seq(self, event_id: str) -> int | None:
        return await self.database.read(partial(_event_seq, event_id=event_id))

    async def events_after(self, seq: int, limit: int) -> Sequence[EventRecord]:
        return await self.database.read(partial(self._events_after, seq=seq, limit=limit))

    async def message_page(self, history: History, page: PageRequest) -> StoredPage:
        texts = statements.SELECT_HISTORY[history.kind]
        return await self.database.read(partial(_body_page, texts=texts, id=history.id, page=page))

    async def message(self, message_id: MessageId) -> PlacedMessage | None:
        return await self.database.read(partial(find_message, message_id=message_id))

    async def messages_before(self, history: History | None, seq: int, limit: int) -> Sequence[PlacedMessage]:
        return await self.database.read(partial(messages_before, history=history, seq=seq, limit=limit))

    async def messages_after(self, history: History | None, seq: int, limit: int) -> Sequence[PlacedMessage]:
        return await self.database.read(partial(messages_after, history=history, seq=seq, limit=limit))

    async def artifact_page(self, history: History, page: PageRequest) -> StoredPage:
        texts = statements.SELECT_ARTIFACTS[history.kind]
        return await self.database.read(partial(_body_page, texts=texts, id=history.id, page=page))

    async def wake_page(self, agent_id: AgentId, page: PageRequest) -> StoredPage:
        return await self.database.read(partial(_wake_page, agent_id=agent_id, page=page))

    async def approval(self, approval_id: ApprovalId) -> StoredApproval | None:
        return await self.database.read(partial(find_approval, approval_id=approval_id))

    async def approval_page(self, wanted: ApprovalFilter, page: PageRequest) -> StoredPage:
        return await self.database.read(partial(approval_page, wanted=wanted, page=page))

    async def thread(self, thread_id: ThreadId) -> Thread | None:
        return await self.database.read(partial(self._thread, thread_id=thread_id))

    async def threads(self, room_id: RoomId, page: PageRequest) -> tuple[Sequence[Thread], bool]:
        return await self.database.read(partial(self._threads, room_id=room_id, page=page))

    async def direct(self, direct_id: DirectId) -> DirectConversation | None:
        return await self.database.read(partial(self._direct, direct_id=direct_id))

    async def directs(
        self, page: PageRequest, participants: Sequence[str] | None
    ) -> tuple[Sequence[DirectConversation], bool]:
        work = self._all_directs if participants is None else partial(self._directs_of, participants=participants)
        return await self.database.read(partial(work, page=page))

    async def outbox(self, pairing_id: str, after_seq: int, limit: int, conversation: str = "") -> Sequence[OutboxRow]:
        return await self.database.read(
            partial(read_outbox, pairing_id=pairing_id, after_seq=after_seq, limit=limit, conversation=conversation)
        )

    async def dead_letters(self, pairing_id: str, page: PageRequest) -> tuple[Sequence[DeadLetter], bool]:
        return await self.database.read(partial(read_dead_letters, pairing_id=pairing_id, page=page))

    async def outbox_depths(self) -> Sequence[OutboxDepth]:
        return await self.database.read(read_depths)

    async def check_writable(self) -> None:
        if self._had_no_room:
            # Taken back at once. It has to be committed: before that, nothing reaches the disk.
            await self.database.write(partial(self._probe, size_bytes=limits.WRITE_PROBE_BYTES))
        await self.database.write(self._probe)
        self._had_no_room = False

    async def wait_changed(self) -> None:
        await trio.sleep_forever()

    def owned(self, name: str) -> AbstractAsyncContextManager[None]:
        return self._owners.owned(name)

    @property
    def seating(self) -> None:
        return None

    @property
    def spending(self) -> None:
        return None

    # In a thread

    def _probe(self, connection: sqlite3.Connection, size_bytes: int = 0) -> None:
        connection.execute(statements.PUT_META, (_WRITE_PROBE, format_timestamp(utc_now()).ljust(size_bytes)))
        # A small write may find room in the log when the disk has none left.
        try:
            free = free_bytes(self.database.path)
        except OSError as error:
            raise StorageError(f"{self.database.path} is gone: {error.strerror}") from error
        if free < limits.MIN_FREE_BYTES:
            raise StorageFull(f"only {free} bytes are free where {self.database.path} is")

    def _directory(self, connection: sqlite3.Connection) -> DirectoryContents:
        return DirectoryContents(
            tuple(rows.stored_room(row, self.network_id) for row in connection.execute(statements.LOAD_ROOMS)),
            tuple(rows.stored_agent(row, self.network_id) for row in connection.execute(statements.LOAD_AGENTS)),
            tuple(StoredSession(*row) for row in connection.execute(statements.LOAD_SESSIONS)),
            tuple(PairNetwork(*row) for row in connection.execute(statements.LOAD_PAIR_NETWORKS)),
            tuple(Mark(*row) for row in connection.execute(statements.LOAD_MARKS)),
        )

    def _events_after(self, connection: sqlite3.Connection, seq: int, limit: int) -> Sequence[EventRecord]:
        records = connection.execute(statements.SELECT_EVENTS_AFTER, (seq, limit))
        return replay_page((rows.event_record(row, self.network_id) for row in records), limit)

    def _thread(self, connection: sqlite3.Connection, thread_id: ThreadId) -> Thread | None:
        for row in found(connection, statements.SELECT_THREADS, [thread_id]):
            return rows.thread(row, self.network_id)
        return None

    def _threads(
        self, connection: sqlite3.Connection, room_id: RoomId, page: PageRequest
    ) -> tuple[Sequence[Thread], bool]:
        cursor = page.before or page.after
        if cursor and not _exists(connection, statements.SELECT_ROOM_HAS_THREAD, room_id, cursor):
            raise UnknownCursor(cursor)
        text = statements.SELECT_THREADS_BEFORE if page.before else statements.SELECT_THREADS_AFTER
        threads = connection.execute(text, (room_id, cursor, page.limit + 1))
        return id_page([rows.thread(row, self.network_id) for row in threads], page)

    def _direct(self, connection: sqlite3.Connection, direct_id: DirectId) -> DirectConversation | None:
        for row in found(connection, statements.SELECT_DIRECTS, [direct_id]):
            return rows.direct(row, self.network_id)
        return None

    def _all_directs(
        self, connection: sqlite3.Connection, page: PageRequest
    ) -> tuple[Sequence[DirectConversation], bool]:
        cursor = page.before or page.after
        if cursor and not _exists(connection, statements.SELECT_DIRECT_EXISTS, cursor):
            raise UnknownCursor(cursor)
        text = statements.SELECT_DIRECTS_BEFORE if page.before else statements.SELECT_DIRECTS_AFTER
        directs = connection.execute(text, (cursor, page.limit + 1))
        return id_page([rows.direct(row, self.network_id) for row in directs], page)

    def _directs_of(
        self, connection: sqlite3.Connection, participants: Sequence[str], page: PageRequest
    ) -> tuple[Sequence[DirectConversation], bool]:
        cursor = page.before or page.after
        if cursor and not any(
            _exists(connection, statements.SELECT_PARTICIPANT_IN, participant, cursor) for participant in participants
        ):
            raise UnknownCursor(cursor)
        text = statements.SELECT_PARTICIPANT_BEFORE if page.before else statements.SELECT_PARTICIPANT_AFTER
        # The page is among the first of each participant: nobody's whole list is read.
        ids = {
            direct_id
            for participant in participants
            for (direct_id,) in connection.execute(text, (participant, cursor, page.limit + 1))
        }
        nearest = sorted(ids, reverse=bool(page.before))[: page.limit + 1]
        directs = {
            row[0]: rows.direct(row, self.network_id) for row in found(connection, statements.SELECT_DIRECTS, nearest)
        }
        return id_page([directs[direct_id] for direct_id in nearest], page)


def _claim(connection: sqlite3.Connection, network_id: NetworkId) -> str:
    """The network that the database belongs to: ``network_id`` if it belonged to none."""
    row = connection.execute(statements.SELECT_META, (_NETWORK_ID,)).fetchone()
    if row is not None:
        return str(row[0])
    connection.execute(statements.PUT_META, (_NETWORK_ID, network_id))
    return network_id


def _event_bounds(connection: sqlite3.Connection) -> EventBounds:
    oldest = connection.execute(statements.SELECT_OLDEST_EVENT).fetchone()
    newest = connection.execute(statements.SELECT_NEWEST_EVENT).fetchone()
    return EventBounds(0, 0) if oldest is None else EventBounds(oldest[0], newest[0], oldest[1], newest[1])


def _event_seq(connection: sqlite3.Connection, event_id: str) -> int | None:
    row = connection.execute(statements.SELECT_EVENT_SEQ, (event_id,)).fetchone()
    return None if row is None else int(row[0])


def _body_page(
    connection: sqlite3.Connection, texts: statements.HistoryStatements, id: str, page: PageRequest
) -> StoredPage:
    cursor = page.after or page.before
    place = _END
    if cursor:
        row = connection.execute(texts.place, (id, cursor)).fetchone()
        if row is None:
            raise UnknownCursor(cursor)
        (place,) = row
    text = texts.newer if page.after else texts.older
    bodies = connection.execute(text, (id, place, page.limit + 1))
    return body_page(((row[0], row[1]) for row in bodies), page)


def _wake_page(connection: sqlite3.Connection, agent_id: AgentId, page: PageRequest) -> StoredPage:
    cursor = page.after or page.before
    (removed,) = connection.execute(statements.SELECT_AGENT_REMOVED, (agent_id,)).fetchone()
    first, last = removed or 0, _END
    if cursor:
        row = connection.execute(statements.SELECT_WAKE_PLACE, (agent_id, cursor)).fetchone()
        if row is None or row[0] <= first:
            raise UnknownCursor(cursor)
        first, last = (row[0], _END) if page.after else (first, row[0])
    text = statements.SELECT_WAKES_AFTER if page.after else statements.SELECT_WAKES_BEFORE
    return body_page(connection.execute(text, (agent_id, first, last, page.limit + 1)), page)


def _exists(connection: sqlite3.Connection, text: str, *values: str) -> bool:
    return connection.execute(text, values).fetchone() is not None
