-- What is noted of agents and pairings beside what they are: who is muted, who was there when, what is switched off.
--
-- `id` is the kind of the mark, a blank, and of whom it is; `value` is JSON. An agent's marks go with it.

CREATE TABLE marks (
    id text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);

-- Removed rooms, which are few.
CREATE INDEX rooms_removed ON rooms (id) WHERE removed_at IS NOT NULL;

ALTER TABLE directory_changes DROP CONSTRAINT directory_changes_kind_check;
ALTER TABLE directory_changes ADD CONSTRAINT directory_changes_kind_check
    CHECK (kind IN ('room', 'agent', 'agent_removed', 'session', 'pair_network', 'relay', 'mark'));
