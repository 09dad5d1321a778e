"""Invariant: whatever frames come in whatever order, a half of a session takes a frame or refuses it and is closed.

On the way its deadline never moves back, its state never turns back, it holds no more than its limits allow, and a
call that its state forbids changes nothing. Two honest halves, however their messages are delayed, never refuse each
other, deliver every event once and in order, and end in the same state.

An input is a script: the first byte says who is played, each further byte is one step.
"""

import sys
from collections import deque
from collections.abc import Callable, Hashable
from functools import partial
from typing import Final

import attrs

from fuzz.campaign import Target, main
from fuzz.frames import AGENT_ID, EVENT, NETWORK
from moltnet.protocol.attachment import (
    Acked,
    ClientSession,
    Delivered,
    HelloReceived,
    Identified,
    PeerError,
    Reply,
    ServerSession,
    State,
    Unreadable,
)
from moltnet.protocol.errors import ProtocolMisuse, ProtocolViolation
from moltnet.protocol.frames import (
    Ack,
    ErrorFrame,
    FrameCapabilities,
    Hello,
    Identify,
    Ping,
    Pong,
    Ready,
    encode_frame,
    event_frame_text,
)
from moltnet.protocol.limits import MAX_CLIENT_UNACKED_EVENTS, MAX_SETTLED_CURSORS
from moltnet.protocol.messages import Actor

WINDOW_EVENTS: Final = 4
MOST_HELD: Final = max(WINDOW_EVENTS + MAX_SETTLED_CURSORS, MAX_CLIENT_UNACKED_EVENTS)
ORDER: Final = list(State)
CAPABILITIES: Final = FrameCapabilities(rooms=True)

Session = ServerSession | ClientSession


def check(data: bytes) -> Hashable:
    """Raises if the script breaks the invariant; otherwise says how it went."""
    if not data:
        return "empty"
    players: tuple[Callable[[bytes], Hashable], ...] = (play_hostile_client, play_hostile_server, play_honest_pair)
    return players[data[0] % len(players)](data[1:])


def new_server() -> ServerSession:
    return ServerSession(NETWORK, window_events=WINDOW_EVENTS, now=0.0)


def new_client() -> ClientSession:
    return ClientSession(NETWORK, AGENT_ID, "Alpha", cursor="", capabilities=CAPABILITIES, now=0.0)


def event_text(cursor: str) -> str:
    return event_frame_text(NETWORK, cursor, EVENT)


def held(session: Session) -> int:
    """How many entries all the collections of a session hold together."""
    values = (getattr(session, field.name) for field in attrs.fields(type(session)))
    return sum(len(value) for value in values if isinstance(value, dict | list | set | tuple | deque))


@attrs.define(eq=False)
class Hostile:
    """One half of a session, the frames that it is fed, and what must hold after each step."""

    session: Session
    now: float = 0.0
    kinds: set[str] = attrs.field(factory=set)

    def feed(self, text: str) -> None:
        closed = self.session.state is State.CLOSED
        self._watched(lambda: self._receive(text, closed=closed))

    def call(self, method: Callable[[], object]) -> None:
        def attempt() -> None:
            before, count = self.session.state, held(self.session)
            try:
                method()
            except ProtocolMisuse:
                if (self.session.state, held(self.session)) != (before, count):
                    raise AssertionError(f"a forbidden call changed {before}") from None
                self.kinds.add("misuse")

        self._watched(attempt)

    def _receive(self, text: str, *, closed: bool) -> None:
        try:
            inputs = self.session.receive_text(text, self.now)
        except ProtocolViolation as violation:
            if closed or self.session.state is not State.CLOSED:
                raise AssertionError(f"refused a frame while {self.session.state}") from violation
            self.kinds.add("refused")
            return
        if closed and inputs:
            raise AssertionError(f"took {inputs} after the end")
        self.kinds.update(type(each).__name__ for each in inputs)

    def _watched(self, step: Callable[[], None]) -> None:
        state, deadline = self.session.state, self.session.read_deadline
        step()
        if ORDER.index(self.session.state) < ORDER.index(state):
            raise AssertionError(f"went back from {state} to {self.session.state}")
        if self.session.read_deadline < deadline:
            raise AssertionError("the deadline moved back")
        if held(self.session) > MOST_HELD:
            raise AssertionError(f"holds {held(self.session)} entries")


