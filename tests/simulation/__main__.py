"""Run seeds: `python -m tests.simulation 1000`, `… 5000-5999`, `… 17 --trace`, `… new:300`.

A count begins at seed 0. `new:COUNT` begins at a number that no run had before, which is printed. What a failing seed
did is shown by running it alone with `--trace`; `--wires` shows every piece of every connection as well.
"""

import argparse
import logging
import re
import sys
import time
from collections.abc import Sequence

from tests.simulation.campaign import run_all
from tests.simulation.named_seeds import NAMED_SEEDS
from tests.simulation.world import Result, run_seed


def parse_seeds(text: str) -> range:
    """`1000`, `5000-5999`, `17` with a trailing `-17`, or `new:300`. Raises `ValueError`."""
    if found := re.fullmatch(r"new:(\d+)", text):
        base = time.time_ns() // 1_000_000
        return range(base, base + int(found[1]))
    if found := re.fullmatch(r"(\d+)-(\d+)", text):
        return range(int(found[1]), int(found[2]) + 1)
    return range(int(text))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seeds", nargs="?", default="1000", help="a count, FIRST-LAST, or new:COUNT")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--trace", action="store_true", help="show what happened")
    parser.add_argument("--wires", action="store_true", help="show every piece of every connection too")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args(arguments)
    logging.getLogger().addHandler(logging.NullHandler())  # what is logged is in the trace
    seeds = range(options.seed, options.seed + 1) if options.seed is not None else parse_seeds(options.seeds)
    if len(seeds) == 1:
        return _show(run_seed(seeds[0], wires=options.wires), options.trace or options.wires)
    print(f"seeds {seeds[0]} to {seeds[-1]}, and {len(NAMED_SEEDS)} that have found bugs", flush=True)
    return run_all([*NAMED_SEEDS, *seeds], options.processes)


def _show(result: Result, trace: bool) -> int:
    if trace:
        print("\n".join(result.lines))
    print(f"seed {result.seed}: {result.events} events, digest {result.digest}")
    for broken in result.broken:
        print(f"seed {result.seed}: {broken}")
    return 1 if result.broken else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
