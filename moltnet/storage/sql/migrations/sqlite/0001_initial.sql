-- The log of events, and what they report: rooms, agents, conversations and messages.
--
-- Times are RFC 3339 texts as they go over the wire; nothing is ordered by them. Order is `seq`, and only `seq`.
-- Absent references are NULL. What follows from the network's id (FQIDs) is not stored.

CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- `wire` is the event as JSON. It is NULL when the payload is the body of the message with the same `seq`, so that each
-- message is stored once. Whoever prunes this table leaves the newest row: the next `seq` is counted from it.
CREATE TABLE events (
    seq INTEGER NOT NULL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    room_id TEXT,
    dm_id TEXT,
    agent_id TEXT,
    message_id TEXT,
    sender TEXT,
    addressed TEXT,
    created_at TEXT NOT NULL,
    wire BLOB
) STRICT;

-- `declaration` is the digest of the config file's entry that last shaped the room. A removed room keeps its id.
CREATE TABLE rooms (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    visibility TEXT NOT NULL,
    write_policy TEXT NOT NULL,
    declaration TEXT NOT NULL,
    created_at TEXT NOT NULL,
    removed_at TEXT
) STRICT;

CREATE TABLE room_members (
    room_id TEXT NOT NULL REFERENCES rooms (id),
    member_id TEXT NOT NULL,
    PRIMARY KEY (room_id, member_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX room_members_by_member ON room_members (member_id, room_id);

CREATE TABLE threads (
    id TEXT NOT NULL PRIMARY KEY,
    room_id TEXT NOT NULL REFERENCES rooms (id),
    parent_message_id TEXT,
    message_count INTEGER NOT NULL,
    last_message_at TEXT NOT NULL
) STRICT;

CREATE INDEX threads_by_room ON threads (room_id, id);

CREATE TABLE dms (
    id TEXT NOT NULL PRIMARY KEY,
    message_count INTEGER NOT NULL,
    last_message_at TEXT NOT NULL
) STRICT;

CREATE TABLE dm_participants (
    dm_id TEXT NOT NULL REFERENCES dms (id),
    participant_id TEXT NOT NULL,
    PRIMARY KEY (dm_id, participant_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX dm_participants_by_participant ON dm_participants (participant_id, dm_id);

-- `seq` is that of the message's event. A thread's message names its room too, so a room's own messages are those
-- without a thread.
CREATE TABLE messages (
    seq INTEGER NOT NULL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    target_kind TEXT NOT NULL CHECK (target_kind IN ('room', 'thread', 'dm')),
    room_id TEXT REFERENCES rooms (id),
    thread_id TEXT REFERENCES threads (id),
    dm_id TEXT REFERENCES dms (id),
    created_at TEXT NOT NULL,
    digest BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;

-- One entry per message: each belongs to exactly one of these.
CREATE INDEX messages_by_room ON messages (room_id, seq) WHERE target_kind = 'room';
CREATE INDEX messages_by_thread ON messages (thread_id, seq) WHERE target_kind = 'thread';
CREATE INDEX messages_by_dm ON messages (dm_id, seq) WHERE target_kind = 'dm';

-- `credential_key` names the credential that owns the agent and is no secret; one credential may own several agents.
CREATE TABLE agents (
    id TEXT NOT NULL PRIMARY KEY,
    actor_uid TEXT NOT NULL,
    actor_uri TEXT NOT NULL,
    display_name TEXT NOT NULL,
    credential_key TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

CREATE INDEX agents_by_credential ON agents (credential_key);
