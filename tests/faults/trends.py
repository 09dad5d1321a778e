"""Whether something grows: a slope that a few odd samples do not bend, and what it comes to over the time measured.

The slope is the median of the slopes of all pairs of samples (Theil and Sen): up to 29 % of the samples may be wild
without moving it, so a busy moment of the machine is no growth, and a leak is. The first third of the samples does not
count: caches fill then. What it comes to is compared with an allowance, a part of the median but at least a floor, so
no test depends on how fast or how large anything is.
"""

from collections.abc import Sequence
from itertools import combinations
from statistics import median
from typing import Final

import attrs

WARM_UP_PART: Final = 1 / 3
MOST_SAMPLES: Final = 400
"""More are thinned out: pairs of these are 80,000."""
FEWEST_SAMPLES: Final = 9


@attrs.frozen
class Allowance:
    """What something may grow by over the time measured: a part of its median, or `floor` if that is more."""

    part: float
    floor: float


@attrs.frozen
class Trend:
    """`growth` is the slope times the time measured, in the unit of the samples."""

    name: str
    median: float
    growth: float
    allowed: float

    @property
    def is_flat(self) -> bool:
        return self.growth <= self.allowed

    def __str__(self) -> str:
        return f"{self.name}: median {self.median:.4g}, growth {self.growth:+.3g} (allowed {self.allowed:.3g})"


def trend_of(name: str, samples: Sequence[tuple[float, float]], allowance: Allowance) -> Trend:
    """The trend of samples `(time, value)` in the order of their times. Raises `ValueError` for too few."""
    counted = samples[round(len(samples) * WARM_UP_PART) :]
    step = -(-len(counted) // MOST_SAMPLES)
    counted = counted[::step] if step else counted
    if len(counted) < FEWEST_SAMPLES:
        raise ValueError(f"{len(counted)} samples of {name} say nothing")
    slopes = [(there - here) / (later - now) for (now, here), (later, there) in combinations(counted, 2) if later > now]
    middle = median(value for _, value in counted)
    growth = median(slopes) * (counted[-1][0] - counted[0][0])
    return Trend(name, middle, growth, max(allowance.part * abs(middle), allowance.floor))
