"""Frames of the attach protocol, one class per op (attach protocol §2).

``parse_frame`` reads one text message; ``encode_frame`` writes one. Which frame is allowed when is the session's
business (``moltnet.protocol.attachment``).
"""

import re
from typing import Any, ClassVar, Final

import attrs

from moltnet.protocol.agents import About
from moltnet.protocol.codec import DecodeError, Problem, encode, parse_json, structure, wire
from moltnet.protocol.errors import ProtocolViolation
from moltnet.protocol.limits import MAX_ERROR_CHARACTERS, MAX_QUOTED_CHARACTERS
from moltnet.protocol.messages import Actor
from moltnet.protocol.network import ATTACH_PROTOCOL


@attrs.frozen
class FrameCapabilities:
    rooms: bool = False
    threads: bool = False
    dms: bool = False
    artifacts: bool = False


@attrs.frozen
class Hello:
    OP: ClassVar[str] = "HELLO"
    heartbeat_interval_ms: int = 0
    # Ours: the server takes ``Identify.about``. Go clients ignore it.
    takes_about: bool = False
    version: str = ""
    capabilities: FrameCapabilities = attrs.field(default=FrameCapabilities(), metadata=wire(always=True))


@attrs.frozen
class Identify:
    OP: ClassVar[str] = "IDENTIFY"
    network_id: str = ""
    agent: Actor | None = None
    cursor: str = ""
    about: About | None = None
    version: str = ""
    capabilities: FrameCapabilities = attrs.field(default=FrameCapabilities(), metadata=wire(always=True))


@attrs.frozen
class Ready:
    OP: ClassVar[str] = "READY"
    network_id: str = ""
    agent_id: str = ""
    actor_uid: str = ""
    actor_uri: str = ""
    agent_token: str = attrs.field(default="", repr=False)
    # Ours: the event that this session resumes after. A client that keeps it at once loses nothing to a crash before
    # its first event. Go clients ignore it.
    cursor: str = ""
    version: str = ""
    capabilities: FrameCapabilities = attrs.field(default=FrameCapabilities(), metadata=wire(always=True))


@attrs.frozen
class EventFrame:
    OP: ClassVar[str] = "EVENT"
    network_id: str = ""
    cursor: str = ""
    # As it came: one that a client can't read must not cost it the session, so the session reads it.
    event: dict[str, Any] | None = None
    version: str = ""
    capabilities: FrameCapabilities = attrs.field(default=FrameCapabilities(), metadata=wire(always=True))


@attrs.frozen
class Ack:
    OP: ClassVar[str] = "ACK"
    cursor: str = ""
    version: str = ""


@attrs.frozen
class Ping:
    OP: ClassVar[str] = "PING"
    version: str = ""
    capabilities: FrameCapabilities = attrs.field(default=FrameCapabilities(), metadata=wire(always=True))


@attrs.frozen
class Pong:
    OP: ClassVar[str] = "PONG"
    version: str = ""
    capabilities: FrameCapabilities = attrs.field(default=FrameCapabilities(), metadata=wire(always=True))


@attrs.frozen
class ErrorFrame:
    OP: ClassVar[str] = "ERROR"
    error: str = ""
    version: str = ""
    capabilities: FrameCapabilities = attrs.field(default=FrameCapabilities(), metadata=wire(always=True))


@attrs.frozen
class UnknownFrame:
    """An op that we don't know. Kept as a value, so that the session decides what to answer."""

    op: str
    version: str = ""


Frame = Hello | Identify | Ready | EventFrame | Ack | Ping | Pong | ErrorFrame | UnknownFrame
_BY_OP: Final[dict[str, type[Any]]] = {
    cls.OP: cls for cls in (Hello, Identify, Ready, EventFrame, Ack, Ping, Pong, ErrorFrame)
}
# Only these may come without a version (attach protocol §2).
_VERSION_OPTIONAL: Final = frozenset({Ack.OP, Pong.OP})


def parse_frame(text: str) -> Frame:
    """One text message to a frame. Raises ``ProtocolViolation`` with the text for the peer's ERROR frame."""
    try:
        value = parse_json(text)
        if value is None:
            value = {}
        if type(value) is not dict:
            raise DecodeError(Problem("$", "must be an object"))
        op, version = value.get("op") or "", value.get("version") or ""
        if type(op) is not str or type(version) is not str:
            raise DecodeError(Problem("$", "op and version must be strings"))
        cls = _BY_OP.get(op)
        frame: Frame = UnknownFrame(op, version) if cls is None else structure(value, cls)
    except DecodeError as error:
        # A message about a value may repeat the value.
        reason = str(error)[:MAX_ERROR_CHARACTERS]
        raise ProtocolViolation(f"attachment frame must be valid JSON of the attach protocol: {reason}") from error
    return frame


_VERSION: Final = rf'"version": ?"{re.escape(ATTACH_PROTOCOL)}"'
# An ACK as clients really write it: ours, the reference's, those of the protocol's page. Whoever writes it in another
# way is read like any other frame.
_ACK: Final = re.compile(
    rf'\{{ ?"op": ?"ACK", ?(?:{_VERSION}, ?)?(?:"capabilities": ?\{{\}}, ?)?'
    rf'"cursor": ?"([A-Za-z0-9_.:-]{{1,128}})"(?:, ?{_VERSION})? ?\}}\n?'
)


def acked_cursor(text: str | bytes) -> str:
    """What an ACK of the usual spelling settles; empty for every other message, an unusual ACK among them."""
    found = _ACK.fullmatch(text) if isinstance(text, str) else None
    return "" if found is None else found[1]


def op_of(frame: Frame) -> str:
    """The op as it stands on the wire; of an unknown frame as it came, which may be empty."""
    return frame.op if isinstance(frame, UnknownFrame) else frame.OP


def version_problem(frame: Frame) -> str | None:
    """Why the frame's version is not acceptable; ``None`` if it is."""
    op = op_of(frame)
    label = op[:MAX_QUOTED_CHARACTERS] or "frame"
    if not frame.version:
        return None if op in _VERSION_OPTIONAL else f"attachment {label} version is required"
    if frame.version != ATTACH_PROTOCOL:
        return (
            f'attachment {label} version "{frame.version[:MAX_QUOTED_CHARACTERS]}" does not match "{ATTACH_PROTOCOL}"'
        )
    return None


def encode_frame(frame: Frame) -> str:
    """A frame as one line of JSON; the version is always ours."""
    if isinstance(frame, UnknownFrame):
        raise TypeError("an unknown frame is only ever received")
    body = encode(attrs.evolve(frame, version=ATTACH_PROTOCOL)).decode()
    return f'{{"op":"{frame.OP}",{body[1:]}\n'


def event_frame(network_id: str, cursor: str, event: bytes) -> bytes:
    """The EVENT frame around an event's stored JSON, spliced instead of encoded again. Ids need no escaping."""
    return b'{"op":"EVENT","version":"%b","network_id":"%b","capabilities":{},"cursor":"%b","event":%b}\n' % (
        ATTACH_PROTOCOL.encode(),
        network_id.encode(),
        cursor.encode(),
        event,
    )


def event_frame_text(network_id: str, cursor: str, event: bytes) -> str:
    """The same as text."""
    return event_frame(network_id, cursor, event).decode()
