"""A runtime that does what a test tells it, and remembers its turns."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import trio

from bridge.config import AttachmentConfig
from bridge.runtimes.runtime import Runtime, Turn

Script = Callable[[Turn], Awaitable[None]]


async def succeed(_turn: Turn) -> None:
    await trio.lowlevel.checkpoint()


async def never_end(_turn: Turn) -> None:
    await trio.sleep_forever()


@attrs.define(eq=False)
class FakeRuntime:
    """`script` is one turn. `begun` and `finished` are message ids, in order; a batch is named by its newest."""

    script: Script = succeed
    turns: list[Turn] = attrs.field(factory=list)
    finished: list[str] = attrs.field(factory=list)
    running: int = 0
    most_running: int = 0
    _changed: trio.Event = attrs.field(factory=trio.Event)

    @property
    def begun(self) -> list[str]:
        return [turn.message_id for turn in self.turns]

    async def run_turn(self, turn: Turn) -> None:
        self.turns.append(turn)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self._note_change()
        try:
            await self.script(turn)
        finally:
            self.running -= 1
        self.finished.append(turn.message_id)
        self._note_change()

    async def wait_until(self, condition: Callable[["FakeRuntime"], bool]) -> None:
        while not condition(self):
            await self._changed.wait()

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    @asynccontextmanager
    async def open(self, _config: AttachmentConfig) -> AsyncIterator[Runtime]:
        """In the place of `bridge.runtimes.registry.open_runtime`."""
        yield self


@attrs.define(eq=False)
class Gate:
    """A script whose turns wait at their beginning until the test lets them go, by message id."""

    _open: dict[str, trio.Event] = attrs.field(factory=dict)

    def let(self, message_id: str) -> None:
        self._of(message_id).set()

    async def __call__(self, turn: Turn) -> None:
        await self._of(turn.message_id).wait()

    def _of(self, message_id: str) -> trio.Event:
        return self._open.setdefault(message_id, trio.Event())
