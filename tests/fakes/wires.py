"""What every agent's end of an attachment has in common, over whatever transport."""

from typing import Protocol

import trio


class WireClosed(Exception):
    """The server has closed; a `code` of 1006 means without a close frame."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"closed with {code} {reason}")
        self.code = code
        self.reason = reason


class Wire(Protocol):
    """The agent's end of an attachment."""

    async def send(self, message: str | bytes) -> None: ...

    async def receive(self) -> str:
        """The next frame. Raises `WireClosed`."""
        ...

    async def hang_up(self, code: int = 1000) -> None:
        """Close it; 1006 vanishes without a word."""
        ...


class MemoryWire(Wire, Protocol):
    """The same without a socket. `ended` is set when the server's side has returned; `scope` is what it runs under."""

    scope: trio.CancelScope
    ended: trio.Event

    def hang_up_nowait(self, code: int = 1006) -> None:
        """Once; later calls do nothing."""
        ...
