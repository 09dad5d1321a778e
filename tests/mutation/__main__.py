"""Plant every known bug and tell what notices it: `python -m tests.mutation`, or with names of bugs only these."""

import argparse
import sys
import time
from collections.abc import Sequence

from tests.mutation.hunt import MOST_SEEDS, hunt
from tests.mutation.planted import PLANTED


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("names", nargs="*", help="which bugs; all of them unless named")
    parser.add_argument("--seeds", type=int, default=MOST_SEEDS, help=f"worlds to try for each ({MOST_SEEDS})")
    options = parser.parse_args(arguments)
    wanted = [bug for bug in PLANTED if not options.names or bug.name in options.names]
    missed = 0
    print("| Planted bug | What it does | Caught by | Worlds |\n|---|---|---|---|", flush=True)
    for bug in wanted:
        began = time.monotonic()
        caught = hunt(bug, options.seeds)
        missed += not caught.is_caught
        by = caught.by.split(":")[0][:80] if caught.is_caught else "NOTHING"
        print(f"| `{bug.name}` | {bug.breaks} | {by} | {caught.seeds or ''} |", flush=True)
        print(f"{bug.name}: {time.monotonic() - began:.0f} s: {caught.by[:300]}", file=sys.stderr, flush=True)
    print(f"\n{len(wanted) - missed} of {len(wanted)} caught")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
