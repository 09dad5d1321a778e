"""Rows of the SQL stores: which columns a table has, and how values become rows and rows values.

An absent reference is NULL, a list of names is JSON. FQIDs and the network's id are not stored: they follow from the
network that the database belongs to. The SQL around these rows is a backend's own.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import orjson

from moltnet.protocol.agents import AgentRegistration
from moltnet.protocol.approvals import Approval
from moltnet.protocol.codec import DecodeError, decode, encode
from moltnet.protocol.identity import direct_fqid, room_fqid, thread_fqid
from moltnet.protocol.ids import AgentId, DirectId, EventId, MessageId, NetworkId, RoomId
from moltnet.protocol.rooms import DirectConversation, Room, Thread, Visibility, WritePolicy
from moltnet.protocol.times import Timestamp
from moltnet.storage.changes import ArtifactRow, MessageRow, event_wire, message_payload
from moltnet.storage.marks import Mark
from moltnet.storage.records import EventRecord, PairNetwork, StoredAgent, StoredApproval, StoredRoom, StoredSession
from moltnet.storage.store import StorageError

Row: TypeAlias = tuple[Any, ...]

EVENT_COLUMNS: Final = (
    "seq",
    "id",
    "type",
    "room_id",
    "dm_id",
    "agent_id",
    "message_id",
    "sender",
    "addressed",
    "created_at",
    "wire",
)
MESSAGE_COLUMNS: Final = (
    "seq",
    "id",
    "target_kind",
    "room_id",
    "thread_id",
    "dm_id",
    "created_at",
    "digest",
    "body",
)
# Their order is the order of the rows: ``place`` is given by the database.
ARTIFACT_COLUMNS: Final = ("id", "room_id", "thread_id", "dm_id", "body")
THREAD_COLUMNS: Final = ("id", "room_id", "parent_message_id", "message_count", "last_message_at")
DIRECT_COLUMNS: Final = ("id", "message_count", "last_message_at")
ROOM_COLUMNS: Final = ("id", "name", "visibility", "write_policy", "declaration", "created_at", "removed_at")
AGENT_COLUMNS: Final = (
    "id",
    "actor_uid",
    "actor_uri",
    "display_name",
    "credential_key",
    "created_at",
    "updated_at",
)
SESSION_COLUMNS: Final = ("digest", "credential_key", "created_at", "expires_at")
PAIR_NETWORK_COLUMNS: Final = ("credential_key", "network_id")
MARK_COLUMNS: Final = ("id", "value")
APPROVAL_COLUMNS: Final = ("seq", "id", "agent_id", "state", "moment_us", "body")


def event_row(record: EventRecord, *, holds_message: bool) -> Row:
    """``holds_message``: its payload is the message stored with the same ``seq``, so the event's JSON is not kept."""
    return (
        record.seq,
        record.id,
        record.type,
        record.room_id or None,
        record.direct_id or None,
        record.agent_id or None,
        record.message_id or None,
        record.sender or None,
        names_text(record.addressed) if record.addressed else None,
        record.created_at,
        None if holds_message else record.wire,
    )


def event_record(row: Row, network_id: NetworkId) -> EventRecord:
    """From the columns of an event and, last, the body of the message that it reports."""
    seq, event_id, kind, room_id, dm_id, agent_id, message_id, sender, addressed, created_at, wire, body = row
    if wire is None:
        if body is None:
            raise StorageError(f"event {seq} has lost its message: the database is damaged")
        wire = event_wire(event_id, kind, network_id, created_at, message_payload(body))
    return EventRecord(
        seq=seq,
        id=EventId(event_id),
        type=kind,
        wire=wire,
        room_id=RoomId(room_id or ""),
        direct_id=DirectId(dm_id or ""),
        agent_id=AgentId(agent_id or ""),
        message_id=MessageId(message_id or ""),
        sender=sender or "",
        addressed=names(addressed) if addressed else (),
        created_at=created_at,
    )


def message_row(row: MessageRow) -> Row:
    message = row.message
    target = message.target
    return (
        row.seq,
        message.id,
        target.kind,
        target.room_id or None,
        target.thread_id or None,
        target.dm_id or None,
        message.created_at,
        row.digest,
        row.body,
    )


