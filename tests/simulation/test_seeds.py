"""Seeds of the simulation: those that have found a bug, some that are always the same, and in CI some that are new."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.simulation.named_seeds import NAMED_SEEDS
from tests.simulation.world import run_seed

# Of which several can run side by side.
NEW_PARTS = 20
ROOT = Path(__file__).parents[2]
REPEATED = (4, 11)
"""A node on a network in SQLite; three networks in memory."""
NEW_SEEDS = int(os.environ.get("MOLTNET_NEW_SEEDS", "200"))


@pytest.mark.parametrize("seed", NAMED_SEEDS)
def test_a_seed_that_has_found_a_bug_keeps_every_promise(seed: int) -> None:
    run_seed(seed).raise_if_broken()


@pytest.mark.parametrize("seed", range(4))
def test_every_promise_is_kept_whatever_breaks(seed: int) -> None:
    run_seed(seed).raise_if_broken()


@pytest.mark.slow
@pytest.mark.parametrize("part", range(NEW_PARTS))
def test_every_promise_is_kept_by_seeds_that_nobody_has_tried(part: int) -> None:
    """`MOLTNET_NEW_SEEDS` of them in all; each run of the tests begins where no other one did."""
    first = time.time_ns() // 1_000_000 * NEW_PARTS + part
    print(f"seeds from {first}, every {NEW_PARTS}th")
    for number in range(-(-NEW_SEEDS // NEW_PARTS)):
        run_seed(first + number * NEW_PARTS).raise_if_broken()


def test_a_seed_is_one_run_to_the_last_byte() -> None:
    first, second = run_seed(REPEATED[0]), run_seed(REPEATED[0])

    assert first.events > 100
    assert (first.digest, first.events) == (second.digest, second.events)


def test_another_seed_is_another_run() -> None:
    assert run_seed(0).digest != run_seed(1).digest


@pytest.mark.slow
@pytest.mark.parametrize("seed", REPEATED)
def test_a_seed_is_the_same_run_in_processes_that_hash_differently(seed: int) -> None:
    shown = {_digest_in_a_process(seed, hash_seed) for hash_seed in ("1", "2")}

    assert len(shown) == 1
    assert f"digest {run_seed(seed).digest}" in shown.pop()


def _digest_in_a_process(seed: int, hash_seed: str) -> str:
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(seed)]
    environ = {**os.environ, "PYTHONHASHSEED": hash_seed}
    ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=100, check=True)
    return ended.stdout
