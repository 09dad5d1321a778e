"""Load generator: agents that attach, answer PING and ACK every event (attach protocol)."""

import json
import socket
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from tests.bench.load.loop import Loop, connect, seconds_between, serve, shown_ms
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


class Attachments:
    """Agents attach, then wait together until each has had so many messages."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._agents: list[_Agent] = []
        self.delays_ns: list[int] = []
        self.last_ns = 0

    def attach(
        self, host: str, port: int, headers: str, network_id: str, first: int, count: int, cursor: str = ""
    ) -> Mapping[str, Any]:
        """``count`` agents at once. A latency is that of one handshake, from connecting to READY."""
        started_ns = time.monotonic_ns()
        request = upgrade_request(f"{host}:{port}", "/v1/attach", headers)
        agents = []
        for number in range(first, first + count):
            agent = _Agent(self, time.monotonic_ns(), connect(host, port), f"agent-{number}", network_id, cursor)
            self._loop.watch(agent.sock, agent.ready)
            agent.sock.sendall(request)
            agents.append(agent)
        self._loop.run_until(lambda: all(agent.attached_ns for agent in reversed(agents)))
        ended_ns = max(agent.attached_ns for agent in agents)
        self._agents += agents
        return {
            "amount": count,
            "seconds": seconds_between(started_ns, ended_ns),
            "started_ns": started_ns,
            "latencies_ms": shown_ms([agent.attached_ns - agent.started_ns for agent in agents]),
        }

    def expect(self, messages: int) -> Mapping[str, Any]:
        """Wait until each attachment has had this many since the last time. A latency is that of one delivery."""
        self._loop.run_until(partial(self._all_have, messages))
        amount = sum(agent.messages for agent in self._agents)
        for agent in self._agents:
            agent.messages -= messages
        reply = {
            "amount": amount,
            "ended_ns": self.last_ns,
            "latencies_ms": shown_ms(self.delays_ns),
            "cursor": self._agents[-1].cursor,
        }
        self.delays_ns = []
        return reply

    def one_by_one(self, host: str, port: int, request: str, times: int) -> Mapping[str, Any]:
        """Post one message at a time: the next one when the last attachment has it. A latency is that of one to all."""
        poster = _Poster(connect(host, port))
        self._loop.watch(poster.sock, poster.ready)
        delays_ns = []
        for count in range(1, times + 1):
            sent_ns = time.monotonic_ns()
            poster.sock.sendall(stamped(request.encode(), sent_ns))
            self._loop.run_until(partial(self._all_have, count))
            self._loop.run_until(partial(poster.has, count))
            delays_ns.append(self.last_ns - sent_ns)
        self._loop.forget(poster.sock)
        self.expect(times)
        return {"amount": times, "seconds": sum(delays_ns) / 1e9, "latencies_ms": shown_ms(delays_ns)}

    def hold(self, seconds: float) -> Mapping[str, Any]:
        """Do nothing but stay attached."""
        self._loop.run_for(seconds)
        return {"amount": len(self._agents), "seconds": seconds}

    def _all_have(self, messages: int) -> bool:
        return all(agent.messages >= messages for agent in self._agents)

    def detach(self) -> Mapping[str, Any]:
        """Hang up, without a word."""
        for agent in self._agents:
            self._loop.forget(agent.sock)
        self._agents = []
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
        self.cursor = cursor
        self._owner = owner
        self._identify = _frame(
            op="IDENTIFY",
            network_id=network_id,
            agent={"type": "agent", "id": agent_id},
            cursor=cursor,
            capabilities={},
        )
        self._upgraded = False
        self._received = b""

    def ready(self) -> None:
        data = self.sock.recv(1 << 18)
        if not data:
            raise WrongAnswer("the server hung up on an attachment")
        self._received += data
        if not self._upgraded and not self._upgrade():
            return
        end = whole_frames(self._received)
        if end:
            frames, self._received = self._received[:end], self._received[end:]
            self._take(frames)

    def _upgrade(self) -> bool:
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if found:
            if not head.startswith(b"HTTP/1.1 101"):
                raise WrongAnswer(self._received.decode(errors="replace"))
            self._upgraded, self._received = True, rest
        return self._upgraded

    def _take(self, frames: bytes) -> None:
        if not self.attached_ns:
            self._greet(frames)
        out = [_ack(cursor) for cursor in self._events(frames)]
        if b'"op":"PING"' in frames:
            out.append(_PONG)
        if b'"op":"ERROR"' in frames:
            raise WrongAnswer(frames.decode(errors="replace"))
        if out:
            # Blocks if the server does not read: what it has not read is small against the buffers.
            self.sock.setblocking(True)
            self.sock.sendall(b"".join(out))
            self.sock.setblocking(False)

    def _greet(self, frames: bytes) -> None:
        if b'"op":"HELLO"' in frames:
            self.sock.sendall(self._identify)
        if b'"op":"READY"' in frames:
            self.attached_ns = time.monotonic_ns()

    def _events(self, frames: bytes) -> Sequence[bytes]:
        if b'"op":"EVENT"' not in frames:
            return ()
        found = cursors(frames)
        # READY may name the cursor too.
        events = found[-frames.count(b'"op":"EVENT"') :]
        self.cursor = events[-1].decode()
        created = frames.count(_CREATED)
        if created:
            now_ns = time.monotonic_ns()
            self.messages += created
            self._owner.last_ns = now_ns
            self._owner.delays_ns += [now_ns - sent_ns for sent_ns in stamps(frames)]
        return events


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
