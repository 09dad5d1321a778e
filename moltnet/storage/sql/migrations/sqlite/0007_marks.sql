-- What is noted of agents and pairings beside what they are: who is muted, who was there when, what is switched off.
--
-- `id` is the kind of the mark, a blank, and of whom it is; `value` is JSON. An agent's marks go with it.

CREATE TABLE marks (
    id TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Removed rooms, which are few.
CREATE INDEX rooms_removed ON rooms (id) WHERE removed_at IS NOT NULL;
