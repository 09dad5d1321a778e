"""The SQL of the PostgreSQL store. A test asks PostgreSQL how it would run each text named ``SELECT_…``.

A list of keys is one array, and a block of rows is one array for each column, so that one prepared statement serves any
number of them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final

import attrs

from moltnet.protocol.messages import TargetKind
from moltnet.storage.limits import POSTGRES_CLOSED_SESSION_DAYS
from moltnet.storage.records import WAKE_REPORTS
from moltnet.storage.sql import rows
from moltnet.storage.sql.postgres.database import Connection
from moltnet.storage.sql.rows import Row

CHANNEL: Final = "moltnet"

_NOT_TEXT: Final = {
    "seq": "bigint",
    "revision": "bigint",
    "message_count": "bigint",
    "moment_us": "bigint",
    "body": "bytea",
    "digest": "bytea",
    "wire": "bytea",
}


def _arrays(columns: Sequence[str], first: int = 1, types: Mapping[str, str] = _NOT_TEXT) -> str:
    return ", ".join(f"${number}::{types.get(column, 'text')}[]" for number, column in enumerate(columns, start=first))


def _insert(table: str, columns: Sequence[str], first: int = 1, types: Mapping[str, str] = _NOT_TEXT) -> str:
    # The order of the rows is the order of the arrays: artifacts are numbered in it.
    arrays = _arrays(columns, first, types)
    return f"INSERT INTO {table} ({', '.join(columns)}) SELECT * FROM unnest({arrays})"


@attrs.frozen
class Insert:
    """An INSERT of any number of rows in one step; ``on_conflict`` is its last clause."""

    table: str
    columns: Sequence[str]
    on_conflict: str = ""
    types: Mapping[str, str] = _NOT_TEXT

    @property
    def text(self) -> str:
        return f"{_insert(self.table, self.columns, types=self.types)} {self.on_conflict}"

    async def run(self, connection: Connection, new_rows: Iterable[Row]) -> None:
        """Runs nothing if there are no rows."""
        columns = list(zip(*new_rows, strict=True))
        if columns:
            await connection.execute(self.text, *columns)


def _replacing(*columns: str, key: str = "id") -> str:
    return f"ON CONFLICT ({key}) DO UPDATE SET " + ", ".join(f"{column} = excluded.{column}" for column in columns)


# What is not replaced never changes: whose room a thread is in, when an agent was registered.
PUT_THREADS: Final = Insert("threads", rows.THREAD_COLUMNS, _replacing("message_count", "last_message_at"))
PUT_DIRECTS: Final = Insert("dms", rows.DIRECT_COLUMNS, _replacing("message_count", "last_message_at"))
INSERT_PARTICIPANTS: Final = Insert("dm_participants", ("dm_id", "participant_id"))
PUT_ROOMS: Final = Insert("rooms", rows.ROOM_COLUMNS, _replacing(*rows.ROOM_COLUMNS[1:]))
INSERT_MEMBERS: Final = Insert("room_members", ("room_id", "member_id"))
PUT_AGENTS: Final = Insert("agents", rows.AGENT_COLUMNS, _replacing("display_name", "credential_key", "updated_at"))
# The digest of a session is text, unlike that of a message.
PUT_SESSIONS: Final = Insert("sessions", rows.SESSION_COLUMNS, "ON CONFLICT (digest) DO NOTHING", types={})
INSERT_PAIR_NETWORKS: Final = Insert("pair_networks", rows.PAIR_NETWORK_COLUMNS)
PUT_CHANGES: Final = Insert(
    "directory_changes", ("kind", "key", "revision"), _replacing("revision", "changed_at", key="kind, key")
)
# Of an approval only what was decided changes.
PUT_APPROVALS: Final = Insert("approvals", rows.APPROVAL_COLUMNS, _replacing("state", "moment_us", "body", key="seq"))
PUT_MARKS: Final = Insert("marks", rows.MARK_COLUMNS, _replacing("value"))
DELETE_MARKS: Final = "DELETE FROM marks WHERE id = ANY ($1::text[])"
DELETE_MEMBERS: Final = (
    "DELETE FROM room_members USING unnest($1::text[], $2::text[]) AS gone (room_id, member_id) "
    "WHERE room_members.room_id = gone.room_id AND room_members.member_id = gone.member_id"
)
DELETE_AGENTS: Final = "DELETE FROM agents WHERE id = ANY ($1::text[])"
DELETE_SESSIONS: Final = "DELETE FROM sessions WHERE digest = ANY ($1::text[])"
DELETE_APPROVALS: Final = "DELETE FROM approvals WHERE id = ANY ($1::text[])"
DELETE_APPROVALS_OF: Final = "DELETE FROM approvals WHERE agent_id = ANY ($1::text[])"
# The newest row stays: the next revision is counted from it.
FORGET_CLOSED_SESSIONS: Final = (
    "DELETE FROM directory_changes WHERE kind = 'session' "
    f"AND changed_at < now() - interval '{POSTGRES_CLOSED_SESSION_DAYS} days' "
    "AND NOT EXISTS (SELECT FROM sessions WHERE digest = key) "
    "AND revision < (SELECT max(revision) FROM directory_changes)"
)
DELETE_EVENTS_TO: Final = "DELETE FROM events WHERE seq <= $1"
DELETE_MESSAGES_TO: Final = "DELETE FROM messages WHERE seq <= $1"
# Those of a message: `art_`, the message's id, and the number of the part. Another message's id may begin alike, then
# more than a number follows; "`" comes after "_".
_ARTIFACT_OF: Final = (
    "artifacts.id > 'art_' || messages.id || '_' AND artifacts.id < 'art_' || messages.id || '`' "
    "AND strpos(substr(artifacts.id, length(messages.id) + 6), '_') = 0"
)
DELETE_ARTIFACTS_TO: Final = f"DELETE FROM artifacts USING messages WHERE messages.seq <= $1 AND {_ARTIFACT_OF}"
PUT_META: Final = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
# Events, messages and artifacts in one step, which is all that most commits write.
WRITE_LOG: Final = (
    f"WITH new_events AS ({_insert('events', rows.EVENT_COLUMNS)}), "
    f"new_messages AS ({_insert('messages', rows.MESSAGE_COLUMNS, 1 + len(rows.EVENT_COLUMNS))}) "
    f"{_insert('artifacts', rows.ARTIFACT_COLUMNS, 1 + len(rows.EVENT_COLUMNS) + len(rows.MESSAGE_COLUMNS))}"
)
NOTIFY_AND_COMMIT: Final = f"NOTIFY {CHANNEL}; COMMIT"


def _columns(names: Iterable[str], table: str) -> str:
    return ", ".join(f"{table}.{name}" for name in names)


_MEMBERS: Final = "ARRAY (SELECT member_id FROM room_members WHERE room_id = rooms.id)"
_PARTICIPANTS: Final = "ARRAY (SELECT participant_id FROM dm_participants WHERE dm_id = dms.id)"
_EVENT: Final = _columns(rows.EVENT_COLUMNS, "events")
# No join: PostgreSQL may go through all older messages to reach those of the newest events.
_BODY: Final = "(SELECT body FROM messages WHERE messages.seq = events.seq) AS body"
_THREAD: Final = _columns(rows.THREAD_COLUMNS, "threads")
_DIRECT: Final = f"{_columns(rows.DIRECT_COLUMNS, 'dms')}, {_PARTICIPANTS}"
_ROOM: Final = f"{_columns(rows.ROOM_COLUMNS, 'rooms')}, {_MEMBERS}"
_AGENT: Final = _columns(rows.AGENT_COLUMNS, "agents")
_SESSION: Final = _columns(rows.SESSION_COLUMNS, "sessions")
_PAIR_NETWORK: Final = _columns(rows.PAIR_NETWORK_COLUMNS, "pair_networks")

# Where the log and the directory end.
SELECT_POSITION: Final = (
    "SELECT coalesce((SELECT max(seq) FROM events), 0), coalesce((SELECT max(revision) FROM directory_changes), 0)"
)
# What a batch depends on. The first is what every batch of messages needs: besides the position, which messages are
# known (with their digests) and which rooms are live.
SELECT_GROUND: Final = (
    "SELECT 'position', NULL::text, NULL::bytea, "
    "coalesce((SELECT max(seq) FROM events), 0), coalesce((SELECT max(revision) FROM directory_changes), 0) "
    "UNION ALL SELECT 'message', id, digest, NULL, NULL FROM messages WHERE id = ANY ($1::text[]) "
    "UNION ALL SELECT 'room', id, NULL, NULL, NULL FROM rooms WHERE id = ANY ($2::text[]) AND removed_at IS NULL"
)
SELECT_THREADS: Final = f"SELECT {_THREAD} FROM threads WHERE id = ANY ($1::text[])"
SELECT_DIRECTS: Final = f"SELECT {_DIRECT} FROM dms WHERE id = ANY ($1::text[])"
SELECT_ROOMS_OF: Final = "SELECT room_id FROM room_members WHERE member_id = ANY ($1::text[])"
SELECT_ROOMS: Final = f"SELECT {_ROOM} FROM rooms WHERE id = ANY ($1::text[])"
SELECT_AGENTS: Final = f"SELECT {_AGENT} FROM agents WHERE id = ANY ($1::text[])"
SELECT_SESSIONS: Final = f"SELECT {_SESSION} FROM sessions WHERE digest = ANY ($1::text[])"
SELECT_PAIR_NETWORKS: Final = f"SELECT {_PAIR_NETWORK} FROM pair_networks WHERE credential_key = ANY ($1::text[])"
SELECT_MARKS: Final = "SELECT id, value FROM marks WHERE id = ANY ($1::text[])"
SELECT_APPROVALS: Final = "SELECT seq, body FROM approvals WHERE id = ANY ($1::text[])"
SELECT_PENDING_OF: Final = (
    "SELECT wanted.id, (SELECT count(*) FROM approvals WHERE agent_id = wanted.id AND state = 'pending') "
    "FROM unnest($1::text[]) AS wanted (id)"
)
SELECT_DUE_APPROVALS: Final = (
    "SELECT seq, body FROM approvals WHERE state = 'pending' AND moment_us <= $1 ORDER BY moment_us LIMIT $2"
)
SELECT_OLD_APPROVALS: Final = (
    "SELECT seq, body FROM approvals WHERE state <> 'pending' AND moment_us < $1 ORDER BY moment_us LIMIT $2"
)
SELECT_OLDEST_EVENTS: Final = "SELECT seq, created_at FROM events ORDER BY seq LIMIT $1"
SELECT_OLDEST_MESSAGES: Final = (
    f"SELECT seq, id, created_at, octet_length(body), (SELECT count(*) FROM artifacts WHERE {_ARTIFACT_OF}) "
    "FROM messages ORDER BY seq LIMIT $1"
)

# The directory is loaded whole, once; later only what has changed.
LOAD_ROOMS: Final = f"SELECT {_ROOM} FROM rooms WHERE removed_at IS NULL ORDER BY id"
LOAD_AGENTS: Final = f"SELECT {_AGENT} FROM agents ORDER BY id"
LOAD_SESSIONS: Final = f"SELECT {_SESSION} FROM sessions"
LOAD_PAIR_NETWORKS: Final = f"SELECT {_PAIR_NETWORK} FROM pair_networks"
LOAD_MARKS: Final = "SELECT id, value FROM marks ORDER BY id"
SELECT_CHANGES_AFTER: Final = "SELECT kind, key FROM directory_changes WHERE revision > $1"

# The log.
SELECT_EVENT_BOUNDS: Final = (
    "SELECT oldest.seq, newest.seq, oldest.id, newest.id "
    "FROM (SELECT seq, id FROM events ORDER BY seq LIMIT 1) AS oldest, "
    "(SELECT seq, id FROM events ORDER BY seq DESC LIMIT 1) AS newest"
)
SELECT_EVENT_SEQ: Final = "SELECT seq FROM events WHERE id = $1"


def as_many_as_fit(columns: str, size: str, found: str, order: str) -> str:
    """The rows of ``found``, up to one that lies beyond so many bytes, which is the last parameter; two at least.

    The database adds the sizes up without looking at the bodies, so little more than a page leaves it.
    """
    parameter = int(max(re.findall(r"\$(\d)", found))) + 1
    sized = (
        f"SELECT *, sum({size}) OVER reading - {size} AS bytes_before, row_number() OVER reading AS number "
        f"FROM ({found}) AS found WINDOW reading AS (ORDER BY {order} ROWS UNBOUNDED PRECEDING)"
    )
    return f"SELECT {columns} FROM ({sized}) AS page WHERE bytes_before <= ${parameter} OR number <= 2"


SELECT_EVENTS_AFTER: Final = as_many_as_fit(
    ", ".join((*rows.EVENT_COLUMNS, "body")),
    "octet_length(coalesce(wire, body))",
    f"SELECT {_EVENT}, {_BODY} FROM events WHERE events.seq > $1 ORDER BY events.seq LIMIT $2",
    "seq",
)
# The newest of those after a place, newest first.
SELECT_NEWEST_EVENTS: Final = as_many_as_fit(
    ", ".join((*rows.EVENT_COLUMNS, "body")),
    "octet_length(coalesce(wire, body))",
    f"SELECT {_EVENT}, {_BODY} FROM events WHERE events.seq > $1 ORDER BY events.seq DESC LIMIT $2",
    "seq DESC",
)


_WAKES: Final = f"type IN ({', '.join(map(repr, map(str, WAKE_REPORTS)))})"
SELECT_AGENT_REMOVED: Final = (
    "SELECT coalesce((SELECT seq FROM events WHERE type = 'agent.removed' AND agent_id = $1 "
    "ORDER BY agent_id DESC, seq DESC LIMIT 1), 0)"
)
# By its id first, as in a history.
SELECT_WAKE_PLACE: Final = (
    "WITH item AS MATERIALIZED (SELECT * FROM events WHERE id = $2) "
    f"SELECT seq FROM item WHERE {_WAKES} AND agent_id = $1"
)
# Between two places. Why it is not said with ``=`` stands at ``_after``.
_WAKES_BETWEEN: Final = (
    f"SELECT agent_id, seq, id, wire FROM events WHERE {_WAKES} AND "
    "(agent_id, seq) > ($1, $2) AND (agent_id, seq) < ($1, $3)"
)
SELECT_WAKES_BEFORE: Final = as_many_as_fit(
    "id, wire",
    "octet_length(wire)",
    f"{_WAKES_BETWEEN} ORDER BY agent_id DESC, seq DESC LIMIT $4",
    "agent_id DESC, seq DESC",
)
SELECT_WAKES_AFTER: Final = as_many_as_fit(
    "id, wire", "octet_length(wire)", f"{_WAKES_BETWEEN} ORDER BY agent_id, seq LIMIT $4", "agent_id, seq"
)

# For a backup: everything, in blocks, in the order of its first column.
LOAD_ROOMS_AFTER: Final = f"SELECT {_ROOM} FROM rooms WHERE id > $1 ORDER BY id LIMIT $2"
LOAD_AGENTS_AFTER: Final = f"SELECT {_AGENT} FROM agents WHERE id > $1 ORDER BY id LIMIT $2"
LOAD_SESSIONS_AFTER: Final = f"SELECT {_SESSION} FROM sessions WHERE digest > $1 ORDER BY digest LIMIT $2"
LOAD_PAIR_NETWORKS_AFTER: Final = (
    f"SELECT {_PAIR_NETWORK} FROM pair_networks WHERE credential_key > $1 ORDER BY credential_key LIMIT $2"
)
LOAD_MARKS_AFTER: Final = "SELECT id, value FROM marks WHERE id > $1 ORDER BY id LIMIT $2"
LOAD_APPROVALS_AFTER: Final = "SELECT seq, body FROM approvals WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3"
LOAD_THREADS_AFTER: Final = f"SELECT {_THREAD} FROM threads WHERE id > $1 ORDER BY id LIMIT $2"
LOAD_DIRECTS_AFTER: Final = f"SELECT {_DIRECT} FROM dms WHERE id > $1 ORDER BY id LIMIT $2"
LOAD_MESSAGES_AFTER: Final = as_many_as_fit(
    "seq, body, digest, addressed",
    "octet_length(body)",
    "SELECT seq, body, digest, (SELECT addressed FROM events WHERE events.seq = messages.seq) AS addressed "
    "FROM messages WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3",
    "seq",
)
LOAD_EVENTS_AFTER: Final = as_many_as_fit(
    ", ".join((*rows.EVENT_COLUMNS, "body", "digest")),
    "octet_length(coalesce(wire, body))",
    f"SELECT {_EVENT}, {_BODY}, (SELECT digest FROM messages WHERE messages.seq = events.seq) AS digest "
    "FROM events WHERE events.seq > $1 AND events.seq <= $2 ORDER BY events.seq LIMIT $3",
    "seq",
)
LOAD_ENDS: Final = "SELECT coalesce((SELECT min(seq) FROM events), 1), coalesce((SELECT max(seq) FROM messages), 0)"
COUNT_ALL: Final = (
    "SELECT (SELECT count(*) FROM rooms), (SELECT count(*) FROM agents), (SELECT count(*) FROM sessions), "
    "(SELECT count(*) FROM pair_networks), (SELECT count(*) FROM approvals), (SELECT count(*) FROM marks), "
    "(SELECT count(*) FROM threads), (SELECT count(*) FROM dms), "
    "(SELECT count(*) FROM messages), (SELECT count(*) FROM events WHERE wire IS NOT NULL), "
    "(SELECT count(*) FROM relay_outbox)"
)


@attrs.frozen
class HistoryStatements:
    """Reading what one kind of conversation holds: the place of an item in it, and the items on either side of one."""

    place: str
    older: str
    newer: str


def _after(column: str, place: str, value: str = "$1") -> str:
    """What follows ``$2`` in the part of a table where ``column`` is ``value``, in the order of an index on both.

    Said with ``=``, PostgreSQL may prefer another index that is in the order of ``place`` and pass over everything that
    is not of this part, which for a quiet room is all that the others have written.
    """
    return f"({column}, {place}) > ({value}, $2) AND {column} <= {value} ORDER BY {column}, {place} LIMIT $3"


def _before(column: str, place: str, value: str = "$1") -> str:
    """The same in the other direction."""
    return f"({column}, {place}) < ({value}, $2) AND {column} >= {value} ORDER BY {column} DESC, {place} DESC LIMIT $3"


def _history(table: str, place: str, column: str, kind: str = "true") -> HistoryStatements:
    items = f"SELECT {column}, {place}, id, body FROM {table} WHERE {kind} AND"
    fits = partial(as_many_as_fit, f"id, body, {place}", "octet_length(body)")
    return HistoryStatements(
        # Its id first, and nothing else: of a usual conversation all is read as quickly, of a large one it is not.
        place=f"WITH item AS MATERIALIZED (SELECT * FROM {table} WHERE id = $2) "
        f"SELECT {place} FROM item WHERE {kind} AND {column} = $1",
        older=fits(f"{items} {_before(column, place)}", f"{column} DESC, {place} DESC"),
        newer=fits(f"{items} {_after(column, place)}", f"{column}, {place}"),
    )


SELECT_MESSAGE: Final = "SELECT id, body, seq FROM messages WHERE id = $1"
SELECT_MESSAGES_BEFORE: Final = as_many_as_fit(
    "id, body, seq",
    "octet_length(body)",
    "SELECT id, body, seq FROM messages WHERE seq < $1 ORDER BY seq DESC LIMIT $2",
    "seq DESC",
)
SELECT_MESSAGES_AFTER: Final = as_many_as_fit(
    "id, body, seq",
    "octet_length(body)",
    "SELECT id, body, seq FROM messages WHERE seq > $1 ORDER BY seq LIMIT $2",
    "seq",
)
# The kind stands in the text: only so does PostgreSQL see that the kind's partial index applies.
SELECT_HISTORY: Final[Mapping[TargetKind, HistoryStatements]] = {
    TargetKind.ROOM: _history("messages", "seq", "room_id", "target_kind = 'room'"),
    TargetKind.THREAD: _history("messages", "seq", "thread_id", "target_kind = 'thread'"),
    TargetKind.DM: _history("messages", "seq", "dm_id", "target_kind = 'dm'"),
}
SELECT_ARTIFACTS: Final[Mapping[TargetKind, HistoryStatements]] = {
    TargetKind.ROOM: _history("artifacts", "place", "room_id"),
    TargetKind.THREAD: _history("artifacts", "place", "thread_id"),
    TargetKind.DM: _history("artifacts", "place", "dm_id"),
}


def _approvals(column: str = "", condition: str = "") -> HistoryStatements:
    """Approvals where ``column`` is ``$1``, in the order of an index on it and ``seq``, and ``condition`` holds."""
    count = bool(column) + bool(condition)
    place, limit = f"${count + 1}", f"${count + 2}"
    key, value = (f"{column}, seq", "$1, ") if column else ("seq", "")
    also = f" AND {condition}" if condition else ""

    def beyond(sign: str, back: str, end: int, order: str) -> str:
        # Why it is not said with ``=`` stands at ``_after``.
        by = ", ".join(f"{each}{order}" for each in key.split(", "))
        return (
            f"SELECT id, body, seq FROM approvals WHERE ({key}) {sign} ({value}{place}) "
            f"AND ({key}) {back} ({value}{end}){also} ORDER BY {by} LIMIT {limit}"
        )

    equals = f" AND {column} = $1" if column else ""
    return HistoryStatements(
        place=f"SELECT seq FROM approvals WHERE id = {place}{equals}{also}",
        older=beyond("<", ">", 0, " DESC"),
        newer=beyond(">", "<", 2**63 - 1, ""),
    )


# By whether they are of one agent, and in one state.
SELECT_APPROVAL_PAGE: Final[Mapping[tuple[bool, bool], HistoryStatements]] = {
    (False, False): _approvals(),
    (False, True): _approvals("state"),
    (True, False): _approvals("agent_id"),
    # By an index on all three PostgreSQL would still go through one on the agent, and sort.
    (True, True): _approvals("agent_id", "state = $2"),
}

# Lists by id.
SELECT_ROOM_IS_REMOVED: Final = "SELECT 1 FROM rooms WHERE removed_at IS NOT NULL AND id = $1"
SELECT_REMOVED_AFTER: Final = f"SELECT {_ROOM} FROM rooms WHERE removed_at IS NOT NULL AND id > $1 ORDER BY id LIMIT $2"
SELECT_REMOVED_BEFORE: Final = (
    f"SELECT {_ROOM} FROM rooms WHERE removed_at IS NOT NULL AND id < $1 ORDER BY id DESC LIMIT $2"
)
SELECT_ROOM_HAS_THREAD: Final = "SELECT 1 FROM threads WHERE room_id = $1 AND id = $2"
SELECT_THREADS_AFTER: Final = f"SELECT {_THREAD} FROM threads WHERE {_after('room_id', 'id')}"
SELECT_THREADS_BEFORE: Final = f"SELECT {_THREAD} FROM threads WHERE {_before('room_id', 'id')}"
SELECT_DIRECT_EXISTS: Final = "SELECT 1 FROM dms WHERE id = $1"
SELECT_DIRECTS_AFTER: Final = f"SELECT {_DIRECT} FROM dms WHERE id > $1 ORDER BY id LIMIT $2"
SELECT_DIRECTS_BEFORE: Final = f"SELECT {_DIRECT} FROM dms WHERE id < $1 ORDER BY id DESC LIMIT $2"
SELECT_PARTICIPANT_IN: Final = "SELECT 1 FROM dm_participants WHERE participant_id = ANY ($1::text[]) AND dm_id = $2"
# The page is among the first of each participant: nobody's whole list is read.
_OF_EACH: Final = "SELECT first.dm_id FROM unnest($1::text[]) AS wanted (id), LATERAL"
_OF_ONE: Final = "SELECT dm_id FROM dm_participants WHERE"
SELECT_PARTICIPANT_AFTER: Final = f"{_OF_EACH} ({_OF_ONE} {_after('participant_id', 'dm_id', 'wanted.id')}) AS first"
SELECT_PARTICIPANT_BEFORE: Final = f"{_OF_EACH} ({_OF_ONE} {_before('participant_id', 'dm_id', 'wanted.id')}) AS first"
