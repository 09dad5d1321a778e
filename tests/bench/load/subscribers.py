"""Load generator: readers of the event stream (server-sent events)."""

import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tests.bench.load.loop import PATIENCE_SECONDS, Loop, connect, serve, shown_ms
from tests.bench.load.memory import Memory
from tests.bench.load.wire import Chunks, WrongAnswer, stamps


class Subscribers:
    """Streams are opened, then wait together until each has had so many messages."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.memory = Memory[Sequence[int]]()
        self.messages = 0
        self.delays_ns: list[int] = []
        self.last_ns = 0
        self._streams: list[_Stream] = []

    def subscribe(self, host: str, port: int, requests: Sequence[str]) -> Mapping[str, Any]:
        """Returns when all streams are open."""
        for request in requests:
            stream = _Stream(self, connect(host, port))
            self._streams.append(stream)
            self.loop.watch(stream.sock, stream.ready)
            stream.sock.sendall(request.encode())
        self.loop.run_until(lambda: all(stream.is_open for stream in self._streams))
        return {"amount": len(requests)}

    def expect(self, messages: int, seconds: float = PATIENCE_SECONDS) -> Mapping[str, Any]:
        """Wait until each stream has had this many since the last time. A latency is that of one delivery."""
        self.loop.run_until(lambda: self.messages >= messages * len(self._streams), seconds)
        amount = self.messages
        for stream in self._streams:
            if stream.messages != messages:
                raise WrongAnswer(f"{stream.messages} messages came to a stream instead of {messages}")
            stream.messages = 0
        self.messages = 0
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
        data = self._owner.loop.read(self.sock)
        if not data:
            raise WrongAnswer("the server ended a stream")
        began_whole = self._is_whole()
        known = self._owner.memory.recall(data) if began_whole else None
        if known is not None:
            self.is_open = True
            self._take(known)
            return
        body = self._chunks.feed(data)
        if not body:
            return
        # The server says something at once, if only a comment.
        self.is_open = True
        whole, newline, self._line = (self._line + body).rpartition(b"\n")
        sent = stamps(whole + newline)
        if began_whole and self._is_whole():
            self._owner.memory.keep(data, sent)
        self._take(sent)

    def _is_whole(self) -> bool:
        """Whether nothing was begun that is still to be ended."""
        return self._chunks.is_whole and not self._line

    def _take(self, sent: Sequence[int]) -> None:
        if sent:
            owner = self._owner
            now_ns = owner.last_ns = time.monotonic_ns()
            self.messages += len(sent)
            owner.messages += len(sent)
            owner.delays_ns += [now_ns - sent_ns for sent_ns in sent]


if __name__ == "__main__":
    _loop = Loop()
    _subscribers = Subscribers(_loop)
    serve(_loop, {"subscribe": _subscribers.subscribe, "expect": _subscribers.expect})
