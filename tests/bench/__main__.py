"""Run the benchmarks of this directory: ``python -m tests.bench [NAME …]``. A table for people, then one line of JSON.

Nothing here fails for being slow; ratios within one run are what to look at. With ``--url`` the load goes to a server
that is running already, whichever Moltnet that is.
"""

import argparse
import importlib
import json
import math
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

import attrs
import trio
from rich.console import Console
from rich.table import Table

from tests.bench.measurement import Measurement
from tests.bench.settings import Settings

# Cells of the table, by heading. A column that is empty in all rows is left out.
COLUMNS: Final[Mapping[str, Callable[[Measurement], str]]] = {
    "per second": lambda each: f"{each.per_second:,.0f}",
    "unit": lambda each: each.unit,
    "p50 ms": lambda each: decimals(each.p50_ms, 2),
    "p99 ms": lambda each: decimals(each.p99_ms, 2),
    "server µs": lambda each: decimals(each.server_us, 1),
    "load": lambda each: "" if each.load_share is None else f"{each.load_share:.0%}",
    "KiB each": lambda each: decimals(each.kib_each, 1),
    "ratio": lambda each: decimals(each.ratio, 2),
    "to": lambda each: each.compared_with,
}
PLAIN_WIDTH: Final = 132
LEGEND: Final = (
    "server µs: CPU time of the server for one thing. load: share of one core that the load generators used; near "
    "100% they were the limit. ratio: this rate by that of the row named beside it. A machine that others keep busy "
    "shows lower rates than it could."
)


def benchmark_names() -> list[str]:
    """The modules here that have a ``run``."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return [file.stem for file in files if "\nasync def run(" in file.read_text(encoding="utf-8")]


def benchmark(name: str) -> ModuleType:
    """A module with ``run(settings)`` and ``ANY_SERVER``: whether it can measure one that it did not start."""
    return importlib.import_module(f"tests.bench.{name}")


def run_benchmark(name: str, settings: Settings) -> Sequence[Measurement]:
    found: Sequence[Measurement] = trio.run(benchmark(name).run, settings)
    return found


def table(name: str, measurements: Sequence[Measurement]) -> Table:
    shown = Table(title=name, title_justify="left")
    shown.add_column("what")
    cells = {heading: [cell(each) for each in measurements] for heading, cell in COLUMNS.items()}
    columns = {heading: texts for heading, texts in cells.items() if any(texts)}
    for heading in columns:
        shown.add_column(heading, justify="left" if heading == "to" else "right")
    for each, *row in zip(measurements, *columns.values(), strict=True):
        shown.add_row(each.name, *row)
    return shown


def foreign_cpu_seconds() -> float:
    """CPU time of everything on this machine but us and our children that have ended; not a number if unknown."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=9)[1:9]
    except OSError:
        return math.nan
    user, nice, system, _idle, _io_wait, irq, soft_irq, stolen = map(int, fields)
    ours = os.times()
    everything = (user + nice + system + irq + soft_irq + stolen) / os.sysconf("SC_CLK_TCK")
    return everything - (ours.user + ours.system + ours.children_user + ours.children_system)


def decimals(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def as_json(measurements: Sequence[Measurement]) -> list[dict[str, object]]:
    return [
        {
            "name": each.name,
            "unit": each.unit,
            "per_second": round(each.per_second, 1),
            "p50_ms": each.p50_ms and round(each.p50_ms, 4),
            "p99_ms": each.p99_ms and round(each.p99_ms, 4),
            "server_us": each.server_us and round(each.server_us, 2),
            "load_share": each.load_share and round(each.load_share, 3),
            "kib_each": each.kib_each and round(each.kib_each, 2),
            "ratio": each.ratio and round(each.ratio, 3),
            "compared_with": each.compared_with,
        }
        for each in measurements
    ]


def main(arguments: Sequence[str]) -> int:
    known = benchmark_names()
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"what to run: {', '.join(known)}; all if none is named"
    )
    parser.add_argument("--url", default="", help="measure this server instead of starting one")
    parser.add_argument("--token", default="", help="may write, read and attach there")
    parser.add_argument("--room", default="general", help="a room there in which nobody else writes")
    parser.add_argument("--server-pid", type=int, help="its process, to read CPU time and memory")
    parser.add_argument("--seconds", type=float, default=Settings().load_seconds, help="of load for each figure")
    given = parser.parse_args(arguments)
    settings = Settings(given.url, given.token, given.room, given.server_pid, load_seconds=given.seconds)
    if unknown := sorted(set(given.names) - set(known)):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(known)}")
    names = given.names or known
    if given.url:
        own = [name for name in names if not benchmark(name).ANY_SERVER]
        if given.names and own:
            parser.error(f"{', '.join(own)} can measure only a server of its own: leave out --url")
        names = [name for name in names if name not in own]
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    results, others = {}, {}
    for name in names:
        before, started = foreign_cpu_seconds(), time.monotonic()
        measurements = run_benchmark(name, settings)
        others[name] = (foreign_cpu_seconds() - before) / (time.monotonic() - started)
        title = name if math.isnan(others[name]) else f"{name} (others kept {others[name]:.0%} of a core busy)"
        console.print(table(title, measurements))
        results[name] = as_json(measurements)
    console.print(LEGEND)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    asked = attrs.asdict(settings, filter=attrs.filters.exclude("token"))
    others = {name: round(share, 2) for name, share in others.items() if not math.isnan(share)}
    print(json.dumps({**machine, "settings": asked, "others_share": others, "results": results}))
    return 0


if __name__ == "__main__":
    # So that an end from outside leaves no server and no files behind either.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    sys.exit(main(sys.argv[1:]))
