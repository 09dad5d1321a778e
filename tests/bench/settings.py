"""How much a benchmark does, and to whom."""

from typing import Final

import attrs


@attrs.frozen
class Settings:
    """``url`` names a running server; without it each benchmark starts its own, on SQLite.

    That server has a room ``room_id`` in which nobody else writes, and ``token`` (none in mode ``none``) may write,
    read and attach there. ``server_pid`` tells where its CPU time can be read; its children count too.
    """

    url: str = ""
    token: str = ""
    room_id: str = "general"
    server_pid: int | None = None

    load_seconds: float = 2.0
    clients: tuple[int, ...] = (1, 8, 64)
    readers: int = 100
    single_posts: int = 50
    attachments: int = 1000
    few_attachments: int = 100
    crowd: int = 1000
    stuck: int = 20
    idle_attachments: int = 5000
    idle_seconds: float = 3.0
    history_messages: int = 1000
    missed_messages: int = 3000
    stored_messages: int = 8192
    reads: int = 300
    relayed_messages: int = 10_000


# Enough to see that a benchmark works, and nothing else.
TINY: Final = Settings(
    load_seconds=0.1,
    clients=(1, 2),
    readers=3,
    single_posts=2,
    attachments=4,
    few_attachments=2,
    crowd=4,
    stuck=1,
    idle_attachments=6,
    idle_seconds=0.1,
    history_messages=150,
    missed_messages=10,
    stored_messages=1024,
    reads=4,
    relayed_messages=40,
)
