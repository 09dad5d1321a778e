"""What peers have not taken yet, of all connections together: a bounded amount, whoever asks for how much.

One peer that reads slowly is its connection's business, which bounds the time. Thousands of them that each ask for the
largest answer and take none of it would hold gigabytes within that time; here the slowest of them are cut off first.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs
import trio

from moltnet.log import get_logger
from moltnet.protocol import limits

log = get_logger("http")


@attrs.define(eq=False)
class Waiting:
    """One write that its peer has not taken whole. ``since`` is when the peer took something last."""

    size_bytes: int
    cut: Callable[[], None]
    since: float


@attrs.define(eq=False)
class Backlog:
    """Nothing here waits. Whose peer has taken nothing for longest comes first."""

    held_bytes: int = attrs.field(default=0, init=False)
    _waiting: dict[Waiting, None] = attrs.field(factory=dict, init=False)

    @contextmanager
    def held(self, size_bytes: int, cut: Callable[[], None]) -> Iterator[Callable[[], None]]:
        """Count what is being written while the block lasts; it calls what it is given when its peer has taken some.

        ``cut`` is called when too much waits, and nobody has waited longer.
        """
        waiting = Waiting(size_bytes, cut, trio.current_time())

        def took_some() -> None:
            if waiting in self._waiting:
                del self._waiting[waiting]
                self._waiting[waiting] = None
                waiting.since = trio.current_time()

        self._waiting[waiting] = None
        self.held_bytes += size_bytes
        self._make_room()
        try:
            yield took_some
        finally:
            self._forget(waiting)

    def _forget(self, waiting: Waiting) -> None:
        if waiting in self._waiting:
            del self._waiting[waiting]
            self.held_bytes -= waiting.size_bytes

    def _make_room(self) -> None:
        moment = trio.current_time() - limits.SLOW_PEER_SECONDS
        while self.held_bytes > limits.MAX_UNWRITTEN_BYTES:
            slowest = next(iter(self._waiting))
            if slowest.since > moment:
                return  # a burst: every peer has just taken something
            self._forget(slowest)
            log.warning("slow peer cut off: too much waits to be taken", held_bytes=self.held_bytes)
            slowest.cut()
