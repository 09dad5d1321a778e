"""Bounds and settings of the stores. Those of the wire, of batches and of the ring: ``moltnet.protocol.limits``."""

from typing import Final

from moltnet.protocol.limits import KIB, MAX_BODY_BYTES, MIB

# A page's messages together: the reference client reads at most 1 MiB of an answer, and the page's own keys, cursors
# and up to 500 commas stand around them. A page that is cut here says that there is more.
MAX_PAGE_BYTES: Final = MAX_BODY_BYTES - 4 * KIB
# Events handed to one reader that catches up. Without it, 256 events of 1 MiB would be in memory per reader at once.
MAX_REPLAY_BYTES: Final = 4 * MIB

# How long a write waits for another program (a backup, a shell) to let go of the database. Bounds every commit.
SQLITE_BUSY_TIMEOUT_MS: Final = 5000
# Pages that the writer keeps in memory. Larger caches gained nothing: the operating system caches the file too.
SQLITE_CACHE_KIB: Final = 8192
# Readers follow indexes into pages that the operating system holds anyway.
SQLITE_READER_CACHE_KIB: Final = 2048
# A checkpoint about every 8 MiB of log: each costs a sync of the main file.
SQLITE_CHECKPOINT_PAGES: Final = 2000
# Reads that overlap keep the log from beginning anew: at this size they wait for each other once, and it is emptied. A
# long read of another program (a backup) can't be made to wait, so it grows; afterwards it is cut back to this size.
SQLITE_LOG_BYTES: Final = 64 * MIB
# Reads that run at once, each on its own connection and thread. They are short; two cores serve no more.
SQLITE_READERS: Final = 4
# Rows of one INSERT: every step of a statement gives the interpreter lock away and must win it back, so a batch takes
# few steps: 512 messages went in 1.3 times as fast as row by row. More than 32 rows gained nothing, and their values
# (11 columns) must stay below the 999 that SQLite may be built to allow.
SQLITE_ROWS_PER_INSERT: Final = 32
# Every text times every power of two of rows, so that no statement is compiled twice.
SQLITE_CACHED_STATEMENTS: Final = 256
# A JSON file goes to the system in pieces of this size: between them other threads run.
JSON_BUFFER_BYTES: Final = MIB
# Below this the server calls itself not ready (design §3.17): the next large messages would fail.
MIN_FREE_BYTES: Final = 16 * MIB
# What a storage must take before it is called ready again once it had no room: a message of the largest size. A quota,
# or a disk that somebody else looks after, does not tell how much is free, and a small write may still find a place.
WRITE_PROBE_BYTES: Final = MIB

# What one step of pruning removes at most, of events and of messages: writers wait for some 10 ms on SQLite, 3 ms on
# PostgreSQL. Steps of 2000 took 50 ms.
MAX_PRUNED_ROWS: Final = 500
# What goes with the messages of a step: places of large ones are given back piece by piece, and 500 messages of the
# largest size took SQLite 2.3 s; 500 with 256 artifacts each half a second. So much takes it some 40 ms and 20 ms.
MAX_PRUNED_BYTES: Final = 8 * MIB
MAX_PRUNED_ARTIFACTS: Final = 5000
# Between two steps, for whoever waits for the disk; ten thousand rows a second go all the same.
PRUNE_PAUSE_SECONDS: Final = 0.05
# How late something old goes. Nobody waits for it, and nothing is kept for less than an hour.
PRUNE_INTERVAL_SECONDS: Final = 60.0

# What may wait to be taken by another process of the same server. One that takes nothing any more is given up.
MAX_LINK_BYTES: Final = 256 * MIB

# A block of a backup on its way between store and file: bounded memory, however large the network.
BACKUP_BLOCK_LINES: Final = 500
BACKUP_BLOCK_BYTES: Final = 4 * MIB
# A line of a backup is a message (1 MiB), or a room with all its members; a longer one is no backup of ours.
MAX_BACKUP_LINE_BYTES: Final = 32 * MIB

# How long to wait for a connection, unless the DSN says it in `connect_timeout`.
POSTGRES_CONNECT_SECONDS: Final = 5.0
# The longest that a statement may take, waiting for another server's commit included. The database ends it then.
POSTGRES_STATEMENT_SECONDS: Final = 10
# The longest that a server may hold the lock on the log without a word. One that vanished is let go of then.
POSTGRES_IDLE_TRANSACTION_SECONDS: Final = 10
# When a unit of work is given up, if not even the database's own limits were heard: the network is gone.
POSTGRES_CALL_SECONDS: Final = 15.0
# How long reads and commits are tried again after the database was lost: a restart of it takes less, and a caller
# should not wait longer for bad news. After that, one try each.
POSTGRES_PATIENCE_SECONDS: Final = 10.0
# A new schema may have to rewrite tables, and other servers wait for the one that does.
POSTGRES_MIGRATION_SECONDS: Final = 3600.0
POSTGRES_CLOSE_SECONDS: Final = 2.0
# Reads that run at once, each on its own connection. With those that write, listen and settle things among servers, a
# server holds at most twelve.
POSTGRES_READERS: Final = 8
# A notification that was lost is made up for after this time. The same question finds out whether the connection lives.
POSTGRES_POLL_SECONDS: Final = 5.0
# Between two tries to hear of other servers' commits: a restart of the database takes about as long.
POSTGRES_LISTEN_AGAIN_SECONDS: Final = 0.5
# Of what other servers have committed, this many of the newest events are handed on in memory, as far as they fit into
# `MAX_REPLAY_BYTES`. Readers take older ones from the database.
MAX_NEWS_EVENTS: Final = 1024
# How long a server that is not heard of is taken to be alive. Within it nobody takes over what it does, so it is how
# long work and seats of one that was killed stay where they are.
POSTGRES_LEASE_SECONDS: Final = 10.0
# How often a server says that it is alive: two tries may fail.
POSTGRES_RENEW_SECONDS: Final = 3.0
# Before the others may take over, what a server owns has this long to hear that it must end.
POSTGRES_LEASE_MARGIN_SECONDS: Final = 2.0
# How often servers tell each other what changed, and try to get what another one has.
POSTGRES_BEAT_SECONDS: Final = 0.5
# How long it is remembered that an agent's last attachment ended: every server looks more often, or reads all anew.
POSTGRES_FREE_SEAT_SECONDS: Final = 300.0
# Of what a dead server has left, so many agents at once are reported as gone.
DEPARTED_SEATS: Final = 200
# How often buckets that are full again are forgotten.
BUCKET_SWEEP_SECONDS: Final = 60.0
# When a word among servers is given up, if the database does not answer: two of them fit into a lease.
POSTGRES_SETTLE_SECONDS: Final = 3.0
# How long it is remembered that a session was closed: longer than any session lives.
POSTGRES_CLOSED_SESSION_DAYS: Final = 40
