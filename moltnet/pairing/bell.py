"""How whoever relays hears that there is something to do, without asking again and again."""

import attrs
import trio


@attrs.define(eq=False)
class Bell:
    """Rung by anybody, heard by one task. What rings while it is not listening is heard when it next does."""

    _rung: trio.Event = attrs.field(factory=trio.Event, init=False)
    _has_news: bool = attrs.field(default=True, init=False)

    def ring(self) -> None:
        """There is something to look at."""
        self._rung.set()

    def ring_news(self) -> None:
        """Something new waits in the store."""
        self._has_news = True
        self._rung.set()

    def listen(self) -> bool:
        """From now on a ring counts for the next ``wait``. Says whether there was news since the last time."""
        self._rung = trio.Event()
        news, self._has_news = self._has_news, False
        return news

    async def wait(self, until: float) -> None:
        """Wait until it rings, or until a time on Trio's clock. Always a checkpoint."""
        with trio.move_on_at(until):
            await self._rung.wait()
