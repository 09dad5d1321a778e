-- The log of events, and what they report: rooms, agents, conversations and messages.
--
-- Ids are compared as bytes (COLLATE "C"), whatever the collation of the database: lists and cursors have one order on
-- every store. Times are RFC 3339 texts as they go over the wire; nothing is ordered by them. Order is `seq`, and only
-- `seq`. Absent references are NULL. What follows from the network's id (FQIDs) is not stored. JSON that is handed out
-- as it is stands in `bytea`: it is never decoded, and PostgreSQL's text cannot hold every character of it.

CREATE TABLE meta (
    key text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);

-- `wire` is the event as JSON. It is NULL when the payload is the body of the message with the same `seq`, so that each
-- message is stored once. Whoever prunes this table leaves the newest row: the next `seq` is counted from it.
CREATE TABLE events (
    seq bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    type text NOT NULL,
    room_id text COLLATE "C",
    dm_id text COLLATE "C",
    agent_id text COLLATE "C",
    message_id text COLLATE "C",
    sender text,
    addressed text,
    created_at text NOT NULL,
    wire bytea
);

-- `declaration` is the digest of the config file's entry that last shaped the room. A removed room keeps its id. In a
-- `name` a NUL is written as \0 and a backslash as \\.
CREATE TABLE rooms (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    visibility text NOT NULL,
    write_policy text NOT NULL,
    declaration text NOT NULL,
    created_at text NOT NULL,
    removed_at text
);

CREATE TABLE room_members (
    room_id text COLLATE "C" NOT NULL REFERENCES rooms (id),
    member_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (room_id, member_id)
);

CREATE INDEX room_members_by_member ON room_members (member_id, room_id);

CREATE TABLE threads (
    id text COLLATE "C" PRIMARY KEY,
    room_id text COLLATE "C" NOT NULL REFERENCES rooms (id),
    parent_message_id text COLLATE "C",
    message_count bigint NOT NULL,
    last_message_at text NOT NULL
);

CREATE INDEX threads_by_room ON threads (room_id, id);

CREATE TABLE dms (
    id text COLLATE "C" PRIMARY KEY,
    message_count bigint NOT NULL,
    last_message_at text NOT NULL
);

CREATE TABLE dm_participants (
    dm_id text COLLATE "C" NOT NULL REFERENCES dms (id),
    participant_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (dm_id, participant_id)
);

CREATE INDEX dm_participants_by_participant ON dm_participants (participant_id, dm_id);

-- `seq` is that of the message's event. A thread's message names its room too, so a room's own messages are those
-- without a thread. What it refers to is there: whoever writes here has looked, under the lock on the log. A foreign key
-- would look again for each row, which takes more than twice as long as writing it.
CREATE TABLE messages (
    seq bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    target_kind text NOT NULL CHECK (target_kind IN ('room', 'thread', 'dm')),
    room_id text COLLATE "C",
    thread_id text COLLATE "C",
    dm_id text COLLATE "C",
    created_at text NOT NULL,
    digest bytea NOT NULL,
    body bytea NOT NULL
);

-- One entry per message: each belongs to exactly one of these.
CREATE INDEX messages_by_room ON messages (room_id, seq) WHERE target_kind = 'room';
CREATE INDEX messages_by_thread ON messages (thread_id, seq) WHERE target_kind = 'thread';
CREATE INDEX messages_by_dm ON messages (dm_id, seq) WHERE target_kind = 'dm';

-- The parts of messages that are more than plain text, each as the JSON that lists show. `place` grows with every row:
-- the order of messages, and of the parts in them. A thread's artifacts name its room too.
CREATE TABLE artifacts (
    place bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    room_id text COLLATE "C",
    thread_id text COLLATE "C",
    dm_id text COLLATE "C",
    body bytea NOT NULL
);

CREATE INDEX artifacts_by_room ON artifacts (room_id, place) WHERE room_id IS NOT NULL;
CREATE INDEX artifacts_by_thread ON artifacts (thread_id, place) WHERE thread_id IS NOT NULL;
CREATE INDEX artifacts_by_dm ON artifacts (dm_id, place) WHERE dm_id IS NOT NULL;

-- `credential_key` names the credential that owns the agent and is no secret; one credential may own several agents.
-- `display_name` is written as the name of a room is.
CREATE TABLE agents (
    id text COLLATE "C" PRIMARY KEY,
    actor_uid text NOT NULL,
    actor_uri text NOT NULL,
    display_name text NOT NULL,
    credential_key text COLLATE "C" NOT NULL,
    created_at text NOT NULL,
    updated_at text NOT NULL
);

CREATE INDEX agents_by_credential ON agents (credential_key);

-- What credentials leave behind: signed-in consoles, and the one network for which each pair token speaks. `digest` is
-- the hash of the id in a cookie.
CREATE TABLE sessions (
    digest text COLLATE "C" PRIMARY KEY,
    credential_key text COLLATE "C" NOT NULL,
    created_at text NOT NULL,
    expires_at text NOT NULL
);

CREATE TABLE pair_networks (
    credential_key text COLLATE "C" PRIMARY KEY,
    network_id text NOT NULL
);

-- What servers keep in memory, and when it last changed: how one server learns what another one changed. `key` is an id
-- in the table that `kind` means; if it is not there (any more), it was removed. Revisions are given under the lock
-- under which all commits are made, so whoever has seen one has seen all before it.
CREATE TABLE directory_changes (
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('room', 'agent', 'agent_removed', 'session', 'pair_network')),
    key text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, key)
);

CREATE INDEX directory_changes_by_revision ON directory_changes (revision);
