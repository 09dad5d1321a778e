"""What a command printed, within bounds: the text that is kept of it, and its lines as they come in. Pure."""

from collections.abc import Iterator

import attrs


@attrs.define(eq=False)
class Excerpt:
    """The first and the last bytes of a stream of any length; what was between them is counted and dropped."""

    head_bytes: int
    tail_bytes: int
    _head: bytearray = attrs.field(factory=bytearray, init=False)
    _tail: bytearray = attrs.field(factory=bytearray, init=False)
    dropped_bytes: int = attrs.field(default=0, init=False)

    @property
    def truncated(self) -> bool:
        """Whether something is missing in `text`."""
        return self.dropped_bytes > 0

    def add(self, chunk: bytes) -> None:
        """Take the next bytes of the stream. No more than `head_bytes` + `tail_bytes` of it are held."""
        room = self.head_bytes - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        if (excess := len(self._tail) - self.tail_bytes) > 0:
            del self._tail[:excess]
            self.dropped_bytes += excess

    def text(self) -> str:
        """What is kept, with a note where something is missing. Bytes that are not UTF-8 are replaced."""
        note = f"\n[… {self.dropped_bytes} bytes left out …]\n".encode() if self.truncated else b""
        return (self._head + note + self._tail).decode(errors="replace")


@attrs.define(eq=False)
class LineSplitter:
    """Cuts a stream into lines. One longer than `max_line_bytes` is skipped and counted: half a line helps nobody."""

    max_line_bytes: int
    _pending: bytearray = attrs.field(factory=bytearray, init=False)
    _skipping: bool = attrs.field(default=False, init=False)
    skipped_lines: int = attrs.field(default=0, init=False)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The lines that end in `chunk`, without their line ends. Iterate it to its end before the next call."""
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            self._take(piece)
            yield from self._finish()
        self._take(rest)

    def close(self) -> Iterator[bytes]:
        """The last line, if the stream did not end with a line end."""
        if self._pending or self._skipping:
            yield from self._finish()

    def _take(self, piece: bytes) -> None:
        if self._skipping or len(self._pending) + len(piece) > self.max_line_bytes:
            self._skipping = True
            self._pending.clear()
        else:
            self._pending += piece

    def _finish(self) -> Iterator[bytes]:
        if self._skipping:
            self._skipping = False
            self.skipped_lines += 1
        else:
            line = bytes(self._pending)
            self._pending.clear()
            yield line.removesuffix(b"\r")
