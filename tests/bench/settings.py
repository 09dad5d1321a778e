"""How much a benchmark does, and to whom."""

from typing import Final

import attrs

from tests.fakes.postgres import PostgresServer

SQLITE: Final = "sqlite"
POSTGRES: Final = "postgres"


@attrs.frozen
class Settings:
    """How long and how often, with how many of each.

    A figure is the median of ``turns``; in each turn all servers are measured, one after the other, and the order
    changes from turn to turn. On PostgreSQL each server of each benchmark has a new database of ``postgres``.
    """

    storage: str = SQLITE
    postgres: PostgresServer | None = None

    turns: int = 5
    load_seconds: float = 2.0
    clients: tuple[int, ...] = (1, 8, 64)
    readers: int = 100
    single_posts: int = 50
    crowd: int = 1000
    crowd_posts: int = 30
    stuck: int = 10
    handshakes: int = 1000
    many_handshakes: int = 5000
    handshake_seconds: float = 60.0
    idle_seconds: float = 3.0
    history_messages: int = 1000
    writers: int = 8
    page_readers: int = 4
    missed_messages: int = 3000
    stored_messages: int = 8192
    remembered_messages: int = 100_000
    reads: int = 300
    relayed_messages: int = 5000
    node_attachments: int = 200
    starts: int = 5


# For the whole table in some minutes.
QUICK: Final = Settings(
    turns=3,
    load_seconds=1.0,
    single_posts=30,
    crowd_posts=15,
    handshake_seconds=30.0,
    idle_seconds=1.0,
    stored_messages=4096,
    remembered_messages=30_000,
    relayed_messages=1500,
    starts=3,
)

# Enough to see that a benchmark works, and nothing else.
TINY: Final = Settings(
    turns=1,
    load_seconds=0.1,
    clients=(1, 2),
    readers=3,
    single_posts=2,
    crowd=4,
    crowd_posts=2,
    stuck=1,
    handshakes=4,
    many_handshakes=6,
    handshake_seconds=20.0,
    idle_seconds=0.1,
    history_messages=150,
    writers=2,
    page_readers=1,
    missed_messages=10,
    stored_messages=1024,
    remembered_messages=200,
    reads=4,
    relayed_messages=40,
    node_attachments=2,
    starts=1,
)
