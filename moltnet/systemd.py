"""Telling systemd how a server or a node is doing: ready, reloading, stopping, alive (`sd_notify`, `Type=notify`).

Without a service manager that asks for it, nothing of this does anything.
"""

import os
import socket
import time
from collections.abc import Mapping
from typing import Final

import attrs
import trio

from moltnet.log import get_logger

log = get_logger("systemd")

SOCKET_VARIABLE: Final = "NOTIFY_SOCKET"
WATCHDOG_VARIABLE: Final = "WATCHDOG_USEC"
WATCHDOG_PID_VARIABLE: Final = "WATCHDOG_PID"


@attrs.frozen
class ServiceManager:
    """Who started us, if it wants to hear of us. `address` is empty if not; `watchdog_seconds` is 0 without one."""

    address: str = ""
    watchdog_seconds: float = 0.0

    @classmethod
    def of_environment(cls, environ: Mapping[str, str]) -> "ServiceManager":
        """As `sd_notify(3)` and `sd_watchdog_enabled(3)` say it. What makes no sense counts as absent."""
        address = environ.get(SOCKET_VARIABLE, "")
        if not address.startswith(("/", "@")):
            return cls()
        wanted = environ.get(WATCHDOG_VARIABLE, "")
        is_ours = environ.get(WATCHDOG_PID_VARIABLE, "") in ("", str(os.getpid()))
        return cls(address, int(wanted) / 1_000_000 if wanted.isdecimal() and is_ours else 0.0)

    def ready(self, text: str) -> None:
        self._tell("READY=1", f"STATUS={text}")

    def reloading(self) -> None:
        """Has to be followed by `ready`, whatever came of it."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._tell("STOPPING=1", "STATUS=draining")

    async def keep_watchdog(self) -> None:
        """Say that we live, twice as often as is asked for: a task that is not run for so long does not say it."""
        if not self.watchdog_seconds:
            return
        while True:
            self._tell("WATCHDOG=1")
            await trio.sleep(self.watchdog_seconds / 2)

    def _tell(self, *lines: str) -> None:
        if not self.address:
            return
        # A name without a file, as Linux has them, begins with a null byte.
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            log.debug("the service manager did not take it", said=lines[0], reason=str(error))
