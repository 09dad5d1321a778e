"""The SQLite store: group commit against one transaction per message, and both against SQLite alone.

The ceiling is what SQLite does with the same rows in the same tables when nothing decides, encodes or changes threads.
"""

import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import trio

from moltnet.protocol.events import EventType
from moltnet.protocol.ids import event_id_of_message, new_message_id
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.times import utc_now
from moltnet.storage.changes import MessageRow
from moltnet.storage.commands import AppendMessage
from moltnet.storage.records import EventRecord
from moltnet.storage.sql import rows
from moltnet.storage.sql import sqlite_statements as statements
from moltnet.storage.sql.migrate import load_migrations, migrate
from moltnet.storage.sql.sqlite import open_sqlite
from moltnet.storage.store import Store
from tests.bench.measurement import Measurement, measurement
from tests.bench.servers import new_directory
from tests.bench.settings import Settings
from tests.storage.examples import GENERAL, NETWORK, create_room, post, room, room_history

TEXT: Final = "x" * 600  # a message of about 900 bytes with its envelope
BATCHES: Final = (8, 64, 512)

Block = Sequence[AppendMessage]


ANY_SERVER: Final = False


async def run(settings: Settings) -> Sequence[Measurement]:
    """A few seconds. ``by 64``: 64 messages in each transaction."""
    with new_directory() as directory:
        results: list[Measurement] = []
        stored: dict[int, Measurement] = {}
        for size in (1, *BATCHES):
            count = settings.stored_messages // (8 if size == 1 else 1)
            alone = sqlite_alone(Path(directory) / f"alone-{size}.db", size, blocks(count, size))
            stored[size] = await store_commits(Path(directory) / f"store-{size}.db", size, blocks(count, size))
            results += [alone, stored[size].compared(alone)]
        results += [stored[size].compared(stored[1]) for size in BATCHES]
        results += await reads(Path(directory) / f"store-{BATCHES[-1]}.db", settings.reads)
        return results


def blocks(count: int, size: int) -> list[Block]:
    """``count`` new messages, as they would wait for one commit."""
    made = [post(new_message_id(), text=TEXT) for _ in range(count)]
    return [made[start : start + size] for start in range(0, count, size)]


async def store_commits(path: Path, size: int, waiting: Sequence[Block]) -> Measurement:
    async with open_sqlite(path, NETWORK) as store:
        await store.commit([create_room()])
        seconds = []
        for block in waiting:
            start = time.perf_counter()
            await store.commit(block)
            seconds.append(time.perf_counter() - start)
    return measurement(f"store by {size}", "messages", sum(map(len, waiting)), seconds)


def sqlite_alone(path: Path, size: int, waiting: Sequence[Block]) -> Measurement:
    """The same rows, made beforehand, in the same schema with the same settings, without threads."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, load_migrations("sqlite"), utc_now())
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "wal_autocheckpoint = 2000"):
            connection.execute(f"PRAGMA {pragma}")
        statements.PUT_ROOMS.run(connection, [(GENERAL, GENERAL, "private", "members", "", room().created_at, None)])
        ready = list(rows_of(waiting))
        seconds = []
        for events, messages in ready:
            start = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            statements.INSERT_EVENTS.run(connection, events)
            statements.INSERT_MESSAGES.run(connection, messages)
            connection.execute("COMMIT")
            seconds.append(time.perf_counter() - start)
    return measurement(f"SQLite alone by {size}", "messages", sum(map(len, waiting)), seconds)


def rows_of(waiting: Sequence[Block]) -> Iterator[tuple[list[rows.Row], list[rows.Row]]]:
    seq = 0
    for block in waiting:
        events, messages = [], []
        for command in block:
            seq += 1
            message = command.message
            record = EventRecord(
                seq=seq,
                id=event_id_of_message(message.id),
                type=EventType.MESSAGE_CREATED,
                wire=b"",
                room_id=message.target.room_id,
                message_id=message.id,
                sender=message.sender.fqid,
                created_at=message.created_at,
            )
            events.append(rows.event_row(record, holds_message=True))
            messages.append(rows.message_row(MessageRow(seq, message, command.body, command.digest)))
        yield events, messages


async def reads(path: Path, count: int) -> list[Measurement]:
    """A page of history and a piece of the log, first alone, then beside a writer that never rests."""
    async with open_sqlite(path, NETWORK) as store:
        middle = (await store.event_bounds()).newest_seq // 2

        async def page() -> int:
            return len((await store.message_page(room_history(), PageRequest())).items)

        async def replay() -> int:
            return len(await store.events_after(middle, 256))

        alone = [await timed("page of 100 messages", page, count), await timed("replay of 256 events", replay, count)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write_until_cancelled, store)
            busy = [
                await timed("page beside a writer", page, count),
                await timed("replay beside a writer", replay, count),
            ]
            nursery.cancel_scope.cancel(reason="measured")
        return [*alone, *(measured.compared(base) for measured, base in zip(busy, alone, strict=True))]


async def timed(name: str, read: Callable[[], Awaitable[int]], count: int) -> Measurement:
    amount, seconds = 0, []
    for _ in range(count):
        start = time.perf_counter()
        amount += await read()
        seconds.append(time.perf_counter() - start)
    return measurement(name, "items", amount, seconds)


async def write_until_cancelled(store: Store) -> None:
    while True:
        (block,) = blocks(64, 64)
        await store.commit(block)
