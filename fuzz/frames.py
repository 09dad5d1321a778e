"""Invariant: any text gives a frame or a ``ProtocolViolation`` that fits into an ERROR frame, and nothing else.

And what follows from a frame: written and read again it is the same frame, and each half of a session, in each state,
either takes the text or refuses it for good.
"""

import sys
from collections.abc import Callable, Hashable, Iterator
from typing import Final

import attrs

from fuzz.campaign import Target, main, shape
from moltnet.protocol.attachment import ClientSession, ServerSession, State
from moltnet.protocol.errors import ProtocolViolation
from moltnet.protocol.frames import (
    ErrorFrame,
    FrameCapabilities,
    UnknownFrame,
    encode_frame,
    event_frame_text,
    parse_frame,
)
from moltnet.protocol.ids import NetworkId
from moltnet.protocol.limits import MAX_FRAME_BYTES
from moltnet.protocol.network import ATTACH_PROTOCOL

NETWORK: Final = NetworkId("net_a")
AGENT_ID: Final = "alpha"
CURSOR: Final = "evt_1"
EVENT: Final = b'{"id":"evt_1","type":"agent.connected","network_id":"net_a","created_at":"2026-01-01T00:00:00Z"}'
NOW: Final = 1000.0

TOKENS: Final = tuple(
    token.encode()
    for token in (
        *('"HELLO"', '"IDENTIFY"', '"READY"', '"EVENT"', '"ACK"', '"PING"', '"PONG"', '"ERROR"'),
        *('"op":', '"version":', f'"{ATTACH_PROTOCOL}"', '"network_id":', f'"{NETWORK}"', '"cursor":', f'"{CURSOR}"'),
        *('"agent":', '"id":', '"type":', '"name":', '"event":', '"capabilities":', '"rooms":', '"error":'),
        *('"heartbeat_interval_ms":', '"message":', '"parts":', '"kind":', '"data":', '"target":', '"from":'),
        *("{", "}", "[", "]", ",", ":", '"', "\\", "\n"),
    )
)


def check(data: bytes) -> Hashable:
    """Raises if the text breaks the invariant; otherwise says what became of it."""
    # A WebSocket library hands over valid UTF-8; whatever else gets in as text must not hurt either.
    text = data.decode(errors="surrogateescape")
    return (_kind_of_parsing(text), *(_kind_of_receiving(session, text) for session in _sessions()))


def _kind_of_parsing(text: str) -> str:
    try:
        frame = parse_frame(text)
    except ProtocolViolation as violation:
        _check_answer(violation.answer)
        return shape(violation.answer)
    if not isinstance(frame, UnknownFrame):
        again = parse_frame(encode_frame(frame))
        if again != attrs.evolve(frame, version=ATTACH_PROTOCOL):
            raise AssertionError(f"{frame} was written and read as {again}")
    return type(frame).__name__


def _kind_of_receiving(session: ServerSession | ClientSession, text: str) -> str:
    before = session.state
    try:
        inputs = session.receive_text(text, NOW)
    except ProtocolViolation as violation:
        _check_answer(violation.answer)
        if session.state is not State.CLOSED:
            raise AssertionError(f"refused a frame and stayed {session.state}") from violation
        session.error(violation.answer)
        if session.receive_text(text, NOW) != ():
            raise AssertionError("took a frame after the end") from violation
        return f"{before.value}: {shape(violation.answer)}"
    taken = ",".join(type(each).__name__ for each in inputs)
    return f"{before.value}: {taken or 'nothing'} → {session.state.value}"


def _check_answer(answer: str) -> None:
    text = encode_frame(ErrorFrame(error=answer))
    if not answer or len(text.encode()) > MAX_FRAME_BYTES:
        raise AssertionError(f"can't answer with {answer[:200]!r}")


def _sessions() -> Iterator[ServerSession | ClientSession]:
    """Both halves in each state."""
    for reached in (State.GREETING, State.IDENTIFYING, State.DECIDING, State.ATTACHED):
        yield from pair_in(reached)


def pair_in(reached: State) -> tuple[ServerSession, ClientSession]:
    """A server and a client that have talked until both are in that state; attached, with one event in flight."""
    server = ServerSession(NETWORK, now=NOW)
    client = ClientSession(NETWORK, AGENT_ID, "Alpha", cursor="", capabilities=FrameCapabilities(), now=NOW)
    for step in _STEPS:
        if server.state is reached and client.state is reached:
            break
        step(server, client)
    if reached is State.ATTACHED:
        client.receive_text(server.event(CURSOR, event_frame_text(NETWORK, CURSOR, EVENT)), NOW)
    return server, client


_STEPS: Final[tuple[Callable[[ServerSession, ClientSession], object], ...]] = (
    lambda server, client: client.receive_text(server.hello(), NOW),
    lambda server, client: server.receive_text(client.identify(), NOW),
    lambda server, client: client.receive_text(server.ready(AGENT_ID, "actor_1", "molt://net_a/agents/alpha"), NOW),
    lambda server, client: client.receive_text(server.error("the end"), NOW),
)


TARGET: Final = Target("frames", check, TOKENS)

if __name__ == "__main__":
    sys.exit(main([TARGET]))
