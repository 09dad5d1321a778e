"""The SQL of what servers settle among themselves: who is alive, and who owns which work.

Times are compared on ``clock_timestamp``, which goes on while a statement waits. Whoever takes something from a server
that seems dead locks its row first: a renewal that is under way is waited for, and seen.
"""

from typing import Final

_SECONDS: Final = "make_interval(secs => $2::float8)"

RENEW: Final = (
    f"UPDATE servers SET expires_at = clock_timestamp() + {_SECONDS} "
    "WHERE id = $1 AND expires_at > clock_timestamp() RETURNING id"
)
JOIN: Final = f"INSERT INTO servers (id, expires_at) VALUES ($1, clock_timestamp() + {_SECONDS})"
LEAVE: Final = "UPDATE servers SET expires_at = '-infinity' WHERE id = $1"

# Names for the server $1: those that nobody has, and those of servers that are dead. The rows of all that matter are
# locked, in one order; which of them live is asked after that, of the rows as they are then.
OWN: Final = """
WITH concerned AS MATERIALIZED (
    SELECT id, expires_at FROM servers
    WHERE id = $1 OR id IN (SELECT server_id FROM owners WHERE name = ANY ($2::text[]))
    ORDER BY id FOR SHARE
),
living AS MATERIALIZED (SELECT id FROM concerned WHERE expires_at > clock_timestamp())
INSERT INTO owners (name, server_id)
SELECT name, $1 FROM unnest($2::text[]) AS wanted (name)
WHERE EXISTS (SELECT FROM living WHERE id = $1)
ORDER BY name
ON CONFLICT (name) DO UPDATE SET server_id = excluded.server_id
WHERE owners.server_id = $1 OR (
    EXISTS (SELECT FROM concerned WHERE id = owners.server_id)
    AND NOT EXISTS (SELECT FROM living WHERE id = owners.server_id)
)
RETURNING name
"""
DISOWN: Final = "DELETE FROM owners WHERE server_id = $1 AND name = ANY ($2::text[])"

# Seats. First the one row that makes everybody else wait, in a statement of its own: the next one sees what others did
# before. A crash of the database may forget the newest; then the connection is lost too, and everything is said again.
BEGIN_SEATS: Final = """
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL synchronous_commit = off;
SET LOCAL lock_timeout = '2s';
SET LOCAL idle_in_transaction_session_timeout = '2s';
UPDATE seat_changes SET revision = revision + 1
"""
# For the server $1: agents with their keys, how many attachments each has, and whether it must be the only one. Gives
# the agents that have their seats now, without a key, and those that don't, with the key of who is in the way; neither,
# if the server is taken for dead.
PUT_SEATS: Final = """
WITH wanted AS MATERIALIZED (
    SELECT * FROM unnest($2::text[], $3::text[], $4::integer[], $5::boolean[])
        AS wanted (agent_id, credential_key, attachments, alone)
),
others AS MATERIALIZED (
    SELECT wanted.agent_id, seats.server_id, seats.credential_key
    FROM wanted, seats
    WHERE seats.agent_id = wanted.agent_id AND seats.server_id <> $1 AND seats.attachments > 0
    AND wanted.attachments > 0 AND (wanted.alone OR seats.credential_key <> wanted.credential_key)
),
concerned AS MATERIALIZED (
    SELECT id, expires_at FROM servers WHERE id = $1 OR id IN (SELECT server_id FROM others) ORDER BY id FOR SHARE
),
living AS MATERIALIZED (SELECT id FROM concerned WHERE expires_at > clock_timestamp()),
occupied AS MATERIALIZED (
    SELECT agent_id, min(credential_key) AS credential_key FROM others
    WHERE server_id IN (SELECT id FROM living) GROUP BY agent_id
),
put AS (
    INSERT INTO seats (agent_id, server_id, credential_key, attachments, revision)
    SELECT agent_id, $1, credential_key, attachments, (SELECT revision FROM seat_changes) FROM wanted
    WHERE EXISTS (SELECT FROM living WHERE id = $1) AND agent_id NOT IN (SELECT agent_id FROM occupied)
    ON CONFLICT (agent_id, server_id) DO UPDATE SET credential_key = excluded.credential_key,
    attachments = excluded.attachments, doubts = 0, revision = excluded.revision, changed_at = clock_timestamp()
    RETURNING agent_id
)
SELECT agent_id, NULL FROM put UNION ALL SELECT agent_id, credential_key FROM occupied
"""
DOUBT_SEATS: Final = (
    "UPDATE seats SET doubts = doubts + 1, revision = (SELECT revision FROM seat_changes) "
    "WHERE agent_id = ANY ($2::text[]) AND server_id <> $1 AND attachments > 0"
)
# Every server has read them, or reads everything anew.
FORGET_FREE_SEATS: Final = (
    "DELETE FROM seats WHERE attachments = 0 AND changed_at < clock_timestamp() - make_interval(secs => $1::float8)"
)
SELECT_SERVERS: Final = "SELECT id, expires_at > clock_timestamp() FROM servers"
SELECT_SEATS_AFTER: Final = (
    "SELECT agent_id, server_id, credential_key, attachments, doubts, revision FROM seats WHERE revision > $1"
)

# What the dead have left. A renewal that is under way is waited for, and so is who takes a seat; after that none helps
# any more.
SELECT_DEAD_SERVER: Final = (
    "SELECT id FROM servers WHERE expires_at <= clock_timestamp() ORDER BY id LIMIT 1 FOR UPDATE"
)
SELECT_SEATS_OF: Final = (
    "SELECT agent_id, attachments FROM seats WHERE server_id = $1 ORDER BY server_id, agent_id LIMIT $2"
)
DELETE_SEATS_OF: Final = "DELETE FROM seats WHERE server_id = $1 AND agent_id = ANY ($2::text[])"
DELETE_DEAD_SERVER: Final = (
    "DELETE FROM servers WHERE id = $1 AND expires_at <= clock_timestamp() "
    "AND NOT EXISTS (SELECT FROM seats WHERE server_id = $1)"
)

# Buckets, by when they are full again. Rows are locked in one order, whoever comes. What was taken has been filling up
# since, of which those know who took it.
SPEND: Final = """
INSERT INTO buckets AS known (key, full_at, taken)
SELECT key, now() + make_interval(secs => missing), taken
FROM unnest($1::text[], $2::float8[], $3::float8[]) AS spent (key, taken, missing) ORDER BY key
ON CONFLICT (key) DO UPDATE SET taken = excluded.taken,
full_at = greatest(excluded.full_at, known.full_at + make_interval(secs => excluded.taken))
RETURNING key, extract(epoch FROM full_at - now())::float8
"""
# Takes something, and says 0; or says how much is missing, if it is too much. What came between our look and our turn
# is the only thing that is not seen: then a little is missing.
TAKE: Final = """
WITH put AS (
    INSERT INTO buckets AS known (key, full_at, taken) VALUES ($1, now() + make_interval(secs => $2::float8), $2)
    ON CONFLICT (key) DO UPDATE SET taken = excluded.taken,
    full_at = greatest(known.full_at, now()) + make_interval(secs => excluded.taken)
    WHERE known.full_at <= now() + make_interval(secs => $3::float8)
    RETURNING key
)
SELECT CASE WHEN EXISTS (SELECT FROM put) THEN 0 ELSE greatest(
    $3::float8 + 0.001, (SELECT extract(epoch FROM full_at - now())::float8 FROM buckets WHERE key = $1)
) END
"""
FORGET_FULL_BUCKETS: Final = "DELETE FROM buckets WHERE full_at < now()"
