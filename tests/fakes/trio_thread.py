"""A Trio loop beside a test that is synchronous, as Hypothesis's state machines are."""

import queue
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Generic, TypeVar

import outcome
import trio

_END_SECONDS: Final = 60
Answer = TypeVar("Answer")
Resource = TypeVar("Resource")


class TrioThread:
    """A Trio loop in a thread of its own, for a test that is synchronous and keeps something open between its steps."""

    def __init__(self) -> None:
        self._tokens: queue.SimpleQueue[trio.lowlevel.TrioToken] = queue.SimpleQueue()
        self._end = trio.Event()
        # A loop that hangs fails its test; it holds up neither the next one nor the end of the run.
        self._thread = threading.Thread(target=trio.run, args=(self._main,), daemon=True)
        self._thread.start()
        self._token = self._tokens.get()

    def run(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        async def in_trio() -> Answer:
            return await call()

        return trio.from_thread.run(in_trio, trio_token=self._token)

    def close(self) -> None:
        trio.from_thread.run_sync(self._end.set, trio_token=self._token)
        self._thread.join(_END_SECONDS)
        assert not self._thread.is_alive(), "the loop does not end"

    async def _main(self) -> None:
        self._tokens.put(trio.lowlevel.current_trio_token())
        await self._end.wait()


class HeldOpen(Generic[Resource]):
    """A resource with tasks of its own, open in a task of a `TrioThread` until it is closed.

    Only the task that opened a nursery can leave it.
    """

    def __init__(self, thread: TrioThread, opening: Callable[[], AbstractAsyncContextManager[Resource]]) -> None:
        self._thread = thread
        self._opening = opening
        self._close = trio.Event()
        self._closed = trio.Event()
        self.resource = thread.run(self._open)

    def close(self) -> None:
        """Raises what the resource raised."""

        async def close() -> outcome.Outcome[None]:
            self._close.set()
            await self._closed.wait()
            return self._end

        self._thread.run(close).unwrap()

    async def _open(self) -> Resource:
        opened = trio.Event()
        found: list[Resource] = []

        async def hold() -> None:
            async with self._opening() as resource:
                found.append(resource)
                opened.set()
                await self._close.wait()

        async def run() -> None:
            self._end = await outcome.acapture(hold)
            opened.set()
            self._closed.set()

        trio.lowlevel.spawn_system_task(run)
        await opened.wait()
        if not found:
            self._end.unwrap()
        return found[0]
