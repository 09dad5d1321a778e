"""The measured table in docs/performance.md, between two marks. What stands around it is written by hand."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench.contestants import Contestant
from tests.bench.settings import Settings

PAGE: Final = Path(__file__).parent.parent.parent / "docs" / "performance.md"


def marks(name: str) -> tuple[str, str]:
    """Before and after what is measured, by its name: that of a storage, or ``growth``."""
    return f"<!-- measured: {name} -->\n", f"<!-- end of measured: {name} -->\n"


def write_table(
    table: str, contestants: Sequence[Contestant], settings: Settings, others: Mapping[str, float], page: Path = PAGE
) -> None:
    """The table of a storage, and how it was measured."""
    replace_marked(settings.storage, f"{_said(contestants, settings, others)}\n\n{table}", page)


def replace_marked(name: str, markdown: str, page: Path = PAGE) -> None:
    """Replace what stands between the marks of this name. Raises ``ValueError`` if the page has none."""
    begin, end = marks(name)
    text = page.read_text(encoding="utf-8")
    before, found, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"{page} has no marks for {name}")
    page.write_text(f"{before}{begin}\n{markdown}\n{end}{after}", encoding="utf-8")


def _said(contestants: Sequence[Contestant], settings: Settings, others: Mapping[str, float]) -> str:
    names = " and ".join(f"`{each.name}`" for each in contestants)
    busy = [share for share in others.values() if not math.isnan(share)]
    beside = f", while other programs kept {median(busy):.1f} cores busy" if busy else ""
    turns = f"{settings.turns} turn{'s' * (settings.turns > 1)} of {settings.load_seconds:g} s"
    return (
        f"{names} on {settings.storage}, medians of {turns}{beside}; in parentheses the least and the greatest ratio "
        "of a turn."
    )
