"""What a client's WebSocket frames say: the usual ones read strictly and at once, all others as wsproto reads them.

Usual is one whole frame, masked, that is a text, a ping or a pong; an agent's ACKs are all of this kind. At the first
frame that is anything else (fragments, binary data, a close frame, a mistake), wsproto takes over for the rest of the
connection. Neither knows a socket, and both hold at most one message.
"""

from collections.abc import Iterator
from io import BytesIO, StringIO
from typing import Final

import attrs
from wsproto.frame_protocol import Frame, FrameProtocol, Opcode, ParseFailed

from moltnet.protocol import limits
from moltnet.protocol.errors import ProtocolViolation

NO_STATUS: Final = 1005
_TEXT, _PING, _PONG = 0x81, 0x89, 0x8A
_MASKED: Final = 0x80
_LONG, _LONGEST = 126, 127
_MASK_BYTES: Final = 4
# A control frame holds no more (RFC 6455 §5.5).
_MAX_CONTROL_BYTES: Final = 125
_CLOSE: Final = 0x88


@attrs.frozen
class Pinged:
    """Asked for a pong with this payload."""

    payload: bytes


@attrs.frozen
class Closed:
    """The client says goodbye; ``code`` is 1005 if it says no more."""

    code: int
    reason: str


Heard = str | bytes | Pinged | Closed


_NOTHING: Final = Closed(0, "")
"""Stands for a pong, which tells nobody anything."""


class BadFrame(Exception):
    """The client does not speak WebSocket; ``code`` is what RFC 6455 §7.4 has for that."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def pong(payload: bytes) -> bytes:
    """The answer to a ping, as bytes on the wire."""
    return bytes((_PONG, len(payload))) + payload


def close_frame(code: int, reason: str) -> bytes:
    """A goodbye, as bytes on the wire. What does not fit of the reason is left out; 1005 is sent as no code at all."""
    payload = b""
    if code != NO_STATUS:
        # Two bytes of it are the code; cut within a character, it would be no text.
        short = reason.encode()[: _MAX_CONTROL_BYTES - 2].decode(errors="ignore").encode()
        payload = code.to_bytes(2, "big") + short
    return bytes((_CLOSE, len(payload))) + payload


@attrs.define(eq=False)
class ClientFrames:
    """Reads the frames of one client. ``wanted_bytes`` is how much more the next message is known to need."""

    wanted_bytes: int = attrs.field(default=0, init=False)
    _slow: "_AllFrames | None" = attrs.field(default=None, init=False)

    def next(self, received: bytearray) -> Heard | None:
        """What comes next, taken from the front of what was received; ``None`` if more has to be received.

        Raises ``BadFrame``, and ``ProtocolViolation`` (1009) for a message that is larger than any may be.
        """
        heard: Heard | None = _NOTHING
        while self._slow is None and heard is _NOTHING:
            heard = self._usual(received)
        return heard if self._slow is None else self._slow.next(received)

    def _usual(self, received: bytearray) -> Heard | None:
        """A frame of the usual kind, ``_NOTHING`` if it says nothing; ``None`` if it is not whole, or not usual."""
        self.wanted_bytes = 0
        if len(received) < 2:
            if received and received[0] not in (_TEXT, _PING, _PONG):
                self._slow = _AllFrames()
            return None
        kind, size = received[0], received[1] ^ _MASKED
        head = 2 + _MASK_BYTES
        if kind not in (_TEXT, _PING, _PONG) or size > _LONGEST or (size >= _LONG and kind != _TEXT):
            self._slow = _AllFrames()
            return None
        if size >= _LONG:
            head += 2 if size == _LONG else 8
            if len(received) < head:
                return None
            size, announced = int.from_bytes(received[2 : head - _MASK_BYTES], "big"), size
            if size < _LONG or (announced == _LONGEST and size < 1 << 16) or size >= 1 << 63:
                self._slow = _AllFrames()  # longer written than need be, which is a mistake
                return None
            if size > limits.MAX_FRAME_BYTES:
                raise too_big()
        end = head + size
        if len(received) < end:
            self.wanted_bytes = end - len(received)
            return None
        payload = _unmasked(received[head - _MASK_BYTES : head], received[head:end])
        del received[:end]
        if kind == _TEXT:
            try:
                return payload.decode()
            except UnicodeDecodeError:
                raise BadFrame(1007, "a text that is not UTF-8") from None
        return Pinged(payload) if kind == _PING else _NOTHING


def _unmasked(mask: bytearray, payload: bytearray) -> bytes:
    size = len(payload)
    repeated = (mask * (size // _MASK_BYTES + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(repeated, "little")).to_bytes(size, "little")


def too_big() -> ProtocolViolation:
    return ProtocolViolation(f"attachment frame must be {limits.MAX_FRAME_BYTES} bytes or fewer", close_code=1009)


@attrs.define(eq=False)
class _AllFrames:
    """Everything that RFC 6455 allows, without extensions."""

    _protocol: FrameProtocol = attrs.field(factory=lambda: FrameProtocol(client=False, extensions=[]), init=False)
    _heard: Iterator[Frame] | None = attrs.field(default=None, init=False)
    _text: StringIO = attrs.field(factory=StringIO, init=False)
    _data: BytesIO = attrs.field(factory=BytesIO, init=False)
    _size_bytes: int = attrs.field(default=0, init=False)

    def next(self, received: bytearray) -> Heard | None:
        """The next message, from pieces that may have come one by one."""
        try:
            while True:
                if self._heard is None:
                    if not received:
                        return None
                    self._protocol.receive_bytes(bytes(received))
                    received.clear()
                    self._heard = iter(self._protocol.received_frames())
                frame = next(self._heard, None)
                if frame is None:
                    self._heard = None
                elif (heard := self._take(frame)) is not None:
                    return heard
        except ParseFailed as failure:
            raise BadFrame(failure.code, str(failure)) from failure

    def _take(self, frame: Frame) -> Heard | None:
        match frame:
            case Frame(opcode=Opcode.PING, payload=bytes() | bytearray() as payload):
                return Pinged(bytes(payload))
            case Frame(opcode=Opcode.CLOSE, payload=(code, reason)):
                return Closed(int(code), reason or "")
            case Frame(opcode=Opcode.TEXT, payload=str() as text, message_finished=is_whole):
                self._count(len(text.encode()))
                self._text.write(text)
                if is_whole:
                    whole, self._text, self._size_bytes = self._text.getvalue(), StringIO(), 0
                    return whole
            case Frame(opcode=Opcode.BINARY, payload=bytes() | bytearray() as data, message_finished=is_whole):
                self._count(len(data))
                self._data.write(data)
                if is_whole:
                    found, self._data, self._size_bytes = self._data.getvalue(), BytesIO(), 0
                    return found
        return None

    def _count(self, size_bytes: int) -> None:
        self._size_bytes += size_bytes
        if self._size_bytes > limits.MAX_FRAME_BYTES:
            raise too_big()
