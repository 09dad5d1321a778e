"""Where a run could differ from the run before: chance, clocks, threads and the scheduler, all taken from one seed.

The product needs no switch for it. Trio has hooks for its scheduler, sockets and names; chance, the wall clock and
threads are reached through few functions, which are replaced while a simulation runs, and only then.
"""

import contextvars
import gc
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace
from typing import Any, Final, TypeVar

import attrs
import pytest
import trio
import trio.testing
from trio._core import _run as trio_scheduler

from moltnet.protocol import ids

Result = TypeVar("Result")

EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""What the wall clock shows when the virtual clock shows zero."""


# Without a deadline the virtual clock does not jump, and the scheduler looks again and again.
_MOST_IDLE_ROUNDS: Final = 1_000


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Inside, everything that product and libraries take from chance follows from `seed`. Not to be nested."""
    drawn = random.Random(f"drawn by the product {seed}")
    state = trio_scheduler._r.getstate()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio_scheduler, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
        trio_scheduler._r.seed(f"scheduler {seed}")
        patch.setattr(os, "urandom", drawn.randbytes)
        patch.setattr(random, "_urandom", drawn.randbytes)  # behind `secrets`
        patch.setattr("moltnet.backoff.random", SimpleNamespace(Random=lambda: random.Random(drawn.getrandbits(64))))
        patch.setattr("moltnet.protocol.times.datetime", _Clock)
        for place in ("time.time", "hypercorn.config.time", "moltnet.lane.connection.time"):
            patch.setattr(place, _unix_seconds)
        patch.setattr(time, "perf_counter", _virtual_seconds)
        patch.setattr(trio.to_thread, "run_sync", _run_inline)
        ids._random._pieces.clear()
        # What a collector closes, it closes at a moment that nobody has drawn.
        gc.disable()
        try:
            yield
        finally:
            gc.enable()
            ids._random._pieces.clear()
            trio_scheduler._r.setstate(state)


@attrs.define(eq=False)
class StepLimit(trio.abc.Instrument):
    """Ends a run that goes on for ever at one moment, or in which everybody waits for somebody: there virtual time is
    no bound."""

    most: int
    on_excess: Callable[[str], None]
    steps: int = 0
    _idle_rounds: int = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps += 1
        self._idle_rounds = 0
        if self.steps == self.most:
            self.on_excess(f"more than {self.most} steps of tasks")

    def before_io_wait(self, timeout: float) -> None:
        self._idle_rounds += 1
        if self._idle_rounds == _MOST_IDLE_ROUNDS:
            self.on_excess("everybody waits for somebody")


def run_virtually(main: Callable[[], Awaitable[Result]], limit: StepLimit) -> Result:
    """Run `main` on a clock that jumps to the next deadline whenever nothing can go on."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    clock._real_clock = lambda: 0.0  # it stands still, and must not ask us, who would ask it
    return trio.run(main, clock=clock, instruments=[limit])


def _virtual_seconds() -> float:
    try:
        return trio.current_time()
    except RuntimeError:  # before and after the run
        return 0.0


def _unix_seconds() -> float:
    return EPOCH.timestamp() + _virtual_seconds()


class _Clock(datetime):
    """In the place of `datetime` where the wall clock is read."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return (EPOCH + timedelta(seconds=_virtual_seconds())).astimezone(tz)


@contextmanager
def work_of(gate: Callable[[], Awaitable[None]]) -> Iterator[None]:
    """What is done in threads by tasks of this block goes through `gate` first, which may take its time, or raise."""
    token = _gate.set(gate)
    try:
        yield
    finally:
        _gate.reset(token)


_gate: contextvars.ContextVar[Callable[[], Awaitable[None]]] = contextvars.ContextVar(
    "gate", default=trio.lowlevel.checkpoint
)


async def _run_inline(
    work: Callable[..., Result],
    *args: Any,
    thread_name: str | None = None,
    abandon_on_cancel: bool = False,
    limiter: trio.CapacityLimiter | None = None,
) -> Result:
    """`trio.to_thread.run_sync` without a thread: waits for its turn, as there, then cannot be interrupted."""
    await trio.lowlevel.checkpoint_if_cancelled()
    async with limiter if limiter is not None else nullcontext():
        scope = trio.CancelScope(shield=not abandon_on_cancel)
        with scope:
            await _gate.get()()
            result = work(*args)
    return result
