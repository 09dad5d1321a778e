"""What an attachment needs of its transport, so that the session runs the same over any of them.

Closing codes are those of RFC 6455. Never 1000 or 1001 first: reference bridges take these as the end for good.
"""

from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import Final, Protocol

import attrs
import trio

from moltnet.fanout.frames import Sendable


class CloseCode(IntEnum):
    POLICY = 1008
    TOO_BIG = 1009
    RESTART = 1012
    TRY_LATER = 1013


_REASON_BYTES: Final = 120


def short_reason(reason: str) -> str:
    """What fits of a reason into a close frame, which takes 125 bytes, two of them for the code."""
    return reason.encode()[:_REASON_BYTES].decode(errors="ignore")


class LinkClosed(Exception):
    """The peer is gone. ``code`` is what it closed with, 1006 if it just vanished."""

    def __init__(self, code: int) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class Link(Protocol):
    """A WebSocket after its handshake. One task receives; any may send, each message goes out whole."""

    def push(self, what: Sendable) -> bool:
        """Send without waiting; false if something is still to be taken, so that ``flush`` has to be waited for.

        What is sent after the peer left is dropped; ``receive`` tells of it.
        """
        ...

    async def flush(self) -> None:
        """Wait until everything that was sent has been taken, or the peer is gone. Cut off, it may be called again."""
        ...

    async def send(self, text: str) -> None:
        """Send, and wait until it is taken. Always a checkpoint."""
        ...

    async def receive(self) -> str | bytes:
        """The next message: text as ``str``, binary as ``bytes``. Raises ``LinkClosed``."""
        ...

    async def close(self, code: CloseCode, reason: str) -> None:
        """Send the close frame. Closing twice, or after the peer left, does nothing."""
        ...


@attrs.define(eq=False)
class OneAtATime:
    """Lets one task do what several wait for; when it is cut off, the next one goes on with it."""

    _others: trio.lowlevel.ParkingLot | None = attrs.field(init=False, default=None)
    is_busy: bool = attrs.field(init=False, default=False)

    async def until(self, is_done: Callable[[], bool], work: Callable[[], Awaitable[None]]) -> None:
        """Work, or wait for who does, until all is done."""
        while self.is_busy or not is_done():
            if self.is_busy:
                self._others = self._others or trio.lowlevel.ParkingLot()
                await self._others.park()
                continue
            self.is_busy = True
            try:
                await work()
            finally:
                self.is_busy = False
                if self._others is not None:
                    self._others.unpark_all()
