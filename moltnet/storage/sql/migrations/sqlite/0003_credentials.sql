-- What credentials leave behind: signed-in consoles, and the one network for which each pair token speaks.
--
-- `digest` is the hash of the id in a cookie. A `credential_key` names a credential and is no secret.

CREATE TABLE sessions (
    digest TEXT NOT NULL PRIMARY KEY,
    credential_key TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE pair_networks (
    credential_key TEXT NOT NULL PRIMARY KEY,
    network_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;
