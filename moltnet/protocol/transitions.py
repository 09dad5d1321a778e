"""The table of the attach session: who may send which frame when, and what it leads to (attach protocol §3, §4).

Both halves of ``moltnet.protocol.attachment`` and the diagram in ``docs/attach-session.md`` are made from it. What a
frame must hold to be acceptable is checked there, not here.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

import attrs

from moltnet.protocol.frames import (
    Ack,
    ErrorFrame,
    EventFrame,
    Frame,
    Hello,
    Identify,
    Ping,
    Pong,
    Ready,
    UnknownFrame,
    op_of,
)
from moltnet.protocol.limits import MAX_QUOTED_CHARACTERS


class Role(Enum):
    SERVER = "server"
    CLIENT = "client"

    @property
    def peer(self) -> "Role":
        return Role.CLIENT if self is Role.SERVER else Role.SERVER


class State(Enum):
    """How far the two have come. Both halves walk through the same states."""

    GREETING = "greeting"
    """Nothing was said. The server owes HELLO."""
    IDENTIFYING = "identifying"
    """HELLO was said. The client owes IDENTIFY."""
    DECIDING = "deciding"
    """IDENTIFY was said. The server owes READY, or ERROR."""
    ATTACHED = "attached"
    """READY was said. Events and ACKs flow."""
    CLOSED = "closed"
    """One of them said ERROR, or broke the protocol. Nothing that still arrives counts."""


@attrs.frozen
class Refusal:
    """The peer may not say this now. ``text`` answers it; ``{op}`` in it stands for the op that came."""

    text: str

    def answer(self, frame: Frame) -> str:
        return self.text.replace("{op}", op_of(frame)[:MAX_QUOTED_CHARACTERS])


FRAME_CLASSES: Final[tuple[type[Frame], ...]] = (
    Hello,
    Identify,
    Ready,
    EventFrame,
    Ack,
    Ping,
    Pong,
    ErrorFrame,
    UnknownFrame,
)
Row = Mapping[type[Frame], State | Refusal]


def _row(allowed: Mapping[type[Frame], State], *, otherwise: State | Refusal) -> Row:
    """A whole row: the state after each frame that is allowed, and what becomes of all others."""
    return {cls: allowed.get(cls, otherwise) for cls in FRAME_CLASSES}


# Who receives, in which state → what each op of the peer leads to. A PONG that nobody asked for is refused by the
# client, which never sends PING; the server takes any, as the reference does. ERROR ends every state.
TRANSITIONS: Final[Mapping[tuple[Role, State], Row]] = {
    (Role.SERVER, State.GREETING): _row(
        {ErrorFrame: State.CLOSED},
        otherwise=Refusal('unexpected frame op "{op}" before HELLO'),
    ),
    (Role.SERVER, State.IDENTIFYING): _row(
        {Identify: State.DECIDING, ErrorFrame: State.CLOSED},
        otherwise=Refusal("expected IDENTIFY frame"),
    ),
    (Role.SERVER, State.DECIDING): _row(
        {Ping: State.DECIDING, Pong: State.DECIDING, ErrorFrame: State.CLOSED},
        otherwise=Refusal('unexpected frame op "{op}" before READY'),
    ),
    (Role.SERVER, State.ATTACHED): _row(
        {Ack: State.ATTACHED, Ping: State.ATTACHED, Pong: State.ATTACHED, ErrorFrame: State.CLOSED},
        otherwise=Refusal('unexpected frame op "{op}"'),
    ),
    (Role.SERVER, State.CLOSED): _row({}, otherwise=State.CLOSED),
    (Role.CLIENT, State.GREETING): _row(
        {Hello: State.IDENTIFYING, ErrorFrame: State.CLOSED},
        otherwise=Refusal("expected HELLO frame"),
    ),
    (Role.CLIENT, State.IDENTIFYING): _row(
        {ErrorFrame: State.CLOSED},
        otherwise=Refusal('unexpected frame op "{op}" before IDENTIFY'),
    ),
    (Role.CLIENT, State.DECIDING): _row(
        {Ready: State.ATTACHED, ErrorFrame: State.CLOSED},
        otherwise=Refusal("expected READY frame"),
    ),
    (Role.CLIENT, State.ATTACHED): _row(
        {EventFrame: State.ATTACHED, Ping: State.ATTACHED, ErrorFrame: State.CLOSED},
        otherwise=Refusal('unexpected frame op "{op}"'),
    ),
    (Role.CLIENT, State.CLOSED): _row({}, otherwise=State.CLOSED),
}
