"""Load generator: keep-alive HTTP clients in a closed loop, each sending its next request when it has its answer."""

import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

from tests.bench.load.loop import PATIENCE_SECONDS, Loop, connect, seconds_between, serve, shown_ms
from tests.bench.load.wire import Answer, WrongAnswer, stamped


class Callers:
    """``call``: as many clients as wanted make ``amount`` calls together, or as many as they can in ``seconds``."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.request = b""
        self.left = 0
        self.ends_ns = 0
        self.busy = 0
        self.latencies_ns: list[int] = []

    def call(
        self, host: str, port: int, request: str, clients: int, amount: int = sys.maxsize, seconds: float = 0
    ) -> Mapping[str, Any]:
        self.request = request.encode()
        self.latencies_ns = []
        self.left = amount
        callers = [_Caller(self, connect(host, port)) for _ in range(clients)]
        for caller in callers:
            self.loop.watch(caller.sock, caller.ready)
        started_ns = time.monotonic_ns()
        self.ends_ns = started_ns + int((seconds or PATIENCE_SECONDS) * 1e9)
        self.busy = len(callers)
        for caller in callers:
            caller.next()
        self.loop.run_until(lambda: not self.busy, seconds + PATIENCE_SECONDS)
        ended_ns = time.monotonic_ns()
        for caller in callers:
            self.loop.forget(caller.sock)
        return {
            "amount": len(self.latencies_ns),
            "seconds": seconds_between(started_ns, ended_ns),
            "started_ns": started_ns,
            "latencies_ms": shown_ms(self.latencies_ns),
        }


class _Caller:
    def __init__(self, owner: Callers, sock: socket.socket) -> None:
        self.sock = sock
        self._owner = owner
        self._answer = Answer()
        self._sent_ns = 0

    def next(self) -> None:
        owner = self._owner
        self._sent_ns = time.monotonic_ns()
        if not owner.left or self._sent_ns >= owner.ends_ns:
            owner.busy -= 1
            return
        owner.left -= 1
        # A request fits into the socket's empty buffer.
        self.sock.sendall(stamped(owner.request, self._sent_ns))

    def ready(self) -> None:
        data = self._owner.loop.read(self.sock)
        if not data:
            raise WrongAnswer("the server closed a keep-alive connection")
        if self._answer.feed(data):
            self._owner.latencies_ns.append(time.monotonic_ns() - self._sent_ns)
            self.next()


if __name__ == "__main__":
    _loop = Loop()
    serve(_loop, {"call": Callers(_loop).call})
