"""Curves as pictures: SVG, both axes logarithmic, each curve as a multiple of what it costs at the smallest size."""

import math
from collections.abc import Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

from tests.bench.growth.counted import Cost
from tests.bench.growth.curves import Curve

WIDTH: Final = 640
HEIGHT: Final = 400
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 36, 44
# Told apart by those who don't see colours by their dashes too.
STYLES: Final = (("#1f6feb", ""), ("#bf5700", "7 3"), ("#1a7f37", "2 3"), ("#8250df", "9 3 2 3"))
_FONT: Final = "font-family='sans-serif' font-size='12' fill='#57606a'"


def picture(title: str, curves: Sequence[Curve]) -> str:
    """With n log n as the line that none may reach over, where it fits in."""
    sizes = curves[0].sizes
    top = max(4.0, *(cost_of(curve, size) * 1.5 for curve in curves for size in sizes))
    scale = _Scale(sizes[0], sizes[-1], top)
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' role='img'>",
        f"<title>{escape(title)}</title>",
        f"<rect width='{WIDTH}' height='{HEIGHT}' fill='#ffffff'/>",
        f"<text x='{LEFT}' y='20' {_FONT} font-weight='bold'>{escape(title)}</text>",
        *_grid(scale, sizes),
        *_limit(scale, sizes),
        *(part for number, curve in enumerate(curves) for part in _line(scale, number, curve)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def cost_of(curve: Curve, size: int) -> float:
    """As a multiple of the cost at the smallest size: the steps of Python and of SQLite."""
    return _steps(curve.costs[size]) / _steps(curve.costs[curve.sizes[0]])


def _steps(cost: Cost) -> int:
    return max(1, cost.python_steps + cost.sqlite_steps)


class _Scale:
    def __init__(self, small: int, large: int, top: float) -> None:
        self.small, self.large, self.top = small, large, top

    def x(self, size: float) -> float:
        part = math.log(size / self.small) / math.log(self.large / self.small)
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def y(self, multiple: float) -> float:
        """From a half to the top."""
        part = math.log(max(multiple, 0.5) / 0.5) / math.log(self.top / 0.5)
        return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)


def _grid(scale: _Scale, sizes: Sequence[int]) -> Iterator[str]:
    for size in sizes:
        x = scale.x(size)
        yield f"<line x1='{x:.1f}' y1='{TOP}' x2='{x:.1f}' y2='{HEIGHT - BOTTOM}' stroke='#eaeef2'/>"
        yield f"<text x='{x:.1f}' y='{HEIGHT - BOTTOM + 18}' {_FONT} text-anchor='middle'>{size:,}</text>"
    multiple = 1.0
    step = 2 if scale.top <= 64 else 10
    while multiple <= scale.top:
        y = scale.y(multiple)
        yield f"<line x1='{LEFT}' y1='{y:.1f}' x2='{WIDTH - RIGHT}' y2='{y:.1f}' stroke='#eaeef2'/>"
        yield f"<text x='{LEFT - 8}' y='{y + 4:.1f}' {_FONT} text-anchor='end'>× {multiple:,.0f}</text>"
        multiple *= step


def _limit(scale: _Scale, sizes: Sequence[int]) -> Iterator[str]:
    points, small = [], sizes[0]
    for number in range(101):
        size = small * (sizes[-1] / small) ** (number / 100)
        multiple = size * math.log2(size + 2) / (small * math.log2(small + 2))
        if multiple <= scale.top:
            points.append((scale.x(size), scale.y(multiple)))
    yield _path(points, "stroke='#afb8c1' stroke-dasharray='1 4'")
    x, y = points[-1]
    yield f"<text x='{min(x + 4, WIDTH - RIGHT - 44):.1f}' y='{max(y, TOP + 12):.1f}' {_FONT}>n log n</text>"


def _line(scale: _Scale, number: int, curve: Curve) -> Iterator[str]:
    colour, dashes = STYLES[number % len(STYLES)]
    points = [(scale.x(size), scale.y(cost_of(curve, size))) for size in curve.sizes]
    yield _path(points, f"stroke='{colour}' stroke-width='2' stroke-dasharray='{dashes}'")
    for x, y in points:
        yield f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='{colour}'/>"
    # A legend, for curves that lie on each other.
    y = TOP + 14 + 18 * number
    yield _path([(LEFT + 12, y), (LEFT + 48, y)], f"stroke='{colour}' stroke-width='2' stroke-dasharray='{dashes}'")
    yield f"<text x='{LEFT + 56}' y='{y + 4}' {_FONT}>{escape(curve.operation)}</text>"


def _path(points: Sequence[tuple[float, float]], style: str) -> str:
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f"<polyline points='{joined}' fill='none' {style}/>"
