"""The loop of a load generator: sockets that became readable, and commands on stdin, one JSON object a line.

Each command gets one line of JSON back. Sockets are served while no command runs too, so attachments stay alive and
what arrives early is not missed.
"""

import json
import os
import resource
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tests.bench.load.wire import WrongAnswer

PATIENCE_SECONDS: Final = 120.0
SHOWN_LATENCIES: Final = 1000
READ_BYTES: Final = 1 << 18
_NS: Final = 1_000_000_000


class TookTooLong(Exception):
    pass


class Loop:
    """Callbacks of readable sockets, one at a time."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._typed = b""
        self._lines: deque[bytes] = deque()
        self._ended = False
        # One for all sockets: a new one for each read would be mapped and unmapped by the kernel each time.
        self._buffer = memoryview(bytearray(READ_BYTES))
        _allow_many_sockets()
        os.set_blocking(sys.stdin.fileno(), False)
        self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ, self._read_commands)

    def watch(self, sock: socket.socket, ready: Callable[[], None]) -> None:
        self._selector.register(sock, selectors.EVENT_READ, ready)

    def read(self, sock: socket.socket) -> bytes:
        """What has arrived at a socket that is readable; nothing at its end."""
        return bytes(self._buffer[: sock.recv_into(self._buffer)])

    def forget(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        sock.close()

    def close(self) -> None:
        """Hang up on everybody."""
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()

    def run_until(self, done: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
        """Raises ``TookTooLong``."""
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise TookTooLong(f"not done after {seconds:g} seconds")
            self._turn()

    def run_while(self, condition: Callable[[], bool], seconds: float) -> None:
        """At most so long."""
        deadline = time.monotonic() + seconds
        while condition() and time.monotonic() < deadline:
            self._turn()

    def run_for(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._turn()

    def next_line(self) -> bytes | None:
        """The next command; ``None`` after the last one."""
        while not self._lines and not self._ended:
            self._turn()
        return self._lines.popleft() if self._lines else None

    def _turn(self) -> None:
        for key, _ in self._selector.select(0.05):
            key.data()

    def _read_commands(self) -> None:
        data = os.read(sys.stdin.fileno(), 1 << 20)
        self._ended = not data
        *lines, self._typed = (self._typed + data).split(b"\n")
        self._lines.extend(lines)


def serve(loop: Loop, commands: Mapping[str, Callable[..., Mapping[str, Any]]]) -> None:
    """Obey until stdin ends, or something fails, which is said in place of a reply (``failure``).

    To each reply is added the CPU time since the one before: ``cpu_seconds``.
    """
    used = time.process_time()
    while True:
        # Sockets are served meanwhile, and may have something to say that is not to be borne.
        try:
            line = loop.next_line()
            if line is None:
                break
            arguments = json.loads(line)
            reply = commands[arguments.pop("command")](**arguments)
        except (TookTooLong, WrongAnswer, OSError) as failure:
            print(json.dumps({"failure": f"{type(failure).__name__}: {failure}"}), flush=True)
            break
        before, used = used, time.process_time()
        print(json.dumps({**reply, "cpu_seconds": used - before}), flush=True)


def _allow_many_sockets() -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connect(host: str, port: int) -> socket.socket:
    sock = socket.create_connection((host, port), timeout=PATIENCE_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setblocking(False)
    return sock


def shown_ms(latencies_ns: Sequence[int]) -> list[float]:
    """Latencies in milliseconds, sorted; of many, some at equal distances, the least and the greatest among them."""
    ordered = sorted(latencies_ns)
    if len(ordered) > SHOWN_LATENCIES:
        last = len(ordered) - 1
        ordered = [ordered[index * last // (SHOWN_LATENCIES - 1)] for index in range(SHOWN_LATENCIES)]
    return [latency / 1_000_000 for latency in ordered]


def seconds_between(start_ns: int, end_ns: int) -> float:
    return (end_ns - start_ns) / _NS
