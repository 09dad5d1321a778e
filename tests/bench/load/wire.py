"""HTTP/1.1 answers, event streams and WebSocket frames, as far as a load generator must understand them. No I/O.

Only the standard library: a generator that starts fast and does little can't be what a measurement shows.
"""

import re
import struct
from typing import Final

STAMP: Final = b"stamp=0000000000000000000;"
"""In a request: becomes the time of sending. In what readers receive it tells how long the message took."""
_STAMP: Final = re.compile(rb"stamp=(\d{19});")
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
_CURSOR: Final = re.compile(rb'"cursor":"([^"]+)"')
_HEAD_END: Final = b"\r\n\r\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"
_TEXT, _CLOSE = 0x81, 0x88


class WrongAnswer(Exception):
    """The server said something that the generator can't go on with."""


def stamped(request: bytes, now_ns: int) -> bytes:
    """The request with its time of sending, if it has a place for one."""
    return request.replace(STAMP, b"stamp=%019d;" % now_ns)


def stamps(data: bytes) -> list[int]:
    """The times of sending in received bytes."""
    return [int(digits) for digits in _STAMP.findall(data)]


class Answer:
    """One HTTP answer after another on a connection; ``feed`` tells when the present one is complete."""

    def __init__(self) -> None:
        self.head = b""
        self._missing: int | None = None
        self._tail = b""

    def feed(self, data: bytes) -> bool:
        """Raises ``WrongAnswer`` for any status but 2xx."""
        if self._missing is None and not self._tail:
            self.head += data
            start = self.head.find(_HEAD_END)
            if start < 0:
                return False
            data, self.head = self.head[start + len(_HEAD_END) :], self.head[: start + len(_HEAD_END)]
            if not self.head[9:10] == b"2":
                raise WrongAnswer((self.head + data).decode(errors="replace"))
            self._missing = _content_length(self.head)
        if self._missing is None:
            self._tail = (self._tail + data)[-len(_LAST_CHUNK) :]
            complete = self._tail == _LAST_CHUNK
        else:
            self._missing -= len(data)
            complete = self._missing <= 0
        if complete:
            self.head, self._missing, self._tail = b"", None, b""
        return complete


def _content_length(head: bytes) -> int | None:
    if _CHUNKED.search(head):
        return None
    length = _LENGTH.search(head)
    return 0 if length is None else int(length[1])


class Chunks:
    """The body of an endless chunked answer."""

    def __init__(self) -> None:
        self._buffer = b""
        self._in_head = True
        self._missing = 0

    @property
    def is_whole(self) -> bool:
        """Whether the bytes so far end where a chunk ends."""
        return not (self._in_head or self._buffer or self._missing)

    def feed(self, data: bytes) -> bytes:
        """The body's next bytes. Raises ``WrongAnswer`` for any status but 2xx."""
        self._buffer += data
        if self._in_head:
            end = self._buffer.find(_HEAD_END)
            if end < 0:
                return b""
            if not self._buffer[9:10] == b"2":
                raise WrongAnswer(self._buffer.decode(errors="replace"))
            self._buffer, self._in_head = self._buffer[end + len(_HEAD_END) :], False
        return b"".join(self._pieces())

    def _pieces(self) -> list[bytes]:
        pieces, at, data = [], 0, self._buffer
        while at < len(data):
            if self._missing:
                pieces.append(data[at : at + self._missing])
                at += len(pieces[-1])
                self._missing -= len(pieces[-1])
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                break
            # An empty line ends the chunk before it.
            if end > at:
                self._missing = int(data[at:end].split(b";")[0], 16)
            at = end + 2
        self._buffer = data[at:]
        return pieces


def upgrade_request(host: str, path: str, headers: str) -> bytes:
    """``headers`` are whole lines, each with its end. The key is the RFC's own example: nobody checks the answer."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    ).encode()


def text_frame(payload: bytes) -> bytes:
    """A client's frame. Its mask is zero, which is legal and spares the masking."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", _TEXT, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", _TEXT, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", _TEXT, 0x80 | 127, size)
    return head + b"\0\0\0\0" + payload


def whole_frames(data: bytes) -> int:
    """How many bytes at the start of ``data`` are complete frames of a server. Raises ``WrongAnswer`` at a CLOSE."""
    at, size = 0, len(data)
    while at + 2 <= size:
        length, head = data[at + 1] & 0x7F, 2
        if length == 126:
            head = 4
            if at + head > size:
                break
            length = data[at + 2] << 8 | data[at + 3]
        elif length == 127:
            head = 10
            if at + head > size:
                break
            (length,) = struct.unpack_from("!Q", data, at + 2)
        if at + head + length > size:
            break
        if data[at] == _CLOSE:
            raise WrongAnswer(f"the server closed: {data[at + head : at + head + length]!r}")
        at += head + length
    return at


def cursors(frames: bytes) -> list[bytes]:
    """The cursors of the EVENT frames in ``frames``. Texts can't fake one: in JSON their quotes are escaped."""
    return _CURSOR.findall(frames)
