"""Run the benchmarks of this directory: ``python -m tests.bench [NAME …]``. A table for people, then one line of JSON.

Nothing here fails for being slow; ratios within one run are what to look at.
"""

import importlib
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import trio
from rich.console import Console
from rich.table import Table

from tests.bench.measurement import Measurement


def benchmark_names() -> list[str]:
    """The modules here that have a ``run``."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return [file.stem for file in files if "\nasync def run(" in file.read_text(encoding="utf-8")]


def run_benchmark(name: str) -> Sequence[Measurement]:
    found: Sequence[Measurement] = trio.run(importlib.import_module(f"tests.bench.{name}").run)
    return found


def table(name: str, measurements: Sequence[Measurement]) -> Table:
    shown = Table(title=name, title_justify="left")
    shown.add_column("what")
    for heading in ("per second", "unit", "p50 ms", "p99 ms", "ratio"):
        shown.add_column(heading, justify="right")
    shown.add_column("to")
    for each in measurements:
        shown.add_row(
            each.name,
            f"{each.per_second:,.0f}",
            each.unit,
            milliseconds(each.p50_ms),
            milliseconds(each.p99_ms),
            "" if each.ratio is None else f"{each.ratio:.2f}",
            each.compared_with,
        )
    return shown


def milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def as_json(measurements: Sequence[Measurement]) -> list[dict[str, object]]:
    return [
        {
            "name": each.name,
            "unit": each.unit,
            "per_second": round(each.per_second, 1),
            "p50_ms": each.p50_ms and round(each.p50_ms, 4),
            "p99_ms": each.p99_ms and round(each.p99_ms, 4),
            "ratio": each.ratio and round(each.ratio, 3),
            "compared_with": each.compared_with,
        }
        for each in measurements
    ]


def main(wanted: Sequence[str]) -> int:
    known = benchmark_names()
    if unknown := sorted(set(wanted) - set(known)):
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    console = Console()
    results = {}
    for name in wanted or known:
        measurements = run_benchmark(name)
        console.print(table(name, measurements))
        results[name] = as_json(measurements)
    print(json.dumps({"python": platform.python_version(), "machine": platform.machine(), "results": results}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
