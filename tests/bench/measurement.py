"""What a benchmark reports. One is a module here that has an ``async def run() -> Sequence[Measurement]``."""

from collections.abc import Sequence
from statistics import quantiles

import attrs


@attrs.frozen
class Measurement:
    """How fast something was done, and how that compares with another measurement of the same run.

    ``amount`` things were done in ``seconds``; ``p50_ms`` and ``p99_ms`` are the times of single calls, of which each
    may do many things. ``ratio`` is this rate by that of the measurement named in ``compared_with``: rates differ from
    machine to machine, ratios hardly do.
    """

    name: str
    amount: int
    seconds: float
    unit: str
    p50_ms: float | None = None
    p99_ms: float | None = None
    compared_with: str = ""
    ratio: float | None = None

    @property
    def per_second(self) -> float:
        return self.amount / self.seconds

    def compared(self, other: "Measurement") -> "Measurement":
        return attrs.evolve(self, compared_with=other.name, ratio=self.per_second / other.per_second)


def measurement(name: str, unit: str, amount: int, call_seconds: Sequence[float]) -> Measurement:
    """From the times of consecutive calls that did ``amount`` things together. There must be at least two."""
    cuts = quantiles(call_seconds, n=100, method="inclusive")
    return Measurement(name, amount, sum(call_seconds), unit, p50_ms=cuts[49] * 1000, p99_ms=cuts[98] * 1000)