def artifact_row(row: ArtifactRow) -> Row:
    target = row.target
    return (row.id, target.room_id or None, target.thread_id or None, target.dm_id or None, row.body)


def thread_row(thread: Thread) -> Row:
    parent = thread.parent_message_id or None
    return (thread.id, thread.room_id, parent, thread.message_count, thread.last_message_at)


def thread(row: Row, network_id: NetworkId) -> Thread:
    thread_id, room_id, parent_message_id, message_count, last_message_at = row
    return Thread(
        id=thread_id,
        network_id=network_id,
        fqid=thread_fqid(network_id, thread_id),
        room_id=room_id,
        message_count=message_count,
        last_message_at=last_message_at,
        parent_message_id=MessageId(parent_message_id or ""),
    )


def direct_row(direct: DirectConversation) -> Row:
    return (direct.id, direct.message_count, direct.last_message_at)


def direct(row: Row, network_id: NetworkId) -> DirectConversation:
    """From the columns of a direct conversation and, last, its participants."""
    direct_id, message_count, last_message_at, participants = row
    return DirectConversation(
        id=direct_id,
        network_id=network_id,
        fqid=direct_fqid(network_id, direct_id),
        message_count=message_count,
        last_message_at=last_message_at,
        participant_ids=tuple(sorted(names(participants))),
    )


def room_row(stored: StoredRoom) -> Row:
    room = stored.room
    removed_at = stored.removed_at or None
    return (room.id, room.name, room.visibility, room.write_policy, stored.declaration, room.created_at, removed_at)


def stored_room(row: Row, network_id: NetworkId) -> StoredRoom:
    """From the columns of a room and, last, its members."""
    room_id, name, visibility, write_policy, declaration, created_at, removed_at, members = row
    room = Room(
        id=room_id,
        network_id=network_id,
        fqid=room_fqid(network_id, room_id),
        name=name,
        created_at=created_at,
        members=tuple(sorted(names(members))),
        visibility=Visibility(visibility),
        write_policy=WritePolicy(write_policy),
    )
    return StoredRoom(room, declaration, Timestamp(removed_at or ""))


def agent_row(agent: StoredAgent) -> Row:
    registration = agent.registration
    return (
        registration.agent_id,
        registration.actor_uid,
        registration.actor_uri,
        registration.display_name,
        agent.credential_key,
        registration.created_at,
        registration.updated_at,
    )


def stored_agent(row: Row, network_id: NetworkId) -> StoredAgent:
    agent_id, actor_uid, actor_uri, display_name, credential_key, created_at, updated_at = row
    registration = AgentRegistration(
        network_id=network_id,
        agent_id=agent_id,
        actor_uid=actor_uid,
        actor_uri=actor_uri,
        created_at=created_at,
        updated_at=updated_at,
        display_name=display_name,
    )
    return StoredAgent(registration, credential_key)


def session_row(session: StoredSession) -> Row:
    return (session.digest, session.credential_key, session.created_at, session.expires_at)


def pair_network_row(pair: PairNetwork) -> Row:
    return (pair.credential_key, pair.network_id)


def mark_row(mark: Mark) -> Row:
    return (mark.id, mark.value)


def approval_row(stored: StoredApproval) -> Row:
    approval = stored.approval
    return (stored.seq, approval.id, approval.agent_id, approval.state, stored.moment_us, encode(approval))


def stored_approval(row: Row) -> StoredApproval:
    """From ``seq`` and ``body``. Raises ``StorageError``."""
    seq, body = row
    try:
        return StoredApproval(seq, decode(body, Approval))
    except DecodeError as error:
        raise StorageError(f"the approval at {seq} is damaged: {error}") from error


def names_text(values: tuple[str, ...]) -> str:
    return orjson.dumps(values).decode()


def names(stored: str | Sequence[str]) -> tuple[str, ...]:
    """From JSON, or from an array if the database has arrays. Raises ``StorageError``: a damaged row is reported."""
    if not isinstance(stored, str):
        return tuple(stored)
    try:
        return tuple(orjson.loads(stored))
    except ValueError as error:
        raise StorageError(f"a stored list of names is damaged: {error}") from error
