"""What readers are sent of an event, in each spelling made once and shared by all of them.

A reader that takes bytes gets a whole WebSocket message or a whole chunk of HTTP, one that takes text an EVENT frame.
Who gets what is decided elsewhere (``moltnet.fanout.interest``).
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

import attrs

from moltnet.protocol import limits
from moltnet.protocol.codec import decode
from moltnet.protocol.events import Event, EventType
from moltnet.protocol.frames import event_frame
from moltnet.protocol.ids import NetworkId
from moltnet.protocol.messages import Target
from moltnet.storage.records import EventRecord

_TEXT = 0x81
"""The first byte of a text message that is a single frame (RFC 6455 §5.2)."""


class Sendable(Protocol):
    """What a link can be given: the same as texts, and as the bytes of whole WebSocket messages."""

    @property
    def texts(self) -> Sequence[str]: ...

    @property
    def messages(self) -> bytes: ...


def text_message(payload: bytes) -> bytes:
    """A text message as a server sends it: one frame, not masked."""
    size = len(payload)
    if size < 126:
        return bytes((_TEXT, size)) + payload
    if size < 1 << 16:
        return bytes((_TEXT, 126)) + size.to_bytes(2, "big") + payload
    return bytes((_TEXT, 127)) + size.to_bytes(8, "big") + payload


def chunk(data: bytes) -> bytes:
    """Data as one chunk of an HTTP/1.1 body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def stream_event(record: EventRecord) -> bytes:
    """An event as a server-sent event (HTTP API §5)."""
    return f"id: {record.id}\nevent: {record.type}\ndata: ".encode() + record.wire + b"\n\n"


@attrs.define(eq=False)
class Said:
    """One frame that is no event, such as PING."""

    text: str
    messages: bytes = attrs.field(init=False)

    @messages.default
    def _message(self) -> bytes:
        return text_message(self.text.encode())

    @property
    def texts(self) -> Sequence[str]:
        return (self.text,)


@attrs.define(eq=False)
class SharedFrame:
    """One event for all its readers. What nobody has asked for is not made."""

    record: EventRecord
    network_id: NetworkId
    _message: bytes | None = attrs.field(default=None, init=False)
    _text: str | None = attrs.field(default=None, init=False)
    _streamed: bytes | None = attrs.field(default=None, init=False)
    _target: Target | None = attrs.field(default=None, init=False)

    @property
    def text(self) -> str:
        """The EVENT frame, for a link that takes text."""
        if self._text is None:
            self._text = self._frame().decode()
        return self._text

    @property
    def message(self) -> bytes:
        """The EVENT frame as a whole WebSocket message."""
        if self._message is None:
            self._message = text_message(self._frame())
        return self._message

    @property
    def streamed(self) -> bytes:
        """The event as a server-sent event."""
        if self._streamed is None:
            self._streamed = stream_event(self.record)
        return self._streamed

    def target(self) -> Target | None:
        """Where the event's message was sent to. Raises ``DecodeError`` if the event is damaged."""
        if self._target is None and (message := decode(self.record.wire, Event).message) is not None:
            self._target = message.target
        return self._target

    def _frame(self) -> bytes:
        return event_frame(self.network_id, self.record.id, self.record.wire)


@attrs.define(eq=False)
class Batch:
    """Events that go out together, to every reader that may see just these of those that came.

    ``cursors`` are their ids, each its own value; ``addressed`` are all whom they mention or are sent to, ``removed``
    the agents whose end they tell.
    """

    frames: tuple[SharedFrame, ...]
    cursors: dict[str, str] = attrs.field(init=False)
    addressed: frozenset[str] = attrs.field(init=False)
    removed: frozenset[str] = attrs.field(init=False)
    _messages: bytes | None = attrs.field(default=None, init=False)
    _chunk: bytes | None = attrs.field(default=None, init=False)

    @cursors.default
    def _cursors(self) -> dict[str, str]:
        return {frame.record.id: frame.record.id for frame in self.frames}

    @addressed.default
    def _addressed(self) -> frozenset[str]:
        return frozenset(fqid for frame in self.frames for fqid in frame.record.addressed)

    @removed.default
    def _removed(self) -> frozenset[str]:
        return frozenset(frame.record.agent_id for frame in self.frames if frame.record.type == EventType.AGENT_REMOVED)

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def texts(self) -> Sequence[str]:
        return [frame.text for frame in self.frames]

    @property
    def messages(self) -> bytes:
        if self._messages is None:
            self._messages = b"".join([frame.message for frame in self.frames])
        return self._messages

    @property
    def chunk(self) -> bytes:
        """All of it as one chunk of an event stream."""
        if self._chunk is None:
            self._chunk = chunk(b"".join([frame.streamed for frame in self.frames]))
        return self._chunk


@attrs.define(eq=False)
class FrameCache:
    """The newest frames by their event's place in the log."""

    network_id: NetworkId
    _frames: OrderedDict[int, SharedFrame] = attrs.field(init=False, factory=OrderedDict)
    _size_bytes: int = attrs.field(init=False, default=0)

    def frame(self, record: EventRecord) -> SharedFrame:
        """The frame of an event. Records without a place of their own (``seq`` 0) are not kept."""
        frame = self._frames.get(record.seq)
        if frame is None:
            frame = SharedFrame(record, self.network_id)
            if record.seq:
                self._keep(record.seq, frame)
        return frame

    def batch(self, records: Sequence[EventRecord]) -> Batch:
        """Events that go out together."""
        return Batch(tuple(map(self.frame, records)))

    def _keep(self, seq: int, frame: SharedFrame) -> None:
        self._frames[seq] = frame
        self._size_bytes += len(frame.record.wire)
        while len(self._frames) > limits.SHARED_FRAMES or self._size_bytes > limits.SHARED_FRAME_BYTES:
            _, oldest = self._frames.popitem(last=False)
            self._size_bytes -= len(oldest.record.wire)


def fitting(records: Sequence[EventRecord], size_bytes: int) -> Sequence[EventRecord]:
    """The first of them that take no more than so much together; at least one."""
    left = size_bytes
    for place, record in enumerate(records):
        left -= len(record.wire)
        if left < 0:
            return records[: max(1, place)]
    return records
