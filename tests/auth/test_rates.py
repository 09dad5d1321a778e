"""The rate limiter against a bucket that is written down plainly, and what it costs to remember callers."""

import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moltnet.auth.rates import RateLimiter
from moltnet.config.server_limits import Rate

RATES = st.builds(Rate, st.floats(0.01, 1000), st.integers(1, 50))
STEPS = st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 20)), max_size=60)


@attrs.define
class Bucket:
    """What a token bucket is, as textbooks have it."""

    rate: Rate
    tokens: float
    at: float = 0.0

    def take(self, now: float) -> float:
        self.tokens = min(self.rate.burst, self.tokens + (now - self.at) * self.rate.per_second)
        self.at = now
        if self.tokens >= 1 - 1e-9:
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) / self.rate.per_second


@given(RATES, STEPS)
def test_it_decides_as_a_bucket_of_tokens_does(rate: Rate, steps: list[tuple[str, float]]) -> None:
    limiter, now = RateLimiter(rate), 0.0
    buckets = {key: Bucket(rate, rate.burst) for key in "ab"}
    for key, seconds in steps:
        now += seconds
        # Both round, so a wait of nearly nothing may be one for one of them only; then they go different ways.
        wanted = buckets[key].take(now)
        given = limiter.take(key, now)
        if min(wanted, given) == 0 < max(wanted, given) < 1e-5:
            return
        assert math.isclose(given, wanted, rel_tol=1e-6, abs_tol=1e-6)


@given(RATES, st.lists(st.floats(0, 5), min_size=1, max_size=60))
def test_in_no_time_more_is_let_through_than_its_rate_and_one_burst(rate: Rate, pauses: list[float]) -> None:
    limiter, now = RateLimiter(rate), 0.0
    admitted: list[float] = []
    for pause in pauses:
        now += pause
        while limiter.take("a", now) == 0:
            admitted.append(now)
    for first in range(0, len(admitted), 7):
        window = admitted[-1] - admitted[first]
        assert len(admitted) - first <= rate.burst + window * rate.per_second + 1e-3


@given(RATES, st.floats(0, 1e6))
def test_who_waits_as_long_as_told_is_let_through(rate: Rate, now: float) -> None:
    limiter = RateLimiter(rate)
    for _ in range(rate.burst):
        assert limiter.take("a", now) == 0
    wait_seconds = limiter.take("a", now)
    assert 0 < wait_seconds <= 1 / rate.per_second + 1e-6
    assert limiter.wait_seconds("a", now) == wait_seconds  # refused, and looked at, it costs nothing
    assert limiter.take("a", now + wait_seconds) == 0


def test_one_caller_does_not_use_up_what_another_has() -> None:
    limiter = RateLimiter(Rate(1, 3))
    assert [limiter.take("loud", 0) == 0 for _ in range(5)] == [True, True, True, False, False]
    assert limiter.take("quiet", 0) == 0


def test_without_a_rate_everything_passes_and_nothing_is_kept() -> None:
    limiter = RateLimiter(None)
    assert all(limiter.take("a", 0) == 0 for _ in range(100))
    assert limiter.wait_seconds("a", 0) == 0
    assert len(limiter) == 0


def test_a_caller_that_is_quiet_is_forgotten_and_has_lost_nothing() -> None:
    limiter = RateLimiter(Rate(10, 10))
    for number in range(1000):
        limiter.take(f"caller-{number}", 0)
    assert len(limiter) == 1000
    for number in range(500):  # each newcomer looks at two of those who were there
        limiter.take(f"newcomer-{number}", 1)
    assert len(limiter) == 500
    assert [limiter.take("caller-1", 1) for _ in range(10)] == [0] * 10


def test_however_many_callers_come_only_so_many_are_remembered() -> None:
    limiter = RateLimiter(Rate(0.001, 1), max_keys=100)
    for number in range(1000):
        assert limiter.take(f"caller-{number}", 0) == 0
        assert len(limiter) <= 100
    assert limiter.take("caller-999", 0) > 0


def test_a_busy_caller_is_not_forgotten_while_there_is_room() -> None:
    limiter = RateLimiter(Rate(0.001, 1))
    limiter.take("guesser", 0)
    for number in range(10_000):
        limiter.take(f"caller-{number}", 0)
    assert limiter.take("guesser", 1) > 900


@pytest.mark.parametrize(("per_second", "burst"), [(0, 1), (-1, 1), (math.inf, 1), (math.nan, 1), (1, 0)])
def test_a_rate_that_is_none_is_refused(per_second: float, burst: int) -> None:
    with pytest.raises(ValueError, match="a rate needs"):
        Rate(per_second, burst)
