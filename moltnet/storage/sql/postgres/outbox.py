"""The outbox on PostgreSQL: its SQL, and the units of work with it.

A test asks PostgreSQL how it would run each text named ``SELECT_…``, as those of ``statements``.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from moltnet.protocol.ids import MessageId
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.relays import DeadLetter
from moltnet.storage import limits
from moltnet.storage.changes import Changes
from moltnet.storage.outbox import OutboxDepth, OutboxRow
from moltnet.storage.pages import id_page, outbox_page
from moltnet.storage.sql import outbox_rows
from moltnet.storage.sql.outbox_rows import OUTBOX_COLUMNS, TABLE
from moltnet.storage.sql.postgres.database import Connection
from moltnet.storage.sql.postgres.names import sought
from moltnet.storage.sql.postgres.statements import Insert, as_many_as_fit
from moltnet.storage.store import UnknownCursor

_TYPES: Final = {"seq": "bigint", "attempts": "bigint", "status": "bigint", "body": "bytea"}
_COLUMNS: Final = ", ".join(OUTBOX_COLUMNS)
_LETTER: Final = ", ".join(OUTBOX_COLUMNS[:-1])
_BODY_BYTES: Final = "octet_length(body)"
_WAITS: Final = "failed_at IS NULL"
_DEAD: Final = "failed_at IS NOT NULL"

INSERT_OUTBOX: Final = Insert(TABLE, OUTBOX_COLUMNS, types=_TYPES)
CHANGE_OUTBOX: Final = (
    f"UPDATE {TABLE} SET attempts = $1, status = $2, code = $3, reason = $4, failed_at = $5 "
    "WHERE pairing_id = $6 AND seq = $7"
)
DELETE_OUTBOX: Final = (
    f"DELETE FROM {TABLE} USING unnest($1::text[], $2::bigint[]) AS gone (pairing_id, seq) "
    f"WHERE {TABLE}.pairing_id = gone.pairing_id AND {TABLE}.seq = gone.seq"
)
# Why a part of a table is not said with ``=`` stands in ``statements``.
SELECT_WAITING: Final = as_many_as_fit(
    _COLUMNS,
    _BODY_BYTES,
    f"SELECT {_COLUMNS} FROM {TABLE} WHERE (pairing_id, seq) > ($1, $2) AND pairing_id <= $1 AND {_WAITS} "
    "ORDER BY pairing_id, seq LIMIT $3",
    "pairing_id, seq",
)
SELECT_WAITING_IN: Final = as_many_as_fit(
    _COLUMNS,
    _BODY_BYTES,
    f"SELECT {_COLUMNS} FROM {TABLE} WHERE (conversation, pairing_id, seq) > ($4, $1, $2) "
    f"AND (conversation, pairing_id) <= ($4, $1) AND {_WAITS} ORDER BY conversation, pairing_id, seq LIMIT $3",
    "conversation, pairing_id, seq",
)
SELECT_DEAD_PLACE: Final = f"SELECT min(seq) FROM {TABLE} WHERE pairing_id = $1 AND message_id = $2 AND {_DEAD}"
SELECT_DEAD_AFTER: Final = (
    f"SELECT {_LETTER} FROM {TABLE} WHERE (pairing_id, seq) > ($1, $2) AND pairing_id <= $1 AND {_DEAD} "
    "ORDER BY pairing_id, seq LIMIT $3"
)
SELECT_DEAD_BEFORE: Final = (
    f"SELECT {_LETTER} FROM {TABLE} WHERE (pairing_id, seq) < ($1, $2) AND pairing_id >= $1 AND {_DEAD} "
    "ORDER BY pairing_id DESC, seq DESC LIMIT $3"
)
SELECT_DEAD_LETTERS: Final = (
    "SELECT wanted.pairing_id, wanted.message_id, dead.seq "
    "FROM unnest($1::text[], $2::text[]) AS wanted (pairing_id, message_id), LATERAL ("
    f"SELECT seq FROM {TABLE} AS row WHERE row.pairing_id = wanted.pairing_id AND row.message_id = wanted.message_id "
    f"AND row.{_DEAD} ORDER BY row.pairing_id, row.message_id, row.seq LIMIT 1000) AS dead"
)
# The indexes say it all, but they are gone through: this is for people who look, now and then.
LOAD_DEPTHS: Final = (
    "SELECT pairing_id, sum(waiting)::bigint, sum(dead)::bigint, max(oldest) FROM ("
    "SELECT counted.pairing_id, waiting, 0 AS dead, "
    f"(SELECT created_at FROM {TABLE} AS row WHERE row.pairing_id = counted.pairing_id AND row.seq = first) AS oldest "
    f"FROM (SELECT pairing_id, count(*) AS waiting, min(seq) AS first FROM {TABLE} WHERE {_WAITS} "
    "GROUP BY pairing_id) AS counted "
    f"UNION ALL SELECT pairing_id, 0, count(*), NULL FROM {TABLE} WHERE {_DEAD} GROUP BY pairing_id"
    ') AS depths GROUP BY pairing_id ORDER BY pairing_id COLLATE "C"'
)
# For a backup, in blocks.
LOAD_OUTBOX_AFTER: Final = as_many_as_fit(
    _COLUMNS,
    _BODY_BYTES,
    f"SELECT {_COLUMNS} FROM {TABLE} WHERE (pairing_id, seq) > ($1, $2) ORDER BY pairing_id, seq LIMIT $3",
    "pairing_id, seq",
)


async def write_outbox(connection: Connection, changes: Changes) -> None:
    """What changes of the outbox; runs nothing if that is nothing."""
    await INSERT_OUTBOX.run(connection, map(outbox_rows.new_row, changes.outbox_added.values()))
    for key, state in changes.outbox_changed.items():
        await connection.execute(CHANGE_OUTBOX, *outbox_rows.state_row(key, state))
    if changes.outbox_removed:
        await connection.execute(DELETE_OUTBOX, *zip(*changes.outbox_removed, strict=True))


async def find_dead_letters(
    connection: Connection, wanted: Collection[tuple[str, MessageId]]
) -> dict[tuple[str, MessageId], tuple[int, ...]]:
    """The places of a pairing's messages that are dead letters."""
    if not wanted:
        return {}
    columns = [[sought(text) for text in column] for column in zip(*wanted, strict=True)]
    return outbox_rows.places_of_letters(await connection.fetch(SELECT_DEAD_LETTERS, *columns))


