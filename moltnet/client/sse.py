"""Server-sent events: bytes in, events out (HTML standard, "event stream interpretation"). No I/O here."""

import re
from typing import Final

import attrs

from moltnet.client.limits import MAX_SSE_EVENT_BYTES

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


class SseTooLarge(ValueError):
    """One event, or one line, is larger than the limit."""


@attrs.frozen
class ServerSentEvent:
    """One dispatched event. ``id`` is the newest id seen so far in the stream, as the standard has it."""

    type: str
    data: str
    id: str


@attrs.define(eq=False)
class SseParser:
    """The state between two pieces of a stream."""

    last_id: str = ""
    _max_bytes: int = attrs.field(default=MAX_SSE_EVENT_BYTES, kw_only=True)
    _pending: bytearray = attrs.field(factory=bytearray, init=False)
    _scanned: int = attrs.field(default=0, init=False)
    _begun: bool = attrs.field(default=False, init=False)
    _type: str = attrs.field(default="", init=False)
    _data: list[str] = attrs.field(factory=list, init=False)
    _data_bytes: int = attrs.field(default=0, init=False)

    def receive(self, data: bytes) -> list[ServerSentEvent]:
        """The events that ``data`` completes. Raises ``SseTooLarge``; the parser is of no use afterwards."""
        self._pending += data
        if not self._begun:
            if len(self._pending) < len(_BYTE_ORDER_MARK) and _BYTE_ORDER_MARK.startswith(self._pending):
                return []
            self._begun = True
            if self._pending.startswith(_BYTE_ORDER_MARK):
                del self._pending[: len(_BYTE_ORDER_MARK)]
        events = [event for line in self._lines() if (event := self._take(line)) is not None]
        if len(self._pending) + self._data_bytes > self._max_bytes:
            raise SseTooLarge(f"an event is larger than {self._max_bytes} bytes")
        return events

    def _lines(self) -> list[bytes]:
        """Complete lines, which end in CR LF, LF or CR. A CR at the very end waits: an LF may follow."""
        ends = [match.span() for match in _LINE_END.finditer(self._pending, self._scanned)]
        if ends and self._pending.endswith(b"\r"):
            ends.pop()
        lines: list[bytes] = []
        start = 0
        for end, following in ends:
            lines.append(bytes(self._pending[start:end]))
            start = following
        del self._pending[:start]
        self._scanned = len(self._pending) - self._pending.endswith(b"\r")
        return lines

    def _take(self, line: bytes) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
                self._data_bytes += len(line)
            case "event":
                self._type = value
            case "id" if "\0" not in value:
                self.last_id = value
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        data, kind = self._data, self._type
        self._data, self._type, self._data_bytes = [], "", 0
        if not data:
            return None
        return ServerSentEvent(kind or "message", "\n".join(data), self.last_id)