_FROM_ANYBODY: Final[tuple[str, ...]] = (
    encode_frame(Ping()),
    encode_frame(Pong()),
    encode_frame(Hello(heartbeat_interval_ms=2**40)),
    encode_frame(Ack(cursor="never")),
    '{"op":"PING"}',
    '{"op":"PONG","version":"moltnet.attach.v2"}',
    '{"op":"DANCE","version":"moltnet.attach.v1"}',
    "null",
    "not JSON",
)


def play_hostile_client(script: bytes) -> Hashable:
    """A server that is driven as it should be, and not, against a client that says anything."""
    server = new_server()
    host = Hostile(server)
    cursors = 0

    def identify(network: str, agent_id: str) -> str:
        return encode_frame(Identify(network_id=network, agent=Actor(id=agent_id), cursor=f"evt_{cursors}"))

    for step in script:
        kind, pick = step % 14, step // 14
        match kind:
            case 0 | 1:
                host.feed(identify(NETWORK, AGENT_ID))
            case 2:
                host.feed(identify(*(("net_b", AGENT_ID), (NETWORK, "not an id"), (NETWORK, ""))[pick % 3]))
            case 3 | 4 if server.in_flight:
                host.feed(encode_frame(Ack(cursor=server.in_flight[pick % len(server.in_flight)])))
            case 3 | 4 | 5:
                host.feed(encode_frame(Ack(cursor=f"evt_{max(0, cursors - pick)}")))
            case 6:
                host.feed(_FROM_ANYBODY[pick % len(_FROM_ANYBODY)])
            case 7:
                host.feed(encode_frame(ErrorFrame(error="no")) if pick == 0 else encode_frame(Ping()))
            case 8:
                host.call(server.hello)
            case 9:
                host.call(partial(server.ready, AGENT_ID, "actor_1", "molt://net_a/agents/alpha"))
            case 10 | 11:
                cursors += 1
                cursor = f"evt_{cursors}"
                host.call(partial(server.event, cursor, event_text(cursor)))
            case 12:
                host.call(partial(server.ping, host.now))
            case _:
                host.now += pick
    return ("server", server.state, frozenset(host.kinds))


def play_hostile_server(script: bytes) -> Hashable:
    """A client that is driven as it should be, and not, against a server that says anything."""
    client = new_client()
    host = Hostile(client)
    cursors = 0

    for step in script:
        kind, pick = step % 12, step // 12
        match kind:
            case 0:
                host.feed(encode_frame(Hello(heartbeat_interval_ms=(5000, 0, -1, 2**63)[pick % 4])))
            case 1:
                host.feed(encode_frame(Ready(network_id=NETWORK if pick else "net_b", agent_id=AGENT_ID)))
            case 2 | 3 | 4:
                cursors += 1
                host.feed(event_text(f"evt_{cursors}"))
            case 5:
                host.feed(event_text(f"evt_{max(0, cursors - pick)}"))
            case 6:
                host.feed(_FROM_ANYBODY[pick % len(_FROM_ANYBODY)])
            case 7:
                host.feed(encode_frame(ErrorFrame(error="no")) if pick == 0 else encode_frame(Ping()))
            case 8:
                host.call(client.identify)
            case 9 | 10:
                cursor = f"evt_{max(0, cursors - pick)}"
                host.call(partial(client.ack, cursor))
            case _:
                host.now += pick
    return ("client", client.state, frozenset(host.kinds))


