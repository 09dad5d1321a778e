"""Measure servers: ``python -m tests.bench [NAME …]``. A table for people, then one line of JSON with the same figures.

Without more it measures this checkout beside the ceilings of its stack. ``--compare A B`` lets two servers take turns,
each of them ``self``, ``self:NAME=VALUE``, another checkout, a command, or the URL of one that runs already (see
``tests.bench.contestants``). Nothing fails for being slow. ``python -m tests.bench growth`` draws how costs grow, and
``python -m tests.bench profile`` where the time goes.
"""

import argparse
import json
import math
import os
import platform
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import attrs
import trio
from rich.console import Console

from tests.bench import document, report
from tests.bench.benchmark import run_benchmark
from tests.bench.contestants import Contestant, contestant
from tests.bench.measurement import Figure
from tests.bench.settings import POSTGRES, QUICK, SQLITE, Settings
from tests.bench.table import BENCHMARKS
from tests.fakes.postgres import running_postgres

PLAIN_WIDTH: Final = 200


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


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = ", ".join(BENCHMARKS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to run: {known}; all if none is named")
    parser.add_argument("--compare", nargs=2, metavar=("A", "B"), help="two servers that take turns")
    parser.add_argument("--url", default="", help="measure this server instead of starting one")
    parser.add_argument("--token", default="", help="may write, read and attach at a server that runs already")
    parser.add_argument("--room", default="general", help="a room there in which nobody else writes")
    parser.add_argument("--server-pid", type=int, help="its process, to read CPU time and memory")
    parser.add_argument("--storage", choices=(SQLITE, POSTGRES), default=SQLITE, help="of the servers that are started")
    parser.add_argument("--quick", action="store_true", help="less of everything: all of it in some ten minutes")
    parser.add_argument("--turns", type=int, help="how often each figure is measured")
    parser.add_argument("--seconds", type=float, help="of load for each turn of each figure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON there too")
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/performance.md")
    given = parser.parse_args(arguments)
    if unknown := sorted(set(given.names) - set(BENCHMARKS)):
        parser.error(f"no benchmark {', '.join(unknown)}; there are {known}")
    if given.url and given.compare:
        parser.error("--url names one server, --compare two: leave out --url")
    try:
        given.contestants = _contestants(given)
    except ValueError as problem:
        parser.error(str(problem))
    if given.names and (own := [name for name in given.names if not _takes(name, given.contestants)]):
        parser.error(f"{', '.join(own)} can measure only a server that it starts: leave out --url")
    given.names = [name for name in given.names or BENCHMARKS if _takes(name, given.contestants)]
    return given


def _contestants(given: argparse.Namespace) -> Sequence[Contestant]:
    texts = given.compare or [given.url or "self"]
    found = [contestant(text, token=given.token, room_id=given.room, pid=given.server_pid) for text in texts]
    if len({each.name for each in found}) < len(found):
        found = [each.named(f"{letter}: {each.name}") for letter, each in zip("AB", found, strict=True)]
    return found


def _takes(name: str, contestants: Sequence[Contestant]) -> bool:
    benchmark = BENCHMARKS[name]
    return benchmark.alone or any(map(benchmark.takes, contestants))


def settings_of(given: argparse.Namespace) -> Settings:
    settings = QUICK if given.quick else Settings()
    changes: dict[str, Any] = {"storage": given.storage}
    if given.turns is not None:
        changes["turns"] = given.turns
    if given.seconds is not None:
        changes["load_seconds"] = given.seconds
    return attrs.evolve(settings, **changes)


def main(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["growth"]:
        from tests.bench.growth import program

        return program.main(arguments[1:])
    if arguments[:1] == ["profile"]:
        from tests.bench.profile import program as profiler

        return profiler.main(arguments[1:])
    given = parsed(arguments)
    settings = settings_of(given)
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    found: dict[str, Sequence[Figure]] = {}
    others: dict[str, float] = {}
    text = ""
    with ExitStack() as stack:
        if settings.storage == POSTGRES:
            # Settings of its own, for without any it takes no care of the disk.
            settings = attrs.evolve(settings, postgres=stack.enter_context(running_postgres("synchronous_commit=on")))
        for name in given.names:
            before, started = foreign_cpu_seconds(), time.monotonic()
            found[name] = trio.run(run_benchmark, BENCHMARKS[name], given.contestants, settings)
            others[name] = (foreign_cpu_seconds() - before) / (time.monotonic() - started)
            title = name if math.isnan(others[name]) else f"{name} (others kept {others[name]:.0%} of a core busy)"
            console.print(report.table(title, found[name]))
            # As far as it has come: who ends a long run early keeps what it found.
            text = json.dumps(_summary(given, settings, found, others))
            if given.json is not None:
                given.json.write_text(text + "\n")
            if given.write_docs:
                document.write_table(report.markdown(found), given.contestants, settings, others)
    console.print(report.LEGEND)
    for line in report.failures(found):
        console.print(f"failed: {line}", markup=False)
    print(text)
    return 0


def _summary(
    given: argparse.Namespace, settings: Settings, found: report.Found, others: Mapping[str, float]
) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "servers": [each.name for each in given.contestants],
        "settings": attrs.asdict(settings, filter=attrs.filters.exclude("postgres")),
        "others_share": {name: round(share, 2) for name, share in others.items() if not math.isnan(share)},
        "results": {name: report.as_json(figures) for name, figures in found.items()},
    }


if __name__ == "__main__":
    # So that an end from outside leaves no server and no files behind either.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        sys.exit(main(sys.argv[1:]))
    except* KeyboardInterrupt:
        sys.exit("interrupted")
