"""A leak is growth, and a busy moment is not."""

import random

import pytest

from tests.faults.trends import Allowance, trend_of

ALLOWANCE = Allowance(part=0.1, floor=5)


def noisy(values: list[float], seed: int = 1) -> list[tuple[float, float]]:
    chance = random.Random(seed)
    return [(float(time), value + chance.gauss(0, 3)) for time, value in enumerate(values)]


def test_what_stays_is_flat_whatever_it_is() -> None:
    assert trend_of("memory", noisy([100.0] * 90), ALLOWANCE).is_flat


def test_what_fills_up_in_the_beginning_is_flat() -> None:
    assert trend_of("memory", noisy([min(100.0, 10.0 * n) for n in range(90)]), ALLOWANCE).is_flat


def test_a_busy_moment_is_no_growth() -> None:
    assert trend_of("latency", noisy([100.0] * 50 + [900.0] * 10 + [100.0] * 30), ALLOWANCE).is_flat


@pytest.mark.parametrize("seed", range(5))
def test_a_leak_is_growth(seed: int) -> None:
    found = trend_of("tasks", noisy([100.0 + n / 2 for n in range(90)], seed), ALLOWANCE)
    assert not found.is_flat
    assert found.growth == pytest.approx(30, rel=0.3)
    assert "growth +" in str(found)


def test_what_shrinks_is_flat() -> None:
    assert trend_of("memory", noisy([200.0 - n for n in range(90)]), ALLOWANCE).is_flat


def test_a_long_run_is_thinned_out() -> None:
    assert not trend_of("tasks", noisy([100.0 + n / 100 for n in range(9000)]), ALLOWANCE).is_flat


def test_a_few_samples_say_nothing() -> None:
    with pytest.raises(ValueError, match="say nothing"):
        trend_of("memory", noisy([1.0] * 9), ALLOWANCE)
