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
# Reads that run at once, each on its own connection and thread. They are short; two cores serve no more.
SQLITE_READERS: Final = 4
# Rows of one INSERT: every step of a statement gives the interpreter lock away and must win it back, so a batch takes
# few steps: 512 messages went in 1.3 times as fast as row by row. More than 32 rows gained nothing, and their values
# (11 columns) must stay below the 999 that SQLite may be built to allow.
SQLITE_ROWS_PER_INSERT: Final = 32
# Every text times every power of two of rows, so that no statement is compiled twice.
SQLITE_CACHED_STATEMENTS: Final = 256
# Below this the server calls itself not ready (design §3.17): the next large messages would fail.
MIN_FREE_BYTES: Final = 16 * MIB
