"""A service manager that only listens: what a process says to systemd, over a real socket."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs


@attrs.frozen
class Listener:
    """``environ`` is what systemd would give to the process that it has started."""

    environ: dict[str, str]
    _sock: socket.socket

    def lines(self) -> list[str]:
        """Everything that was said since the last look."""
        said: list[str] = []
        try:
            while True:
                said += self._sock.recv(4096).decode().splitlines()
        except BlockingIOError:
            return said


@contextmanager
def listening(path: Path) -> Iterator[Listener]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.setblocking(False)
        yield Listener({"NOTIFY_SOCKET": str(path)}, sock)
