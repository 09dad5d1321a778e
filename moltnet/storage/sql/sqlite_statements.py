"""The SQL of the SQLite store. A test asks SQLite how it would run each text named ``SELECT_…``: none may read a table.

A list of keys is one JSON parameter, so that one compiled statement serves any number of them.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from moltnet.protocol.messages import TargetKind
from moltnet.storage.limits import SQLITE_ROWS_PER_INSERT
from moltnet.storage.records import WAKE_REPORTS
from moltnet.storage.sql import rows
from moltnet.storage.sql.rows import Row


@attrs.frozen
class Insert:
    """An INSERT of any number of rows in as few steps as possible; ``on_conflict`` is its last clause."""

    table: str
    columns: Sequence[str]
    on_conflict: str = ""

    def run(self, connection: sqlite3.Connection, new_rows: Iterable[Row]) -> None:
        """Rows go in blocks whose sizes are powers of two, so that few different texts are compiled."""
        waiting = list(new_rows)
        start, size = 0, SQLITE_ROWS_PER_INSERT
        while start < len(waiting):
            while size > len(waiting) - start:
                size //= 2
            block = waiting[start : start + size]
            connection.execute(self.text(size), [value for row in block for value in row])
            start += size

    def text(self, size: int) -> str:
        """The statement for ``size`` rows."""
        row = f"({', '.join('?' * len(self.columns))})"
        values = ", ".join([row] * size)
        return f"INSERT INTO {self.table} ({', '.join(self.columns)}) VALUES {values} {self.on_conflict}"


def _replacing(*columns: str) -> str:
    return "ON CONFLICT (id) DO UPDATE SET " + ", ".join(f"{column} = excluded.{column}" for column in columns)


INSERT_EVENTS: Final = Insert("events", rows.EVENT_COLUMNS)
INSERT_MESSAGES: Final = Insert("messages", rows.MESSAGE_COLUMNS)
INSERT_ARTIFACTS: Final = Insert("artifacts", rows.ARTIFACT_COLUMNS)
# What is not replaced never changes: whose room a thread is in, when an agent was registered.
PUT_THREADS: Final = Insert("threads", rows.THREAD_COLUMNS, _replacing("message_count", "last_message_at"))
PUT_DIRECTS: Final = Insert("dms", rows.DIRECT_COLUMNS, _replacing("message_count", "last_message_at"))
INSERT_PARTICIPANTS: Final = Insert("dm_participants", ("dm_id", "participant_id"))
PUT_ROOMS: Final = Insert("rooms", rows.ROOM_COLUMNS, _replacing(*rows.ROOM_COLUMNS[1:]))
INSERT_MEMBERS: Final = Insert("room_members", ("room_id", "member_id"))
PUT_AGENTS: Final = Insert("agents", rows.AGENT_COLUMNS, _replacing("display_name", "credential_key", "updated_at"))
PUT_SESSIONS: Final = Insert("sessions", rows.SESSION_COLUMNS, "ON CONFLICT (digest) DO NOTHING")
INSERT_PAIR_NETWORKS: Final = Insert("pair_networks", rows.PAIR_NETWORK_COLUMNS)
# Of an approval only what was decided changes.
PUT_APPROVALS: Final = Insert(
    "approvals",
    rows.APPROVAL_COLUMNS,
    "ON CONFLICT (seq) DO UPDATE SET state = excluded.state, moment_us = excluded.moment_us, body = excluded.body",
)
PUT_MARKS: Final = Insert("marks", rows.MARK_COLUMNS, _replacing("value"))
DELETE_MARKS: Final = "DELETE FROM marks WHERE id IN (SELECT value FROM json_each(?))"
DELETE_MEMBERS: Final = "DELETE FROM room_members WHERE room_id = ? AND member_id IN (SELECT value FROM json_each(?))"
DELETE_AGENTS: Final = "DELETE FROM agents WHERE id IN (SELECT value FROM json_each(?))"
DELETE_SESSIONS: Final = "DELETE FROM sessions WHERE digest IN (SELECT value FROM json_each(?))"
DELETE_APPROVALS: Final = "DELETE FROM approvals WHERE id IN (SELECT value FROM json_each(?))"
DELETE_APPROVALS_OF: Final = "DELETE FROM approvals WHERE agent_id IN (SELECT value FROM json_each(?))"
DELETE_EVENTS_TO: Final = "DELETE FROM events WHERE seq <= ?"
DELETE_MESSAGES_TO: Final = "DELETE FROM messages WHERE seq <= ?"
# Those of a message: `art_`, the message's id, and the number of the part. Another message's id may begin alike, then
# more than a number follows; "`" comes after "_".
_ARTIFACT_OF: Final = (
    "artifact.id > 'art_' || message.id || '_' AND artifact.id < 'art_' || message.id || '`' "
    "AND instr(substr(artifact.id, length(message.id) + 6), '_') = 0"
)
DELETE_ARTIFACTS_TO: Final = (
    "DELETE FROM artifacts WHERE id IN (SELECT artifact.id FROM messages AS message CROSS JOIN artifacts AS artifact "
    f"WHERE message.seq <= ? AND {_ARTIFACT_OF})"
)
PUT_META: Final = "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
SELECT_META: Final = "SELECT value FROM meta WHERE key = ?"

_KEYS: Final = "(SELECT value FROM json_each(?))"


def _columns(names: Iterable[str], table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in names)


_MEMBERS: Final = "(SELECT json_group_array(member_id) FROM room_members WHERE room_id = rooms.id)"
_PARTICIPANTS: Final = "(SELECT json_group_array(participant_id) FROM dm_participants WHERE dm_id = dms.id)"
_THREAD: Final = _columns(rows.THREAD_COLUMNS, "threads")
_DIRECT: Final = f"{_columns(rows.DIRECT_COLUMNS, 'dms')}, {_PARTICIPANTS}"
_ROOM: Final = f"{_columns(rows.ROOM_COLUMNS, 'rooms')}, {_MEMBERS}"
_PAIR_NETWORK: Final = _columns(rows.PAIR_NETWORK_COLUMNS, "pair_networks")
_AGENT: Final = _columns(rows.AGENT_COLUMNS, "agents")

# What a batch depends on.
SELECT_NEWEST_SEQ: Final = "SELECT coalesce(max(seq), 0) FROM events"
SELECT_KNOWN_MESSAGES: Final = f"SELECT id, digest FROM messages WHERE id IN {_KEYS}"
SELECT_THREADS: Final = f"SELECT {_THREAD} FROM threads WHERE id IN {_KEYS}"
SELECT_DIRECTS: Final = f"SELECT {_DIRECT} FROM dms WHERE id IN {_KEYS}"
SELECT_LIVE_ROOM_IDS: Final = f"SELECT id FROM rooms WHERE id IN {_KEYS} AND removed_at IS NULL"
SELECT_ROOMS_OF: Final = f"SELECT room_id FROM room_members WHERE member_id IN {_KEYS}"
SELECT_ROOMS: Final = f"SELECT {_ROOM} FROM rooms WHERE id IN {_KEYS}"
SELECT_AGENTS: Final = f"SELECT {_AGENT} FROM agents WHERE id IN {_KEYS}"
SELECT_PAIR_NETWORKS: Final = f"SELECT {_PAIR_NETWORK} FROM pair_networks WHERE credential_key IN {_KEYS}"

SELECT_MARKS: Final = f"SELECT id, value FROM marks WHERE id IN {_KEYS}"
SELECT_APPROVALS: Final = f"SELECT seq, body FROM approvals WHERE id IN {_KEYS}"
SELECT_PENDING_OF: Final = (
    "SELECT value, (SELECT count(*) FROM approvals WHERE agent_id = value AND state = 'pending') FROM json_each(?)"
)
# "<>" is said as in the index, to the letter: only so does SQLite see that it applies.
SELECT_DUE_APPROVALS: Final = (
    "SELECT seq, body FROM approvals WHERE state = 'pending' AND moment_us <= ? ORDER BY moment_us LIMIT ?"
)
SELECT_OLD_APPROVALS: Final = (
    "SELECT seq, body FROM approvals WHERE state <> 'pending' AND moment_us < ? ORDER BY moment_us LIMIT ?"
)

# Both begin where all do, which is said so that SQLite looks for a place instead of going through a table.
SELECT_OLDEST_EVENTS: Final = "SELECT seq, created_at FROM events WHERE seq > 0 ORDER BY seq LIMIT ?"
SELECT_OLDEST_MESSAGES: Final = (
    f"SELECT seq, id, created_at, length(body), (SELECT count(*) FROM artifacts AS artifact WHERE {_ARTIFACT_OF}) "
    "FROM messages AS message WHERE seq > 0 ORDER BY seq LIMIT ?"
)

# The directory is loaded whole, once.
LOAD_ROOMS: Final = f"SELECT {_ROOM} FROM rooms WHERE removed_at IS NULL ORDER BY id"
LOAD_AGENTS: Final = f"SELECT {_AGENT} FROM agents ORDER BY id"
LOAD_SESSIONS: Final = f"SELECT {_columns(rows.SESSION_COLUMNS, 'sessions')} FROM sessions"
LOAD_PAIR_NETWORKS: Final = f"SELECT {_PAIR_NETWORK} FROM pair_networks"
LOAD_MARKS: Final = "SELECT id, value FROM marks ORDER BY id"
LOAD_APPROVALS: Final = "SELECT seq, body FROM approvals ORDER BY seq"

# For a backup: removed rooms too, and everything in the order of its ids.
LOAD_ALL_ROOMS: Final = f"SELECT {_ROOM} FROM rooms ORDER BY id"
LOAD_THREADS: Final = f"SELECT {_THREAD} FROM threads ORDER BY id"
LOAD_DIRECTS: Final = f"SELECT {_DIRECT} FROM dms ORDER BY id"

# The log.
SELECT_OLDEST_EVENT: Final = "SELECT seq, id FROM events WHERE seq = (SELECT min(seq) FROM events)"
SELECT_NEWEST_EVENT: Final = "SELECT seq, id FROM events WHERE seq = (SELECT max(seq) FROM events)"
SELECT_EVENT_SEQ: Final = "SELECT seq FROM events WHERE id = ?"
SELECT_EVENTS_AFTER: Final = (
    f"SELECT {_columns(rows.EVENT_COLUMNS, 'events')}, messages.body FROM events "
    "LEFT JOIN messages ON messages.seq = events.seq WHERE events.seq > ? ORDER BY events.seq LIMIT ?"
)


# As in the indexes, to the letter: only so does SQLite see that they apply.
_WAKES: Final = f"type IN ({', '.join(map(repr, map(str, WAKE_REPORTS)))}) AND agent_id = ?"
SELECT_AGENT_REMOVED: Final = "SELECT max(seq) FROM events WHERE type = 'agent.removed' AND agent_id = ?"
SELECT_WAKE_PLACE: Final = f"SELECT seq FROM events WHERE {_WAKES} AND id = ?"
SELECT_WAKES_BEFORE: Final = (
    f"SELECT id, wire FROM events WHERE {_WAKES} AND seq > ? AND seq < ? ORDER BY seq DESC LIMIT ?"
)
SELECT_WAKES_AFTER: Final = f"SELECT id, wire FROM events WHERE {_WAKES} AND seq > ? AND seq < ? ORDER BY seq LIMIT ?"


@attrs.frozen
class HistoryStatements:
    """Reading what one kind of conversation holds: the place of an item in it, and the items on either side of one."""

    place: str
    older: str
    newer: str


def _history(kind: TargetKind, column: str) -> HistoryStatements:
    # The kind stands in the text: only so does SQLite see that the kind's partial index applies.
    conversation = f"target_kind = '{kind}' AND {column} = ?"
    messages = f"SELECT id, body, seq FROM messages WHERE {conversation}"
    return HistoryStatements(
        place=f"SELECT seq FROM messages WHERE {conversation} AND id = ?",
        older=f"{messages} AND seq < ? ORDER BY seq DESC LIMIT ?",
        newer=f"{messages} AND seq > ? ORDER BY seq LIMIT ?",
    )


SELECT_MESSAGE: Final = "SELECT id, body, seq FROM messages WHERE id = ?"
SELECT_MESSAGES_BEFORE: Final = "SELECT id, body, seq FROM messages WHERE seq < ? ORDER BY seq DESC LIMIT ?"
SELECT_MESSAGES_AFTER: Final = "SELECT id, body, seq FROM messages WHERE seq > ? ORDER BY seq LIMIT ?"

SELECT_HISTORY: Final[Mapping[TargetKind, HistoryStatements]] = {
    TargetKind.ROOM: _history(TargetKind.ROOM, "room_id"),
    TargetKind.THREAD: _history(TargetKind.THREAD, "thread_id"),
    TargetKind.DM: _history(TargetKind.DM, "dm_id"),
}


def _artifacts(column: str) -> HistoryStatements:
    artifacts = f"SELECT id, body, place FROM artifacts WHERE {column} = ?"
    return HistoryStatements(
        place=f"SELECT place FROM artifacts WHERE {column} = ? AND id = ?",
        older=f"{artifacts} AND place < ? ORDER BY place DESC LIMIT ?",
        newer=f"{artifacts} AND place > ? ORDER BY place LIMIT ?",
    )


SELECT_ARTIFACTS: Final[Mapping[TargetKind, HistoryStatements]] = {
    TargetKind.ROOM: _artifacts("room_id"),
    TargetKind.THREAD: _artifacts("thread_id"),
    TargetKind.DM: _artifacts("dm_id"),
}


def _approvals(*conditions: str) -> HistoryStatements:
    where = " ".join(f"{condition} AND" for condition in conditions)
    approvals = f"SELECT id, body, seq FROM approvals WHERE {where}"
    return HistoryStatements(
        place=f"SELECT seq FROM approvals WHERE {where} id = ?",
        older=f"{approvals} seq < ? ORDER BY seq DESC LIMIT ?",
        newer=f"{approvals} seq > ? ORDER BY seq LIMIT ?",
    )


# By whether they are of one agent, and in one state.
SELECT_APPROVAL_PAGE: Final[Mapping[tuple[bool, bool], HistoryStatements]] = {
    (False, False): _approvals(),
    (False, True): _approvals("state = ?"),
    (True, False): _approvals("agent_id = ?"),
    (True, True): _approvals("agent_id = ?", "state = ?"),
}

# Lists by id.
SELECT_ROOM_IS_REMOVED: Final = "SELECT 1 FROM rooms WHERE removed_at IS NOT NULL AND id = ?"
SELECT_REMOVED_AFTER: Final = f"SELECT {_ROOM} FROM rooms WHERE removed_at IS NOT NULL AND id > ? ORDER BY id LIMIT ?"
SELECT_REMOVED_BEFORE: Final = (
    f"SELECT {_ROOM} FROM rooms WHERE removed_at IS NOT NULL AND id < ? ORDER BY id DESC LIMIT ?"
)
SELECT_ROOM_HAS_THREAD: Final = "SELECT 1 FROM threads WHERE room_id = ? AND id = ?"
SELECT_THREADS_AFTER: Final = f"SELECT {_THREAD} FROM threads WHERE room_id = ? AND id > ? ORDER BY id LIMIT ?"
SELECT_THREADS_BEFORE: Final = f"SELECT {_THREAD} FROM threads WHERE room_id = ? AND id < ? ORDER BY id DESC LIMIT ?"
SELECT_DIRECT_EXISTS: Final = "SELECT 1 FROM dms WHERE id = ?"
SELECT_DIRECTS_AFTER: Final = f"SELECT {_DIRECT} FROM dms WHERE id > ? ORDER BY id LIMIT ?"
SELECT_DIRECTS_BEFORE: Final = f"SELECT {_DIRECT} FROM dms WHERE id < ? ORDER BY id DESC LIMIT ?"
_OF_PARTICIPANT: Final = "SELECT dm_id FROM dm_participants WHERE participant_id = ?"
SELECT_PARTICIPANT_IN: Final = f"{_OF_PARTICIPANT} AND dm_id = ?"
SELECT_PARTICIPANT_AFTER: Final = f"{_OF_PARTICIPANT} AND dm_id > ? ORDER BY dm_id LIMIT ?"
SELECT_PARTICIPANT_BEFORE: Final = f"{_OF_PARTICIPANT} AND dm_id < ? ORDER BY dm_id DESC LIMIT ?"
