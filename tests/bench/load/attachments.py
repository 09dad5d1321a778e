"""Load generator: agents that attach, answer PING and ACK every event (attach protocol)."""

import json
import selectors
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from tests.bench.load.loop import PATIENCE_SECONDS, Loop, TookTooLong, connect, seconds_between, serve, shown_ms
from tests.bench.load.memory import Memory
from tests.bench.load.wire import (
    Answer,
    WrongAnswer,
    cursors,
    stamped,
    stamps,
    text_frame,
    upgrade_request,
    whole_frames,
)

_VERSION = "moltnet.attach.v1"
_PONG = text_frame(json.dumps({"op": "PONG", "version": _VERSION, "capabilities": {}}).encode())
_CREATED = b'"type":"message.created"'
_POLL_SECONDS = 0.05


class Taken(NamedTuple):
    """What some frames mean: the answer that they ask for, how many messages, when those were sent, the last cursor."""

    answer: bytes
    messages: int
    sent_ns: Sequence[int]
    cursor: bytes


class Attachments:
    """Agents attach, then wait together until each has had so many messages."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.memory = Memory[Taken]()
        self.messages = 0
        self.attached = 0
        self.delays_ns: list[int] = []
        self.last_ns = 0
        self._agents: list[_Agent] = []

    def attach(
        self,
        host: str,
        port: int,
        headers: str,
        network_id: str,
        first: int,
        count: int,
        cursor: str = "",
        at_once: int = 1 << 20,
        seconds: float = PATIENCE_SECONDS,
    ) -> Mapping[str, Any]:
        """``count`` agents, ``at_once`` of them on their way at a time, until all are attached or the time is over.

        A latency is that of one handshake, from connecting to READY. Who is late is hung up on.
        """
        started_ns = time.monotonic_ns()
        deadline = time.monotonic() + seconds
        request = upgrade_request(f"{host}:{port}", "/v1/attach", headers)
        agents: list[_Agent] = []
        before = self.attached
        while self.attached - before < count and time.monotonic() < deadline:
            if len(agents) < count and len(agents) - (self.attached - before) < at_once:
                number = first + len(agents)
                agent = _Agent(self, time.monotonic_ns(), connect(host, port), f"agent-{number}", network_id, cursor)
                self.loop.watch(agent.sock, agent.ready)
                agent.sock.sendall(request)
                agents.append(agent)
            else:
                self._wait_for_more(deadline)
        there = [agent for agent in agents if agent.attached_ns]
        for late in (agent for agent in agents if not agent.attached_ns):
            self.loop.forget(late.sock)
        if not there:
            raise TookTooLong(f"nobody was attached after {seconds:g} seconds")
        self._agents += there
        return {
            "amount": len(there),
            "seconds": seconds_between(started_ns, max(agent.attached_ns for agent in there)),
            "started_ns": started_ns,
            "latencies_ms": shown_ms([agent.attached_ns - agent.started_ns for agent in there]),
        }

    def _wait_for_more(self, deadline: float) -> None:
        now = self.attached
        self.loop.run_while(lambda: self.attached == now, min(_POLL_SECONDS, deadline - time.monotonic()))

    def expect(self, messages: int, seconds: float = PATIENCE_SECONDS) -> Mapping[str, Any]:
        """Wait until each attachment has had this many since the last time. A latency is that of one delivery."""
        self.loop.run_until(partial(self._all_have, messages), seconds)
        amount = self.messages
        for agent in self._agents:
            if agent.messages != messages:
                raise WrongAnswer(f"{agent.messages} messages came to an attachment instead of {messages}")
            agent.messages = 0
        self.messages = 0
        reply = {
            "amount": amount,
            "ended_ns": self.last_ns,
            "latencies_ms": shown_ms(self.delays_ns),
            "cursor": self._agents[-1].cursor.decode(),
        }
        self.delays_ns = []
        return reply

    def one_by_one(self, host: str, port: int, request: str, times: int) -> Mapping[str, Any]:
        """Post one message at a time: the next one when the last attachment has it. A latency is that of one to all."""
        poster = _Poster(connect(host, port))
        self.loop.watch(poster.sock, poster.ready)
        delays_ns = []
        for count in range(1, times + 1):
            sent_ns = time.monotonic_ns()
            poster.sock.sendall(stamped(request.encode(), sent_ns))
            self.loop.run_until(partial(self._all_have, count))
            self.loop.run_until(partial(poster.has, count))
            delays_ns.append(self.last_ns - sent_ns)
        self.loop.forget(poster.sock)
        singles = shown_ms(self.delays_ns)
        self.expect(times)
        return {
            "amount": times,
            "seconds": sum(delays_ns) / 1e9,
            "latencies_ms": shown_ms(delays_ns),
            "delivery_ms": singles,
        }

    def hold(self, seconds: float) -> Mapping[str, Any]:
        """Do nothing but stay attached."""
        self.loop.run_for(seconds)
        return {"amount": len(self._agents), "seconds": seconds}

    def _all_have(self, messages: int) -> bool:
        return self.messages >= messages * len(self._agents)

    def detach(self) -> Mapping[str, Any]:
        """Hang up, without a word."""
        for agent in self._agents:
            self.loop.forget(agent.sock)
        self._agents = []
        self.messages = 0
        self.delays_ns = []
        return {}


class _Poster:
    """One client that posts and counts its answers."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._answer = Answer()
        self._answered = 0

    def ready(self) -> None:
        self._answered += self._answer.feed(self.sock.recv(1 << 16))

    def has(self, answers: int) -> bool:
        return self._answered >= answers


