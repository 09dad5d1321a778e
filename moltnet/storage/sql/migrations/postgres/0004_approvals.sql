-- Wakes that wait until an operator lets them through, and what was decided.
--
-- `seq` is that of the event which told of the request: the order of lists. `body` is the approval as JSON; the other
-- columns repeat what is looked for. `moment_us` counts microseconds since 1970: when a pending one expires, when another
-- was decided. An agent's approvals go with it.

CREATE TABLE approvals (
    seq bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    agent_id text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    moment_us bigint NOT NULL,
    body bytea NOT NULL
);

CREATE INDEX approvals_by_agent ON approvals (agent_id, seq);
CREATE INDEX approvals_pending_of ON approvals (agent_id) WHERE state = 'pending';
CREATE INDEX approvals_by_state ON approvals (state, seq);
CREATE INDEX approvals_due ON approvals (moment_us) WHERE state = 'pending';
CREATE INDEX approvals_decided ON approvals (moment_us) WHERE state <> 'pending';
