"""Costs by size, and whether they grow too fast."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from tests.bench.growth.counted import Cost
from tests.bench.growth.dimensions import Dimension
from tests.bench.servers import new_directory

# Buffers that happen to be full, levels of a tree, the odd tick of a timer.
LEEWAY: Final = 1.3


@attrs.frozen
class Curve:
    """What one operation costs at each size. ``linear`` if each of them may have its share."""

    dimension: str
    operation: str
    linear: bool
    costs: Mapping[int, Cost]

    @property
    def sizes(self) -> Sequence[int]:
        return sorted(self.costs)

    def growth(self, of: Callable[[Cost], float]) -> float:
        """From the smallest size to the largest: how often the cost of the smallest."""
        first, last = self.costs[self.sizes[0]], self.costs[self.sizes[-1]]
        return of(last) / of(first) if of(first) else math.nan

    def allowed(self) -> float:
        """The most that it may grow: as n log n does if it is linear, else not at all."""
        if not self.linear:
            return LEEWAY
        small, large = self.sizes[0], self.sizes[-1]
        return LEEWAY * large / small * math.log2(large + 2) / math.log2(small + 2)


async def measure(
    dimension: Dimension, sizes: Sequence[int], seconds: float = 0.0, said: Callable[[str], None] = lambda text: None
) -> Sequence[Curve]:
    """All operations at each of the sizes; with CPU time if it is measured for so many ``seconds`` each."""
    found: dict[str, dict[int, Cost]] = {name: {} for name in dimension.operations}
    for size in sizes:
        with new_directory() as directory:
            path = Path(directory, "moltnet.db")
            await dimension.fill(path, size)
            async with dimension.open(path, size, counting=True) as counted:
                for name, do in dimension.operations.items():
                    found[name][size] = Cost(*await counted.steps(do(counted, size)))
            if seconds:
                async with dimension.open(path, size, counting=False) as counted:
                    for name, do in dimension.operations.items():
                        cpu_us = await counted.cpu_us(do(counted, size), seconds)
                        found[name][size] = attrs.evolve(found[name][size], cpu_us=cpu_us)
        for name in dimension.operations:
            said(f"{size:>9,} {dimension.name}: {name}: {found[name][size]}")
    return [Curve(dimension.name, name, name in dimension.linear, costs) for name, costs in found.items()]


def table(curves: Sequence[Curve]) -> str:
    """In Markdown: how often the cost at the smallest size the cost at the largest is."""
    lines = ["| Operation | grows from | to | Python steps | SQLite steps | CPU time |\n|---|---|---|---|---|---|\n"]
    for curve in curves:
        first, last = curve.costs[curve.sizes[0]], curve.costs[curve.sizes[-1]]
        cells = [
            curve.operation,
            f"{curve.sizes[0]:,} {curve.dimension}",
            f"{curve.sizes[-1]:,}",
            _grown(first.python_steps, last.python_steps),
            _grown(first.sqlite_steps, last.sqlite_steps),
            ""
            if math.isnan(first.cpu_us)
            else f"{_times(curve.growth(lambda cost: cost.cpu_us))} ({last.cpu_us:,.0f} µs)",
        ]
        lines.append(f"| {' | '.join(cells)} |\n")
    return "".join(lines)


def _grown(first: int, last: int) -> str:
    if not last:
        return ""
    return f"{_times(last / first) if first else ''} ({last:,})"


def _times(factor: float) -> str:
    return f"× {factor:,.2f}" if factor < 10 else f"× {factor:,.0f}"
