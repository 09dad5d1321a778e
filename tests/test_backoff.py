"""The delays between tries: their range, growth and spread."""

import random
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moltnet.backoff import backoff_delays


class Extremes(random.Random):
    """Draws the lower or the upper end of a range instead of a value inside it."""

    def __init__(self, end: int) -> None:
        super().__init__()
        self._end = end

    def uniform(self, a: float, b: float) -> float:
        return (a, b)[self._end]


def take(count: int, *, base_seconds: float, cap_seconds: float, rng: random.Random | None = None) -> list[float]:
    return list(islice(backoff_delays(base_seconds=base_seconds, cap_seconds=cap_seconds, rng=rng), count))


def test_delays_double_up_to_the_cap() -> None:
    assert take(6, base_seconds=0.5, cap_seconds=6.0, rng=Extremes(0)) == pytest.approx([0.5, 0.8, 1.6, 3.2, 4.8, 4.8])
    assert take(6, base_seconds=0.5, cap_seconds=6.0, rng=Extremes(1)) == pytest.approx([0.6, 1.2, 2.4, 4.8, 6.0, 6.0])


@given(
    base_seconds=st.floats(min_value=1e-3, max_value=1e3),
    factor=st.floats(min_value=1.0, max_value=1e6),
    seed=st.integers(),
)
def test_no_delay_leaves_the_range_from_base_to_cap(base_seconds: float, factor: float, seed: int) -> None:
    cap_seconds = base_seconds * factor
    delays = take(40, base_seconds=base_seconds, cap_seconds=cap_seconds, rng=random.Random(seed))
    assert all(base_seconds <= delay <= cap_seconds for delay in delays)
    assert delays[-1] >= max(base_seconds, cap_seconds * 0.79), "40 doublings reach any of these caps"


def test_many_clients_do_not_agree_on_a_delay_not_even_the_first_or_a_capped_one() -> None:
    clients = [take(10, base_seconds=1.0, cap_seconds=30.0, rng=random.Random(seed)) for seed in range(50)]
    for attempt in range(10):
        assert len({client[attempt] for client in clients}) == 50


def test_the_same_seed_gives_the_same_delays() -> None:
    first, second = (take(5, base_seconds=1.0, cap_seconds=9.0, rng=random.Random(7)) for _ in range(2))
    assert first == second


def test_delays_are_jittered_without_a_given_generator() -> None:
    assert take(5, base_seconds=1.0, cap_seconds=9.0) != take(5, base_seconds=1.0, cap_seconds=9.0)


def test_a_cap_equal_to_the_base_is_a_constant_delay() -> None:
    assert take(3, base_seconds=2.0, cap_seconds=2.0) == [2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("base_seconds", "cap_seconds"),
    [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0), (1.0, float("inf")), (float("nan"), 1.0), (1.0, float("nan"))],
)
def test_a_senseless_range_is_refused_at_the_call(base_seconds: float, cap_seconds: float) -> None:
    with pytest.raises(ValueError, match="base_seconds"):
        backoff_delays(base_seconds=base_seconds, cap_seconds=cap_seconds)
