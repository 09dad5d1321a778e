"""What callers have used up at all guests of one host: a time for each bucket that is not full."""

from collections.abc import Sequence

import attrs
import trio

from moltnet.storage import limits
from moltnet.storage.hosted.link import Link
from moltnet.storage.spending import Spent


@attrs.define(eq=False)
class Buckets:
    """The host's, by when they are full again on its clock."""

    _full_at: dict[str, float] = attrs.field(init=False, factory=dict)
    _sweep_at: float = attrs.field(init=False, default=0.0)

    def spend(self, spent: Sequence[Spent]) -> Sequence[float]:
        """As ``Spending.spend``."""
        now = trio.current_time()
        self._sweep(now)
        for each in spent:
            missing = now + each.missing_seconds
            known = self._full_at.get(each.bucket)
            self._full_at[each.bucket] = missing if known is None else max(missing, known + each.seconds)
        return [self._full_at[each.bucket] - now for each in spent]

    def take(self, bucket: str, seconds: float, most_seconds: float) -> float:
        """As ``Spending.take``."""
        now = trio.current_time()
        full_at = max(now, self._full_at.get(bucket, now))
        if full_at > now + most_seconds:
            return full_at - now - most_seconds
        self._full_at[bucket] = full_at + seconds
        return 0.0

    def _sweep(self, now: float) -> None:
        if now >= self._sweep_at:
            self._sweep_at = now + limits.BUCKET_SWEEP_SECONDS
            self._full_at = {bucket: full_at for bucket, full_at in self._full_at.items() if full_at > now}


@attrs.define(eq=False)
class GuestBuckets:
    """What ``Spending`` promises, at a guest."""

    _link: Link

    async def spend(self, spent: Sequence[Spent]) -> Sequence[float]:
        full_in: Sequence[float] = await self._link.call("spend", tuple(spent))
        return full_in

    async def take(self, bucket: str, *, seconds: float, most_seconds: float) -> float:
        wait_seconds: float = await self._link.call("take", bucket, seconds, most_seconds)
        return wait_seconds
