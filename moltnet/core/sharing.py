"""What callers have used up at one server of several, told to the others: nobody gets more by going around.

Not with every request. What was used up is said together, a few times a second, and the answer is what all servers
counted; until then each goes by what it knows. So a caller who asks ``n`` servers at once may use its burst up at each
of them, but what it took too much it owes: in the long run it gets its rate, once.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from moltnet.core.admission import Admission
from moltnet.protocol import limits
from moltnet.storage.spending import Spending, Spent
from moltnet.storage.store import StorageError


@asynccontextmanager
async def open_sharing(admission: Admission) -> AsyncIterator[None]:
    """Share what ``admission`` counts, for as long as the block runs, if there is anybody to share with."""
    if admission.spending is None:
        yield
        return
    sharing = _Sharing(admission, admission.spending)
    admission.hurry = sharing.hurry
    running = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sharing.run, running)
        try:
            yield
        finally:
            running.cancel(reason="the server ends")


@attrs.define(eq=False)
class _Sharing:
    admission: Admission
    spending: Spending
    _hurried: trio.Event = attrs.field(init=False, factory=trio.Event)

    def hurry(self) -> None:
        self._hurried.set()

    async def run(self, scope: trio.CancelScope) -> None:
        with scope:
            while True:
                with trio.move_on_after(limits.SHARE_SPENT_SECONDS):
                    await self._hurried.wait()
                self._hurried = trio.Event()
                await self._share()

    async def _share(self) -> None:
        """Say what was used up here, and hear what was used up everywhere."""
        left, asked_at = limits.MAX_SHARED_BUCKETS, self.admission.clock()
        said = {}
        for name, limiter in self.admission.shared_rates().items():
            said[name] = limiter, limiter.take_spent(left, asked_at)
            left -= len(said[name][1])
        spent = [
            Spent(f"{name} {key}", *seconds) for name, (_, buckets) in said.items() for key, seconds in buckets.items()
        ]
        if not spent:
            return
        if not left:
            self.hurry()  # there is more
        try:
            full_in = iter(await self.spending.spend(spent))
        except StorageError:
            # The store tells the log. If it was counted all the same, a caller pays twice for half a second.
            for limiter, buckets in said.values():
                limiter.give_back_spent(buckets)
            return
        for limiter, buckets in said.values():
            for key in buckets:
                limiter.catch_up(key, next(full_in), asked_at)
