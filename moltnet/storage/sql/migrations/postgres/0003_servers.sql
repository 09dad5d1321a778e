-- The servers that share this database, and what each of them holds only for as long as it is alive. Nothing here is the
-- network's: a backup leaves it out. All times are this database's own; no server's clock counts.

-- A server that has not renewed its row by `expires_at` is gone: nothing that names it counts any more.
CREATE TABLE servers (
    id text COLLATE "C" PRIMARY KEY,
    expires_at timestamptz NOT NULL
);

-- Work that one server does for all of them, by name.
CREATE TABLE owners (
    name text COLLATE "C" PRIMARY KEY,
    server_id text COLLATE "C" NOT NULL REFERENCES servers (id) ON DELETE CASCADE
);

CREATE INDEX owners_by_server ON owners (server_id);

-- At which servers an agent is attached, how often, and by which credential. A row without attachments says that the
-- last one has ended; it goes when every server has had time to read it. `doubts` counts how often another server has
-- asked whether the attachment still lives.
CREATE TABLE seats (
    agent_id text COLLATE "C" NOT NULL,
    server_id text COLLATE "C" NOT NULL,
    credential_key text COLLATE "C" NOT NULL,
    attachments integer NOT NULL,
    doubts integer NOT NULL DEFAULT 0,
    revision bigint NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (agent_id, server_id)
);

CREATE INDEX seats_by_server ON seats (server_id, agent_id);
CREATE INDEX seats_by_revision ON seats (revision);
CREATE INDEX seats_that_are_free ON seats (changed_at) WHERE attachments = 0;

-- One row: the revision of the newest change of a seat. Whoever changes seats locks it first, so revisions become visible
-- in their order, and nobody else takes a seat meanwhile.
CREATE TABLE seat_changes (
    revision bigint NOT NULL
);

INSERT INTO seat_changes (revision) VALUES (0);

-- How much of a rate limit each caller has used up, at all servers together: when its bucket is full again. `taken` is
-- how many seconds of filling were last taken out. After a crash of the database callers begin anew.
CREATE UNLOGGED TABLE buckets (
    key text COLLATE "C" PRIMARY KEY,
    full_at timestamptz NOT NULL,
    taken double precision NOT NULL
);
