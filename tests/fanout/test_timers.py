"""One task that looks after many, each at its own time."""

import math
from contextlib import ExitStack

import attrs
import trio
import trio.testing
from trio.testing import MockClock

from moltnet.fanout.timers import Timers
from moltnet.protocol import limits


@attrs.define(eq=False)
class Clocked:
    """Wants to be looked at again and again."""

    every_seconds: float
    seen: list[float] = attrs.field(factory=list)

    def tick(self, now: float) -> float:
        self.seen.append(now)
        return now + self.every_seconds


async def test_each_is_looked_at_when_it_says(autojump_clock: MockClock) -> None:
    timers, slow, fast, never = Timers(), Clocked(10), Clocked(2.5), Clocked(math.inf)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        with ExitStack() as looking:
            for each in (slow, fast, never):
                looking.callback(timers.look_after(each).forget)
            await trio.sleep(10.01)
        nursery.cancel_scope.cancel()
    assert [time - began for time in fast.seen] == [0, 2.5, 5, 7.5, 10]
    assert [time - began for time in slow.seen] == [0, 10]
    assert [time - began for time in never.seen] == [0]


async def test_who_has_left_is_not_looked_at_and_not_kept(autojump_clock: MockClock) -> None:
    timers, gone, stays = Timers(), Clocked(2.5), Clocked(2.5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        timers.look_after(stays)
        timers.look_after(gone).forget()
        assert all(entry.timed is not gone for entry in timers._due)
        await trio.sleep(6)
        assert len(timers._due) == 1
        nursery.cancel_scope.cancel()
    assert len(gone.seen) == 1


async def test_many_that_are_due_at_nearly_the_same_time_wake_the_task_once(autojump_clock: MockClock) -> None:
    timers, many = Timers(), [Clocked(10) for _ in range(500)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        with ExitStack() as looking:
            for each in many:
                looking.callback(timers.look_after(each).forget)
                await trio.sleep(limits.TIMER_SLACK_SECONDS / 1000)
            await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(10)
        nursery.cancel_scope.cancel()
    assert len({each.seen[1] for each in many}) == 1