async def read_outbox(
    connection: Connection, pairing_id: str, after_seq: int, limit: int, conversation: str
) -> Sequence[OutboxRow]:
    wanted = (sought(pairing_id), after_seq, limit)
    if conversation:
        found = await connection.fetch(SELECT_WAITING_IN, *wanted, sought(conversation), limits.MAX_REPLAY_BYTES)
    else:
        found = await connection.fetch(SELECT_WAITING, *wanted, limits.MAX_REPLAY_BYTES)
    return outbox_page(map(outbox_rows.outbox_row, found), limit)


async def read_dead_letters(
    connection: Connection, pairing_id: str, page: PageRequest
) -> tuple[Sequence[DeadLetter], bool]:
    cursor, place = page.before or page.after, 0
    if cursor:
        place = await connection.fetchval(SELECT_DEAD_PLACE, sought(pairing_id), sought(cursor))
        if place is None:
            raise UnknownCursor(cursor)
    text = SELECT_DEAD_BEFORE if page.before else SELECT_DEAD_AFTER
    found = await connection.fetch(text, sought(pairing_id), place, page.limit + 1)
    return id_page([outbox_rows.dead_letter(row) for row in found], page)


async def read_depths(connection: Connection) -> Sequence[OutboxDepth]:
    return [outbox_rows.outbox_depth(row) for row in await connection.fetch(LOAD_DEPTHS)]


def retried_keys(changes: Changes) -> Iterator[tuple[str, str]]:
    """What the server that relays must hear of, whichever it is."""
    return (("relay", pairing_id) for pairing_id in changes.relays_retried)
