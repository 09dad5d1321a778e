"""Many seeds, in processes of their own, and what came of them."""

import faulthandler
import gc
import multiprocessing
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from tests.simulation.world import Result, again, run_seed

# Nobody can look into a seed that never comes back otherwise.
HANGING_SECONDS: Final = 300
SHOWN_FAILURES: Final = 5
SEEDS_PER_LINE: Final = 100


def run_all(seeds: Sequence[int], processes: int) -> int:
    """Run these seeds and print what came of them; 1 if a promise was broken, else 0."""
    began = time.monotonic()
    failed: list[Result] = []
    done, events, counts = 0, 0, Counter[str]()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for result in pool.imap_unordered(_run_watched, seeds, chunksize=4):
            done, events = done + 1, events + result.events
            counts.update(result.counts)
            if result.broken:
                failed.append(result)
                print(f"seed {result.seed}: {result.broken[0][:1000]}\n    {again(result.seed)}", flush=True)
                if len(failed) >= SHOWN_FAILURES:
                    break
            if done % SEEDS_PER_LINE == 0:
                print(f"{done} seeds, {events} events, {len(failed)} failed", flush=True)
    looks = ", ".join(f"{name.removeprefix('guarantee ')}: {counts[name]}" for name in sorted(counts))
    print(f"{done} seeds, {events} events in {time.monotonic() - began:.0f} s; {len(failed)} failed")
    print(f"promises looked at, by guarantee: {looks}")
    return 1 if failed else 0


def _run_watched(seed: int) -> Result:
    # What is there by now stays, and need not be looked at after each run.
    gc.freeze()
    faulthandler.dump_traceback_later(HANGING_SECONDS, exit=True)
    try:
        return run_seed(seed)
    finally:
        faulthandler.cancel_dump_traceback_later()
