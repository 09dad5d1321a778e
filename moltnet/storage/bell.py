"""How a task that others have work for is woken: any number of rings wake it once."""

import attrs
import trio


@attrs.define(eq=False)
class Bell:
    """For one task that waits. It clears the bell before it looks for work, so that no ring goes unnoticed."""

    _rung: trio.Event = attrs.field(init=False, factory=trio.Event)

    def ring(self) -> None:
        self._rung.set()

    def clear(self) -> None:
        if self._rung.is_set():
            self._rung = trio.Event()

    async def wait(self) -> None:
        await self._rung.wait()