class _Agent:
    def __init__(
        self, owner: Attachments, started_ns: int, sock: socket.socket, agent_id: str, network_id: str, cursor: str
    ) -> None:
        self.sock = sock
        self.started_ns = started_ns
        self.attached_ns = 0
        self.messages = 0
        self.cursor = cursor.encode()
        self._owner = owner
        self._identify = _frame(
            op="IDENTIFY",
            network_id=network_id,
            agent={"type": "agent", "id": agent_id},
            cursor=cursor,
            capabilities={},
        )
        self._received = b""
        self._handle: Callable[[bytes], None] = self._upgrade

    def ready(self) -> None:
        data = self._owner.loop.read(self.sock)
        if not data:
            raise WrongAnswer("the server hung up on an attachment")
        self._handle(data)

    def _upgrade(self, data: bytes) -> None:
        head, found, rest = (self._received + data).partition(b"\r\n\r\n")
        self._received = b"" if found else head
        if found:
            if not head.startswith(b"HTTP/1.1 101"):
                raise WrongAnswer((head + rest).decode(errors="replace"))
            self._handle = self._greet
            self._greet(rest)

    def _greet(self, data: bytes) -> None:
        """HELLO is answered; at READY it is attached."""
        self._received += data
        end = whole_frames(self._received)
        frames, self._received = self._received[:end], self._received[end:]
        if b'"op":"HELLO"' in frames:
            self.sock.sendall(self._identify)
        if b'"op":"READY"' in frames:
            self.attached_ns = time.monotonic_ns()
            self._owner.attached += 1
            self._handle = self._follow
        if frames:
            self._take(_understood(frames))

    def _follow(self, data: bytes) -> None:
        memory = self._owner.memory
        if not self._received and (known := memory.recall(data)) is not None:
            self._take(known)
            return
        was_whole = not self._received
        self._received += data
        end = whole_frames(self._received)
        if not end:
            return
        frames, self._received = self._received[:end], self._received[end:]
        taken = _understood(frames)
        if was_whole and not self._received:
            memory.keep(data, taken)
        self._take(taken)

    def _take(self, taken: Taken) -> None:
        if taken.cursor:
            self.cursor = taken.cursor
        if taken.messages:
            now_ns = time.monotonic_ns()
            owner = self._owner
            self.messages += taken.messages
            owner.messages += taken.messages
            owner.last_ns = now_ns
            owner.delays_ns += [now_ns - sent_ns for sent_ns in taken.sent_ns]
        if taken.answer:
            self._say(taken.answer)

    def _say(self, out: bytes) -> None:
        try:
            sent = self.sock.send(out)
        except BlockingIOError:
            sent = 0
        if sent < len(out):
            # The server does not read: what it has not read is small against the buffers, so this is rare.
            with selectors.DefaultSelector() as selector:
                selector.register(self.sock, selectors.EVENT_WRITE)
                while sent < len(out):
                    if not selector.select(PATIENCE_SECONDS):
                        raise TookTooLong("the server does not read the ACKs of an attachment")
                    sent += self.sock.send(out[sent:])


def _understood(frames: bytes) -> Taken:
    """Raises ``WrongAnswer`` if the server complains."""
    if b'"op":"ERROR"' in frames:
        raise WrongAnswer(frames.decode(errors="replace"))
    # READY may name a cursor too.
    events = frames.count(b'"op":"EVENT"')
    found = cursors(frames)[-events:] if events else ()
    answers = [_ack(cursor) for cursor in found]
    if b'"op":"PING"' in frames:
        answers.append(_PONG)
    created = frames.count(_CREATED) if events else 0
    return Taken(b"".join(answers), created, stamps(frames) if created else (), found[-1] if found else b"")


def _frame(**fields: object) -> bytes:
    return text_frame(json.dumps({**fields, "version": _VERSION}).encode())


def _ack(cursor: bytes) -> bytes:
    return text_frame(b'{"op":"ACK","version":"moltnet.attach.v1","cursor":"%b"}' % cursor)


if __name__ == "__main__":
    _loop = Loop()
    _attachments = Attachments(_loop)
    serve(
        _loop,
        {
            "attach": _attachments.attach,
            "expect": _attachments.expect,
            "one_by_one": _attachments.one_by_one,
            "hold": _attachments.hold,
            "detach": _attachments.detach,
        },
    )
