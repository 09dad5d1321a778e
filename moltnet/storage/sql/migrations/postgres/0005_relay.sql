-- Messages that wait to be relayed to paired networks, and those that were refused for good.
--
-- `seq` is that of the message's event: the order in which a pairing's messages are relayed. `conversation` is where that
-- order counts. `body` is what is posted, so no message that waits depends on how long messages are kept. Who has a
-- `failed_at` is a dead letter; `status` (0 without an answer), `code` and `reason` say why.

CREATE TABLE relay_outbox (
    pairing_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    conversation text COLLATE "C" NOT NULL,
    created_at text NOT NULL,
    attempts bigint NOT NULL,
    status bigint,
    code text,
    reason text,
    failed_at text,
    body bytea NOT NULL,
    PRIMARY KEY (pairing_id, seq)
);

CREATE INDEX relay_outbox_by_conversation ON relay_outbox (conversation, pairing_id, seq) WHERE failed_at IS NULL;
CREATE INDEX relay_outbox_dead ON relay_outbox (pairing_id, seq) WHERE failed_at IS NOT NULL;
CREATE INDEX relay_outbox_dead_by_message ON relay_outbox (pairing_id, message_id, seq) WHERE failed_at IS NOT NULL;

-- A dead letter that is tried again is news for the server that relays, whichever it is.
ALTER TABLE directory_changes DROP CONSTRAINT directory_changes_kind_check;
ALTER TABLE directory_changes ADD CONSTRAINT directory_changes_kind_check
    CHECK (kind IN ('room', 'agent', 'agent_removed', 'session', 'pair_network', 'relay'));
