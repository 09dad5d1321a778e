"""The outbox on SQLite: its SQL, and the work that is done with it in a thread.

A test asks SQLite how it would run each text named ``SELECT_…``, as those of ``sqlite_statements``.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

import orjson

from moltnet.protocol.ids import MessageId
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.relays import DeadLetter
from moltnet.storage.changes import Changes
from moltnet.storage.outbox import OutboxDepth, OutboxKey, OutboxRow
from moltnet.storage.pages import id_page, outbox_page
from moltnet.storage.sql import outbox_rows
from moltnet.storage.sql.outbox_rows import OUTBOX_COLUMNS, TABLE
from moltnet.storage.sql.sqlite_statements import Insert
from moltnet.storage.store import UnknownCursor

_COLUMNS: Final = ", ".join(OUTBOX_COLUMNS)
_LETTER: Final = ", ".join(OUTBOX_COLUMNS[:-1])
_WAITING: Final = f"SELECT {_COLUMNS} FROM {TABLE} WHERE pairing_id = ? AND failed_at IS NULL"
_DEAD: Final = f"FROM {TABLE} WHERE pairing_id = ? AND failed_at IS NOT NULL"

INSERT_OUTBOX: Final = Insert(TABLE, OUTBOX_COLUMNS)
CHANGE_OUTBOX: Final = (
    f"UPDATE {TABLE} SET attempts = ?, status = ?, code = ?, reason = ?, failed_at = ? WHERE pairing_id = ? AND seq = ?"
)
DELETE_OUTBOX: Final = f"DELETE FROM {TABLE} WHERE pairing_id = ? AND seq IN (SELECT value FROM json_each(?))"
SELECT_WAITING: Final = f"{_WAITING} AND seq > ? ORDER BY seq LIMIT ?"
SELECT_WAITING_IN: Final = f"{_WAITING} AND conversation = ? AND seq > ? ORDER BY seq LIMIT ?"
SELECT_DEAD_PLACE: Final = f"SELECT min(seq) {_DEAD} AND message_id = ?"
SELECT_DEAD_AFTER: Final = f"SELECT {_LETTER} {_DEAD} AND seq > ? ORDER BY seq LIMIT ?"
SELECT_DEAD_BEFORE: Final = f"SELECT {_LETTER} {_DEAD} AND seq < ? ORDER BY seq DESC LIMIT ?"
SELECT_DEAD_LETTERS: Final = (
    f"SELECT dead.pairing_id, dead.message_id, dead.seq FROM json_each(?) CROSS JOIN {TABLE} AS dead "
    "WHERE dead.pairing_id = json_extract(json_each.value, '$[0]') "
    "AND dead.message_id = json_extract(json_each.value, '$[1]') AND dead.failed_at IS NOT NULL"
)
# The indexes say it all, but they are gone through: this is for people who look, now and then.
LOAD_DEPTHS: Final = (
    "SELECT pairing_id, sum(waiting), sum(dead), max(oldest) FROM ("
    "SELECT counted.pairing_id, waiting, 0 AS dead, "
    f"(SELECT created_at FROM {TABLE} AS row WHERE row.pairing_id = counted.pairing_id AND row.seq = first) AS oldest "
    f"FROM (SELECT pairing_id, count(*) AS waiting, min(seq) AS first FROM {TABLE} WHERE failed_at IS NULL "
    "GROUP BY pairing_id) AS counted "
    f"UNION ALL SELECT pairing_id, 0, count(*), NULL FROM {TABLE} WHERE failed_at IS NOT NULL GROUP BY pairing_id"
    ") AS depths GROUP BY pairing_id ORDER BY pairing_id"
)
# For a backup.
LOAD_OUTBOX: Final = f"SELECT {_COLUMNS} FROM {TABLE} ORDER BY pairing_id, seq"


def write_outbox(connection: sqlite3.Connection, changes: Changes) -> None:
    """What changes of the outbox."""
    INSERT_OUTBOX.run(connection, map(outbox_rows.new_row, changes.outbox_added.values()))
    for key, state in changes.outbox_changed.items():
        connection.execute(CHANGE_OUTBOX, outbox_rows.state_row(key, state))
    for pairing_id, seqs in _by_pairing(changes.outbox_removed):
        connection.execute(DELETE_OUTBOX, (pairing_id, orjson.dumps(seqs).decode()))


def find_dead_letters(
    connection: sqlite3.Connection, wanted: Collection[tuple[str, MessageId]]
) -> dict[tuple[str, MessageId], tuple[int, ...]]:
    """The places of a pairing's messages that are dead letters."""
    if not wanted:
        return {}
    keys = orjson.dumps([list(each) for each in wanted]).decode()
    return outbox_rows.places_of_letters(connection.execute(SELECT_DEAD_LETTERS, (keys,)))


def read_outbox(
    connection: sqlite3.Connection, pairing_id: str, after_seq: int, limit: int, conversation: str
) -> Sequence[OutboxRow]:
    if conversation:
        found = connection.execute(SELECT_WAITING_IN, (pairing_id, conversation, after_seq, limit))
    else:
        found = connection.execute(SELECT_WAITING, (pairing_id, after_seq, limit))
    return outbox_page(map(outbox_rows.outbox_row, found), limit)


def read_dead_letters(
    connection: sqlite3.Connection, pairing_id: str, page: PageRequest
) -> tuple[Sequence[DeadLetter], bool]:
    cursor, place = page.before or page.after, 0
    if cursor:
        (place,) = connection.execute(SELECT_DEAD_PLACE, (pairing_id, cursor)).fetchone()
        if place is None:
            raise UnknownCursor(cursor)
    text = SELECT_DEAD_BEFORE if page.before else SELECT_DEAD_AFTER
    found = connection.execute(text, (pairing_id, place, page.limit + 1))
    return id_page([outbox_rows.dead_letter(row) for row in found], page)


def read_depths(connection: sqlite3.Connection) -> Sequence[OutboxDepth]:
    return [outbox_rows.outbox_depth(row) for row in connection.execute(LOAD_DEPTHS)]


def all_rows(connection: sqlite3.Connection) -> Iterator[OutboxRow]:
    return (outbox_rows.outbox_row(row) for row in connection.execute(LOAD_OUTBOX))


def _by_pairing(keys: Iterable[OutboxKey]) -> Iterator[tuple[str, list[int]]]:
    for pairing_id, group in groupby(sorted(keys), itemgetter(0)):
        yield pairing_id, [seq for _, seq in group]
