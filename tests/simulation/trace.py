"""What happened in a run, in order: a digest that two runs of one seed must share, and lines that people read."""

import hashlib
import zlib
from typing import Final

import attrs
import trio

KEPT_LINES: Final = 4000


@attrs.define(eq=False)
class Trace:
    """Everything that is told to it counts for the digest. `wires`: lines of bytes are kept too, not only counted."""

    wires: bool = False
    lines: list[str] = attrs.field(factory=list)
    events: int = 0
    _digest: "hashlib._Hash" = attrs.field(factory=hashlib.sha256)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def note(self, kind: str, *words: object) -> None:
        """Something that a reader of the trace wants to see."""
        self._add(" ".join(map(str, (kind, *words))), keep=True)

    def wire(self, kind: str, name: str, data: bytes) -> None:
        self._add(f"{kind} {name} {len(data)} {zlib.crc32(data):08x}", keep=self.wires)

    def _add(self, text: str, *, keep: bool) -> None:
        line = f"{trio.current_time():12.6f} {text}"
        self._digest.update(line.encode() + b"\n")
        self.events += 1
        if keep:
            self.lines.append(line)
            if len(self.lines) > KEPT_LINES:
                del self.lines[: KEPT_LINES // 2]
