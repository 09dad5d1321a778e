-- Messages that wait to be relayed to paired networks, and those that were refused for good.
--
-- `seq` is that of the message's event: the order in which a pairing's messages are relayed. `conversation` is where that
-- order counts. `body` is what is posted, so no message that waits depends on how long messages are kept. Who has a
-- `failed_at` is a dead letter; `status` (0 without an answer), `code` and `reason` say why.

CREATE TABLE relay_outbox (
    pairing_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    conversation TEXT NOT NULL,
    created_at TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    status INTEGER,
    code TEXT,
    reason TEXT,
    failed_at TEXT,
    body BLOB NOT NULL,
    PRIMARY KEY (pairing_id, seq)
) STRICT;

CREATE INDEX relay_outbox_by_conversation ON relay_outbox (conversation, pairing_id, seq) WHERE failed_at IS NULL;
CREATE INDEX relay_outbox_dead ON relay_outbox (pairing_id, seq) WHERE failed_at IS NOT NULL;
CREATE INDEX relay_outbox_dead_by_message ON relay_outbox (pairing_id, message_id, seq) WHERE failed_at IS NOT NULL;
