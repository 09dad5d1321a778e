"""What is due at a time of its own for each of many readers: one task looks after them all.

A timer of one's own would be a task, or a deadline among Trio's, for each of thousands that nearly never do anything.
"""

import math
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

import attrs
import trio

from moltnet.protocol import limits


class Timed(Protocol):
    def tick(self, now: float) -> float:
        """Do what is due, and say when to look again: never, if that is infinite. Neither waits nor raises."""
        ...


@attrs.define(eq=False, order=False)
class Entry:
    """One that is looked after."""

    due: float
    _number: int
    timed: Timed | None

    def forget(self) -> None:
        """Look after it no more. What is left of the entry goes when its time comes."""
        self.timed = None

    def __lt__(self, other: "Entry") -> bool:
        return (self.due, self._number) < (other.due, other._number)


@attrs.define(eq=False)
class Timers:
    """Who has to be looked at when."""

    _due: list[Entry] = attrs.field(init=False, factory=list)
    _numbers: "count[int]" = attrs.field(init=False, factory=count)
    _nap: trio.CancelScope | None = attrs.field(init=False, default=None)

    def look_after(self, timed: Timed) -> "Entry":
        """Tick now, and then whenever it says, until it is forgotten."""
        entry = Entry(timed.tick(trio.current_time()), next(self._numbers), timed)
        self._add(entry)
        return entry

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._look(trio.current_time())
            with trio.CancelScope(deadline=self._due[0].due if self._due else math.inf) as self._nap:
                await trio.sleep_forever()
            self._nap = None

    def _add(self, entry: Entry) -> None:
        if entry.due == math.inf:
            return
        heappush(self._due, entry)
        if self._nap is not None and entry.due < self._nap.deadline:
            self._nap.deadline = entry.due

    def _look(self, now: float) -> None:
        # Who is nearly due is taken along, so that thousands of timers do not wake this task thousands of times.
        moment, again = now + limits.TIMER_SLACK_SECONDS, list[Entry]()
        while self._due and self._due[0].due <= moment:
            entry = heappop(self._due)
            if entry.timed is not None:
                entry.due = entry.timed.tick(now)
                again.append(entry)
        for entry in again:
            self._add(entry)
