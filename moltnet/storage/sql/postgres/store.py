"""The store on PostgreSQL: any number of servers on one database see each other's commits in one order.

How connections are kept stands in ``database``, the writing side in ``batch``, what others have committed in ``feed``,
what servers settle besides in ``servers``.
"""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Final

import attrs
import trio

from moltnet.config.secrets import Secret
from moltnet.log import get_logger
from moltnet.protocol.ids import AgentId, ApprovalId, DirectId, MessageId, NetworkId, RoomId, ThreadId
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.relays import DeadLetter
from moltnet.protocol.rooms import DirectConversation, Thread
from moltnet.protocol.times import format_timestamp, utc_now
from moltnet.storage import limits
from moltnet.storage.bell import Bell
from moltnet.storage.commands import AnyCommand
from moltnet.storage.marks import Mark
from moltnet.storage.outbox import OutboxDepth, OutboxRow
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
from moltnet.storage.seating import Seating
from moltnet.storage.spending import Spending
from moltnet.storage.sql import rows
from moltnet.storage.sql.migrate import load_migrations
from moltnet.storage.sql.postgres import statements
from moltnet.storage.sql.postgres.approvals import approval_page, find_approval
from moltnet.storage.sql.postgres.batch import Written, found, transaction, was_written, write_batch
from moltnet.storage.sql.postgres.database import Connection, PostgresDatabase, open_database
from moltnet.storage.sql.postgres.dsn import parse_dsn
from moltnet.storage.sql.postgres.failures import ConnectionLost, unreachable
from moltnet.storage.sql.postgres.feed import Position, news_since, position_of
from moltnet.storage.sql.postgres.lease import USUAL_TIMES, LeaseTimes
from moltnet.storage.sql.postgres.messages import find_message, messages_after, messages_before
from moltnet.storage.sql.postgres.names import sought, stored_agent, stored_room
from moltnet.storage.sql.postgres.outbox import read_dead_letters, read_depths, read_outbox
from moltnet.storage.sql.postgres.schema import BEGIN_PREPARING, prepare
from moltnet.storage.sql.postgres.servers import Servers
from moltnet.storage.sql.rows import Row
from moltnet.storage.store import Committed, StorageError, StorageFull, Store, UnknownCursor

log = get_logger("storage")

_WRITE_PROBE: Final = "write_probe"
# Greater than every seq: a page without a cursor ends before it.
_END: Final = 2**63 - 1
# All statements see the same state, and nobody waits for it.
_BEGIN_SNAPSHOT: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


@asynccontextmanager
async def open_postgres(
    dsn: Secret | str, network_id: NetworkId, times: LeaseTimes = USUAL_TIMES
) -> AsyncIterator[Store]:
    """The store of ``network_id`` in a database that is there; its tables are created if they are missing.

    All servers of a database go by the same ``times``.

    Raises ``SchemaUnsupported``, ``WrongNetwork``, ``StorageError``; none of their texts holds a password.
    """
    address = parse_dsn(dsn)
    steps = load_migrations("postgres")
    async with open_database(address) as database:
        preparing = partial(prepare, dsn=address, steps=steps, network_id=network_id, now=utc_now())
        try:
            begin = await database.prepare(
                partial(transaction, begin=BEGIN_PREPARING, work=preparing), limits.POSTGRES_MIGRATION_SECONDS
            )
            position = await database.read(position_of)
            servers = Servers(database, times)
            await servers.join()
        except ConnectionLost as error:
            raise unreachable(error, address) from error
        store = PostgresStore(network_id, database, begin, position, servers)
        database.background.start_soon(store.keep_listening)
        database.background.start_soon(servers.run)
        try:
            yield store
        finally:
            await servers.leave()


