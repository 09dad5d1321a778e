"""What an attachment needs of its transport, so that the session runs the same over any of them.

Closing codes are those of RFC 6455. Never 1000 or 1001 first: reference bridges take these as the end for good.
"""

from enum import IntEnum
from typing import Protocol


class CloseCode(IntEnum):
    POLICY = 1008
    TOO_BIG = 1009
    RESTART = 1012
    TRY_LATER = 1013


class LinkClosed(Exception):
    """The peer is gone. ``code`` is what it closed with, 1006 if it just vanished."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class Link(Protocol):
    """A WebSocket after its handshake. One task receives; any may send, each message goes out whole."""

    async def send(self, text: str) -> None:
        """Always a checkpoint. What is sent after the peer left is dropped; ``receive`` tells of it."""
        ...

    async def receive(self) -> str | bytes:
        """The next message: text as ``str``, binary as ``bytes``. Raises ``LinkClosed``."""
        ...

    async def close(self, code: CloseCode, reason: str) -> None:
        """Send the close frame. Closing twice, or after the peer left, does nothing."""
        ...
