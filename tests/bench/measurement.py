"""What a benchmark reports. One is a module here that has an ``async def run(…) -> Sequence[Measurement]``."""

import math
from collections.abc import Sequence
from statistics import quantiles

import attrs


@attrs.frozen
class Measurement:
    """How fast something was done, and how that compares with another measurement of the same run.

    ``amount`` things were done in ``seconds``; ``p50_ms`` and ``p99_ms`` are the times of single calls, of which each
    may do many things. ``ratio`` is this rate by that of the measurement named in ``compared_with``: rates differ from
    machine to machine, ratios hardly do.

    ``server_us`` is the server's CPU time for one thing, which a busy machine changes least. ``load_share`` is how much
    of one core the load generators used: near 1 they were the limit, not the server. ``kib_each`` is the memory that
    one thing takes in the server.
    """

    name: str
    amount: int
    seconds: float
    unit: str
    p50_ms: float | None = None
    p99_ms: float | None = None
    compared_with: str = ""
    ratio: float | None = None
    server_us: float | None = None
    load_share: float | None = None
    kib_each: float | None = None

    @property
    def per_second(self) -> float:
        return self.amount / self.seconds

    def compared(self, other: "Measurement") -> "Measurement":
        return attrs.evolve(self, compared_with=other.name, ratio=self.per_second / other.per_second)


def measurement(name: str, unit: str, amount: int, call_seconds: Sequence[float]) -> Measurement:
    """From the times of consecutive calls that did ``amount`` things together. There must be at least two."""
    cuts = quantiles(call_seconds, n=100, method="inclusive")
    return Measurement(name, amount, sum(call_seconds), unit, p50_ms=cuts[49] * 1000, p99_ms=cuts[98] * 1000)


@attrs.frozen
class Load:
    """What load generators did to a server and what it took, in one go or in several added up.

    Of very many latencies a part at equal distances is enough. CPU seconds of a server that can't be read are not a
    number.
    """

    amount: int = 0
    seconds: float = 0.0
    latencies_ms: tuple[float, ...] = ()
    server_cpu_seconds: float = 0.0
    load_cpu_seconds: float = 0.0

    def __add__(self, other: "Load") -> "Load":
        return Load(
            self.amount + other.amount,
            self.seconds + other.seconds,
            self.latencies_ms + other.latencies_ms,
            self.server_cpu_seconds + other.server_cpu_seconds,
            self.load_cpu_seconds + other.load_cpu_seconds,
        )

    def measurement(self, name: str, unit: str, kib_each: float = math.nan) -> Measurement:
        """``kib_each`` is not a number where it can't be read, or says nothing."""
        # One latency is its own median and worst.
        cuts = quantiles(self.latencies_ms * 2, n=100, method="inclusive") if self.latencies_ms else [None] * 99
        server_us = self.server_cpu_seconds / self.amount * 1e6
        return Measurement(
            name,
            self.amount,
            self.seconds,
            unit,
            p50_ms=cuts[49],
            p99_ms=cuts[98],
            server_us=None if math.isnan(server_us) else server_us,
            load_share=self.load_cpu_seconds / self.seconds,
            kib_each=None if math.isnan(kib_each) else kib_each,
        )