@attrs.define(eq=False)
class HonestPair:
    """A server and a client that are driven as they should be, and the messages on their way."""

    server: ServerSession = attrs.field(factory=new_server)
    client: ClientSession = attrs.field(factory=new_client)
    to_server: deque[str] = attrs.field(factory=deque)
    to_client: deque[str] = attrs.field(factory=deque)
    now: float = 0.0
    sent: list[str] = attrs.field(factory=list)
    delivered: list[str] = attrs.field(factory=list)
    to_ack: list[str] = attrs.field(factory=list)
    acked_by_client: list[str] = attrs.field(factory=list)
    acked_at_server: list[str] = attrs.field(factory=list)
    errors: list[str] = attrs.field(factory=list)

    def step(self, byte: int) -> None:
        """One thing that one of them may do now; nothing, if it may not."""
        kind, pick = byte % 10, byte // 10
        match kind:
            case 0 if self.to_server:
                self.server_reads()
            case 1 if self.to_client:
                self.client_reads()
            case 2 if self.server.state is State.GREETING:
                self.to_client.append(self.server.hello())
            case 2 if self.server.state is State.DECIDING:
                self.to_client.append(self.server.ready(AGENT_ID, "actor_1", "molt://net_a/agents/alpha", now=self.now))
            case 3 | 4 if self.server.can_send:
                self.sent.append(cursor := f"evt_{len(self.sent)}")
                self.to_client.append(self.server.event(cursor, event_text(cursor)))
            case 5 | 6 if self.to_ack and self.client.state is State.ATTACHED:
                cursor = self.to_ack.pop(pick % len(self.to_ack))
                self.acked_by_client.append(cursor)
                self.to_server.append(self.client.ack(cursor))
                if pick % 5 == 4:  # as an impatient client of another make might
                    self.to_server.append(encode_frame(Ack(cursor=cursor)))
            case 7 if self.now >= self.server.ping_at:
                self.to_client.append(self.server.ping(self.now))
            case 8 if pick == 25:
                self.to_server.append(self.client.error("the client has enough"))
            case 8 if pick == 24:
                self.to_client.append(self.server.error("the server has enough"))
            case _:
                self.now += pick / 10

    def server_reads(self) -> None:
        for each in self.server.receive_text(self.to_server.popleft(), self.now):
            match each:
                case Acked(cursor):
                    self.acked_at_server.append(cursor)
                case Reply(text):
                    self.to_client.append(text)
                case PeerError(text):
                    self.errors.append(text)
                case Identified(agent):
                    if agent.id != AGENT_ID:
                        raise AssertionError(agent)

    def client_reads(self) -> None:
        for each in self.client.receive_text(self.to_client.popleft(), self.now):
            match each:
                case HelloReceived():
                    self.to_server.append(self.client.identify())
                case Delivered(cursor):
                    self.delivered.append(cursor)
                    self.to_ack.append(cursor)
                case Reply(text):
                    self.to_server.append(text)
                case PeerError(text):
                    self.errors.append(text)
                case Unreadable():
                    raise AssertionError(each)

    def finish(self) -> None:
        """Deliver what is on its way until nothing moves."""
        while self.to_server or self.to_client:
            if self.to_server:
                self.server_reads()
            if self.to_client:
                self.client_reads()


def play_honest_pair(script: bytes) -> Hashable:
    """Both halves, with messages that wait as long as the script likes."""
    pair = HonestPair()
    for step in script:
        pair.step(step)
    pair.finish()
    if pair.server.state is not pair.client.state:
        raise AssertionError(f"the server is {pair.server.state}, the client {pair.client.state}")
    if pair.delivered != pair.sent[: len(pair.delivered)]:
        raise AssertionError(f"sent {pair.sent}, delivered {pair.delivered}")
    if pair.acked_at_server != pair.acked_by_client[: len(pair.acked_at_server)]:
        raise AssertionError(f"ACKed {pair.acked_by_client}, settled {pair.acked_at_server}")
    if pair.server.state is not State.CLOSED and (
        pair.delivered != pair.sent
        or pair.acked_at_server != pair.acked_by_client
        or list(pair.server.in_flight) != [cursor for cursor in pair.sent if cursor in set(pair.to_ack)]
    ):
        raise AssertionError("an event or its ACK was lost")
    return ("pair", pair.server.state, len(pair.sent) > WINDOW_EVENTS, bool(pair.acked_at_server), bool(pair.errors))


TARGET: Final = Target("session", check, tuple(bytes([step]) for step in range(256)))

if __name__ == "__main__":
    sys.exit(main([TARGET]))
