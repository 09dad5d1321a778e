"""How often something may happen: a rate limiter, without a clock of its own.

A token bucket for each key: it holds at most ``burst`` tokens, gains ``per_second`` of them each second, and everything
that happens takes one. What is kept of a bucket is one number, the time at which it will be full (the "generic cell
rate algorithm" of telephone networks), so a bucket that is full is a bucket that is forgotten.

Where several servers serve one network, each keeps note of what was taken from it and is told now and then what all
others took (``moltnet.core.sharing``).
"""

import itertools
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import attrs

from moltnet.config.server_limits import Rate
from moltnet.protocol.limits import MAX_LIMITED_CALLERS

# Buckets that are looked at with each new one, to drop the full: more than one, so that their number falls.
SWEPT_KEYS: Final = 2
# Less than any clock can tell apart: what is left of a wait when numbers are rounded.
CLOCK_SECONDS: Final = 1e-6


@attrs.define(eq=False)
class RateLimiter:
    """Any number of callers, each with a bucket of its own. Every call takes the same time, however many there are.

    ``now`` is any clock in seconds that does not run backwards. Without a ``rate`` everything is allowed. ``is_shared``
    says that others take from the same buckets.
    """

    rate: Rate | None
    max_keys: int = MAX_LIMITED_CALLERS
    is_shared: bool = False
    _spent: dict[str, int] = attrs.field(factory=dict, init=False)
    _full_at: OrderedDict[str, float] = attrs.field(factory=OrderedDict, init=False)

    def __len__(self) -> int:
        """How many callers are remembered."""
        return len(self._full_at)

    def wait_seconds(self, key: str, now: float) -> float:
        """How long ``key`` has to wait for its next token; 0 if it has one. Takes nothing."""
        if self.rate is None:
            return 0.0
        missing_seconds = self._full_at.get(key, now) - now  # until the bucket is full
        wait_seconds = missing_seconds - (self.rate.burst - 1) / self.rate.per_second
        return wait_seconds if wait_seconds > CLOCK_SECONDS else 0.0

    def take(self, key: str, now: float) -> float:
        """Take a token: 0 if there was one, else how long to wait for the next. Who is refused pays nothing."""
        if self.rate is None:
            return 0.0
        wait_seconds = self.wait_seconds(key, now)
        if wait_seconds == 0.0:
            if key not in self._full_at:
                self._make_room(now)
            self._full_at[key] = max(now, self._full_at.get(key, now)) + 1 / self.rate.per_second
            if self.is_shared and (key in self._spent or len(self._spent) < self.max_keys):
                self._spent[key] = self._spent.get(key, 0) + 1
        return wait_seconds

    def take_spent(self, most: int, now: float) -> dict[str, tuple[float, float]]:
        """What the others have not been told, of at most so many keys: how many seconds it takes to fill that up again,
        and how many until the bucket is full."""
        if self.rate is None:
            return {}
        keys = list(itertools.islice(self._spent, most))
        return {
            key: (self._spent.pop(key) / self.rate.per_second, max(0.0, self._full_at.get(key, now) - now))
            for key in keys
        }

    def give_back_spent(self, spent: Mapping[str, tuple[float, float]]) -> None:
        """They could not be told."""
        for key, (seconds, _) in spent.items():
            if self.rate is not None and (key in self._spent or len(self._spent) < self.max_keys):
                self._spent[key] = self._spent.get(key, 0) + round(seconds * self.rate.per_second)

    def catch_up(self, key: str, full_in_seconds: float, now: float) -> None:
        """All together have taken so much, of which at least what we said is ours. Never allows more than before."""
        if self.rate is None or full_in_seconds <= 0:
            return
        if key not in self._full_at:
            self._make_room(now)
        unsaid_seconds = self._spent.get(key, 0) / self.rate.per_second
        self._full_at[key] = max(now + full_in_seconds + unsaid_seconds, self._full_at.get(key, now))

    def _make_room(self, now: float) -> None:
        """Drop full buckets, a few at a time, from the one that was looked at longest ago."""
        for _ in range(min(SWEPT_KEYS, len(self._full_at))):
            key, full_at = self._full_at.popitem(last=False)
            if full_at > now:
                self._full_at[key] = full_at  # in use: behind all others
        if len(self._full_at) >= self.max_keys:
            self._full_at.popitem(last=False)
