"""Load generator: readers of the event stream (server-sent events)."""

import socket
import time
from collections.abc import Mapping
from typing import Any

from tests.bench.load.loop import Loop, connect, serve, shown_ms
from tests.bench.load.wire import Chunks, WrongAnswer, stamps


class Subscribers:
    """Streams are opened, then wait together until each has had so many messages."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._streams: list[_Stream] = []
        self.delays_ns: list[int] = []
        self.last_ns = 0

    def subscribe(self, host: str, port: int, request: str, count: int) -> Mapping[str, Any]:
        """Returns when all streams are open."""
        for _ in range(count):
            stream = _Stream(self, connect(host, port))
            self._streams.append(stream)
            self._loop.watch(stream.sock, stream.ready)
            stream.sock.sendall(request.encode())
        self._loop.run_until(lambda: all(stream.is_open for stream in self._streams))
        return {"amount": count}

    def expect(self, messages: int) -> Mapping[str, Any]:
        """Wait until each stream has had this many since the last time. A latency is that of one delivery."""
        self._loop.run_until(lambda: all(stream.messages >= messages for stream in self._streams))
        amount = sum(stream.messages for stream in self._streams)
        for stream in self._streams:
            stream.messages -= messages
        reply = {"amount": amount, "ended_ns": self.last_ns, "latencies_ms": shown_ms(self.delays_ns)}
        self.delays_ns = []
        return reply


class _Stream:
    def __init__(self, owner: Subscribers, sock: socket.socket) -> None:
        self.sock = sock
        self.is_open = False
        self.messages = 0
        self._owner = owner
        self._chunks = Chunks()
        self._line = b""

    def ready(self) -> None:
        data = self.sock.recv(1 << 18)
        if not data:
            raise WrongAnswer("the server ended a stream")
        body = self._chunks.feed(data)
        if not body:
            return
        # The server says something at once, if only a comment.
        self.is_open = True
        whole, newline, self._line = (self._line + body).rpartition(b"\n")
        sent = stamps(whole + newline)
        if sent:
            now_ns = self._owner.last_ns = time.monotonic_ns()
            self.messages += len(sent)
            self._owner.delays_ns += [now_ns - sent_ns for sent_ns in sent]


if __name__ == "__main__":
    _loop = Loop()
    _subscribers = Subscribers(_loop)
    serve(_loop, {"subscribe": _subscribers.subscribe, "expect": _subscribers.expect})
