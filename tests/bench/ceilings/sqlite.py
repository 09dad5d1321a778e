"""What SQLite alone does with the rows of messages: group commits; nothing decides, encodes or changes threads."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from moltnet.protocol.events import EventType
from moltnet.protocol.ids import event_id_of_message, new_message_id
from moltnet.protocol.times import utc_now
from moltnet.storage.changes import MessageRow
from moltnet.storage.commands import AppendMessage
from moltnet.storage.records import EventRecord
from moltnet.storage.sql import rows
from moltnet.storage.sql import sqlite_statements as statements
from moltnet.storage.sql.migrate import load_migrations, migrate
from tests.bench.measurement import Load
from tests.storage.examples import GENERAL, post, room

TEXT = "x" * 600  # a message of about 900 bytes with its envelope
Block = Sequence[AppendMessage]


def blocks(count: int, size: int) -> list[Block]:
    """``count`` new messages, as they would wait for one commit."""
    made = [post(new_message_id(), text=TEXT) for _ in range(count)]
    return [made[start : start + size] for start in range(0, count, size)]


def commits_of(waiting: Sequence[Block], seconds: Sequence[float], cpu_seconds: float) -> Load:
    """The load that commits of these blocks were, each with the time it took. A latency is that of a commit."""
    return Load(
        sum(map(len, waiting)), sum(seconds), tuple(1000 * each for each in seconds), server_cpu_seconds=cpu_seconds
    )


def sqlite_alone(path: Path, waiting: Sequence[Block]) -> Load:
    """The rows are made beforehand, in the same schema with the same settings as those of the real store."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, load_migrations("sqlite"), utc_now())
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "wal_autocheckpoint = 2000"):
            connection.execute(f"PRAGMA {pragma}")
        statements.PUT_ROOMS.run(connection, [(GENERAL, GENERAL, "private", "members", "", room().created_at, None)])
        ready = list(_rows_of(waiting))
        seconds = []
        before = time.process_time()
        for events, messages in ready:
            start = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            statements.INSERT_EVENTS.run(connection, events)
            statements.INSERT_MESSAGES.run(connection, messages)
            connection.execute("COMMIT")
            seconds.append(time.perf_counter() - start)
        return commits_of(waiting, seconds, time.process_time() - before)


def _rows_of(waiting: Sequence[Block]) -> Iterator[tuple[list[rows.Row], list[rows.Row]]]:
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