@attrs.define(eq=False)
class PostgresStore:
    """A ``Store`` over an open database. ``begin`` starts a transaction that nobody else writes beside."""

    network_id: NetworkId
    database: PostgresDatabase
    begin: str
    _seen: Position
    _servers: Servers
    _turn: trio.Lock = attrs.field(init=False, factory=trio.Lock)
    _bell: Bell = attrs.field(init=False, factory=Bell)
    _deaf: bool = attrs.field(init=False, default=False)
    _had_no_room: bool = attrs.field(init=False, default=False)

    async def commit(self, commands: Sequence[AnyCommand]) -> Committed:
        # One at a time: what is reported as new must be reported once.
        async with self._turn:
            if not commands:
                return await self._catch_up()
            with trio.CancelScope(shield=True):
                try:
                    committed = await self._commit(commands)
                except StorageFull:
                    self._had_no_room = True
                    raise
        return committed

    async def wait_changed(self) -> None:
        await self._bell.wait()
        self._bell.clear()

    def owned(self, name: str) -> AbstractAsyncContextManager[None]:
        return self._servers.owners.owned(name)

    @property
    def seating(self) -> Seating:
        return self._servers.seats

    @property
    def spending(self) -> Spending:
        return self._servers.buckets

    async def keep_listening(self) -> None:
        """Ring the bell when others commit; for as long as the store is open, and again after a lost connection."""
        while True:
            try:
                await self.database.listen(statements.CHANNEL, self._ring)
            except StorageError as error:
                if not self._deaf:
                    log.warning("not hearing of other servers until the database is back", reason=str(error))
                self._deaf = True
            await trio.sleep(limits.POSTGRES_LISTEN_AGAIN_SECONDS)

    def _ring(self) -> None:
        if self._deaf:
            log.info("the database is back")
            self._deaf = False
        self._bell.ring()

    async def load_directory(self) -> DirectoryContents:
        return await self.database.read(partial(transaction, begin=_BEGIN_SNAPSHOT, work=self._directory))

    async def rooms(self, room_ids: Sequence[RoomId]) -> Sequence[StoredRoom]:
        keys = [sought(room_id) for room_id in room_ids]
        found_rows = await self.database.read(partial(found, text=statements.SELECT_ROOMS, keys=keys))
        return sorted((stored_room(row, self.network_id) for row in found_rows), key=lambda each: each.room.id)

    async def removed_rooms(self, page: PageRequest) -> tuple[Sequence[StoredRoom], bool]:
        found_rows = await self.database.read(partial(_removed_rows, page=page))
        return id_page([stored_room(row, self.network_id) for row in found_rows], page)

    async def event_bounds(self) -> EventBounds:
        row = await self.database.read(lambda connection: connection.fetchrow(statements.SELECT_EVENT_BOUNDS))
        return EventBounds(0, 0) if row is None else EventBounds(*row)

    async def event_seq(self, event_id: str) -> int | None:
        text, sought_id = statements.SELECT_EVENT_SEQ, sought(event_id)
        seq: int | None = await self.database.read(lambda connection: connection.fetchval(text, sought_id))
        return seq

    async def events_after(self, seq: int, limit: int) -> Sequence[EventRecord]:
        text = statements.SELECT_EVENTS_AFTER
        records = await self.database.read(
            lambda connection: connection.fetch(text, min(seq, _END), limit, limits.MAX_REPLAY_BYTES)
        )
        return replay_page((rows.event_record(row, self.network_id) for row in records), limit)

    async def message_page(self, history: History, page: PageRequest) -> StoredPage:
        texts = statements.SELECT_HISTORY[history.kind]
        return await self.database.read(partial(_body_page, texts=texts, id=sought(history.id), page=page))

    async def message(self, message_id: MessageId) -> PlacedMessage | None:
        return await self.database.read(partial(find_message, message_id=message_id))

    async def messages_before(self, history: History | None, seq: int, limit: int) -> Sequence[PlacedMessage]:
        return await self.database.read(partial(messages_before, history=history, seq=seq, limit=limit))

    async def messages_after(self, history: History | None, seq: int, limit: int) -> Sequence[PlacedMessage]:
        return await self.database.read(partial(messages_after, history=history, seq=seq, limit=limit))

    async def artifact_page(self, history: History, page: PageRequest) -> StoredPage:
        texts = statements.SELECT_ARTIFACTS[history.kind]
        return await self.database.read(partial(_body_page, texts=texts, id=sought(history.id), page=page))

    async def wake_page(self, agent_id: AgentId, page: PageRequest) -> StoredPage:
        return await self.database.read(partial(_wake_page, agent_id=sought(agent_id), page=page))

    async def approval(self, approval_id: ApprovalId) -> StoredApproval | None:
        return await self.database.read(partial(find_approval, approval_id=approval_id))

    async def approval_page(self, wanted: ApprovalFilter, page: PageRequest) -> StoredPage:
        return await self.database.read(partial(approval_page, wanted=wanted, page=page))

    async def thread(self, thread_id: ThreadId) -> Thread | None:
        found_rows = await self.database.read(partial(found, text=statements.SELECT_THREADS, keys=[sought(thread_id)]))
        return rows.thread(found_rows[0], self.network_id) if found_rows else None

    async def threads(self, room_id: RoomId, page: PageRequest) -> tuple[Sequence[Thread], bool]:
        found_rows = await self.database.read(partial(_thread_rows, room_id=sought(room_id), page=page))
        return id_page([rows.thread(row, self.network_id) for row in found_rows], page)

    async def direct(self, direct_id: DirectId) -> DirectConversation | None:
        found_rows = await self.database.read(partial(found, text=statements.SELECT_DIRECTS, keys=[sought(direct_id)]))
        return rows.direct(found_rows[0], self.network_id) if found_rows else None

    async def directs(
        self, page: PageRequest, participants: Sequence[str] | None
    ) -> tuple[Sequence[DirectConversation], bool]:
        if participants is None:
            found_rows = await self.database.read(partial(_direct_rows, page=page))
        else:
            wanted = [sought(participant) for participant in participants]
            found_rows = await self.database.read(partial(_direct_rows_of, participants=wanted, page=page))
        return id_page([rows.direct(row, self.network_id) for row in found_rows], page)

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
            # What was written and not committed has its place on the disk all the same, until it is cleaned away.
            await self.database.write(partial(transaction, begin="BEGIN", work=_write_much, end=lambda _: "ROLLBACK"))
        now = format_timestamp(utc_now())
        await self.database.write(lambda connection: connection.execute(statements.PUT_META, _WRITE_PROBE, now))
        self._had_no_room = False

    async def _commit(self, commands: Sequence[AnyCommand]) -> Committed:
        unsure: Written | None = None

        async def write(connection: Connection) -> Written:
            nonlocal unsure
            if unsure is not None and await was_written(connection, unsure):
                return unsure
            # From here on the word COMMIT may be on its way, and its answer may be lost.
            unsure = await write_batch(connection, commands, self.network_id, self._seen)
            return unsure

        async def attempt() -> Written:
            return await self.database.write(
                partial(transaction, begin=self.begin, work=write, end=lambda written: written.end)
            )

        written = await self.database.patiently(attempt)
        self._seen = written.position
        return written.committed

    async def _catch_up(self) -> Committed:
        position, news = await self.database.read(partial(transaction, begin=_BEGIN_SNAPSHOT, work=self._news))
        self._seen = position
        return news

    # On a connection

    async def _news(self, connection: Connection) -> tuple[Position, Committed]:
        newest = await position_of(connection)
        return newest, await news_since(connection, self._seen, newest, self.network_id)

    async def _directory(self, connection: Connection) -> DirectoryContents:
        load = connection.fetch
        return DirectoryContents(
            tuple(stored_room(row, self.network_id) for row in await load(statements.LOAD_ROOMS)),
            tuple(stored_agent(row, self.network_id) for row in await load(statements.LOAD_AGENTS)),
            tuple(StoredSession(*row) for row in await load(statements.LOAD_SESSIONS)),
            tuple(PairNetwork(*row) for row in await load(statements.LOAD_PAIR_NETWORKS)),
            tuple(Mark(*row) for row in await load(statements.LOAD_MARKS)),
        )


