-- Wakes that wait until an operator lets them through, and what was decided.
--
-- `seq` is that of the event which told of the request: the order of lists. `body` is the approval as JSON; the other
-- columns repeat what is looked for. `moment_us` counts microseconds since 1970: when a pending one expires, when another
-- was decided. An agent's approvals go with it.

CREATE TABLE approvals (
    seq INTEGER NOT NULL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    agent_id TEXT NOT NULL,
    state TEXT NOT NULL,
    moment_us INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;

CREATE INDEX approvals_by_agent ON approvals (agent_id, seq);
CREATE INDEX approvals_by_agent_and_state ON approvals (agent_id, state, seq);
CREATE INDEX approvals_by_state ON approvals (state, seq);
CREATE INDEX approvals_due ON approvals (state, moment_us);
CREATE INDEX approvals_decided ON approvals (moment_us) WHERE state <> 'pending';
