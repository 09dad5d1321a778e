"""No cost grows too fast: steps of the real server for one operation, beside little and much. Counted, not timed."""

import pytest

from tests.bench.growth.counted import Cost
from tests.bench.growth.curves import LEEWAY, Curve, measure
from tests.bench.growth.dimensions import ATTACHMENTS, DIMENSIONS, MEMBERS, MENTIONS, MESSAGES, ROOMS, Dimension

pytestmark = pytest.mark.slow

# As many as can be counted in a few seconds; `python -m tests.bench growth` goes further.
SIZES = {
    MESSAGES.name: (1_000, 5_000),
    ROOMS.name: (10, 500),
    MEMBERS.name: (10, 500),
    ATTACHMENTS.name: (5, 50),
    MENTIONS.name: (4, 64),
}

ONE_COMMIT_STEPS = 100


@pytest.mark.parametrize("dimension", DIMENSIONS, ids=lambda dimension: dimension.name)
async def test_no_operation_grows_faster_than_n_log_n(dimension: Dimension) -> None:
    for curve in await measure(dimension, SIZES[dimension.name]):
        first = curve.costs[curve.sizes[0]]
        assert first.python_steps > 1_000, curve
        assert curve.growth(lambda cost: cost.python_steps) <= curve.allowed(), curve
        last = curve.costs[curve.sizes[-1]]
        # How many commits it takes is a matter of what comes together: one more is no growth.
        if first.sqlite_steps and last.sqlite_steps > first.sqlite_steps + ONE_COMMIT_STEPS:
            assert curve.growth(lambda cost: cost.sqlite_steps) <= curve.allowed(), curve


def test_what_grows_with_n_is_told_from_what_grows_with_its_square() -> None:
    def curve(power: int, *, linear: bool) -> Curve:
        return Curve("things", "do", linear, {size: Cost(size**power, 0) for size in (10, 1000)})

    def fits(found: Curve) -> bool:
        return found.growth(lambda cost: cost.python_steps) <= found.allowed()

    assert [fits(curve(power, linear=True)) for power in (0, 1, 2)] == [True, True, False]
    assert [fits(curve(power, linear=False)) for power in (0, 1, 2)] == [True, False, False]
    assert LEEWAY < 1.5