async def _write_much(connection: Connection) -> None:
    # Nothing that could be compressed.
    much = os.urandom(limits.WRITE_PROBE_BYTES // 2).hex()
    await connection.execute(statements.PUT_META, _WRITE_PROBE, much)


async def _body_page(
    connection: Connection, texts: statements.HistoryStatements, id: str, page: PageRequest
) -> StoredPage:
    cursor = page.after or page.before
    place = _END
    if cursor:
        place = await connection.fetchval(texts.place, id, sought(cursor))
        if place is None:
            raise UnknownCursor(cursor)
    text = texts.newer if page.after else texts.older
    bodies = await connection.fetch(text, id, place, page.limit + 1, limits.MAX_PAGE_BYTES)
    return body_page(((row[0], row[1]) for row in bodies), page)


async def _wake_page(connection: Connection, agent_id: str, page: PageRequest) -> StoredPage:
    cursor = page.after or page.before
    first, last = await connection.fetchval(statements.SELECT_AGENT_REMOVED, agent_id), _END
    if cursor:
        place = await connection.fetchval(statements.SELECT_WAKE_PLACE, agent_id, sought(cursor))
        if place is None or place <= first:
            raise UnknownCursor(cursor)
        first, last = (place, _END) if page.after else (first, place)
    text = statements.SELECT_WAKES_AFTER if page.after else statements.SELECT_WAKES_BEFORE
    bodies = await connection.fetch(text, agent_id, first, last, page.limit + 1, limits.MAX_PAGE_BYTES)
    return body_page(((row[0], row[1]) for row in bodies), page)


async def _thread_rows(connection: Connection, room_id: str, page: PageRequest) -> Sequence[Row]:
    cursor = await _checked_cursor(connection, page, statements.SELECT_ROOM_HAS_THREAD, room_id)
    text = statements.SELECT_THREADS_BEFORE if page.before else statements.SELECT_THREADS_AFTER
    return await connection.fetch(text, room_id, cursor, page.limit + 1)


async def _removed_rows(connection: Connection, page: PageRequest) -> Sequence[Row]:
    cursor = await _checked_cursor(connection, page, statements.SELECT_ROOM_IS_REMOVED)
    text = statements.SELECT_REMOVED_BEFORE if page.before else statements.SELECT_REMOVED_AFTER
    return await connection.fetch(text, cursor, page.limit + 1)


async def _direct_rows(connection: Connection, page: PageRequest) -> Sequence[Row]:
    cursor = await _checked_cursor(connection, page, statements.SELECT_DIRECT_EXISTS)
    text = statements.SELECT_DIRECTS_BEFORE if page.before else statements.SELECT_DIRECTS_AFTER
    return await connection.fetch(text, cursor, page.limit + 1)


async def _direct_rows_of(connection: Connection, participants: Sequence[str], page: PageRequest) -> Sequence[Row]:
    cursor = await _checked_cursor(connection, page, statements.SELECT_PARTICIPANT_IN, participants)
    text = statements.SELECT_PARTICIPANT_BEFORE if page.before else statements.SELECT_PARTICIPANT_AFTER
    ids = {direct_id for (direct_id,) in await connection.fetch(text, participants, cursor, page.limit + 1)}
    nearest = sorted(ids, reverse=bool(page.before))[: page.limit + 1]
    directs = {row[0]: row for row in await found(connection, statements.SELECT_DIRECTS, nearest)}
    return [directs[direct_id] for direct_id in nearest]


async def _checked_cursor(connection: Connection, page: PageRequest, text: str, *values: object) -> str:
    """The cursor of a list by id, which ``text`` looks for in it. Raises ``UnknownCursor``."""
    cursor = page.before or page.after
    if cursor and await connection.fetchrow(text, *values, sought(cursor)) is None:
        raise UnknownCursor(cursor)
    return cursor
