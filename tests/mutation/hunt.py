"""Plant a bug and look for it: how many seeds it takes until the simulation notices, or whether its test does."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import attrs
import pytest

from tests.mutation.planted import PLANTED, PlantedBug
from tests.simulation.plan import Plan
from tests.simulation.world import run_seed

ROOT: Final = Path(__file__).parents[2]
MOST_SEEDS: Final = 60
TEST_SECONDS: Final = 300
VARIABLE: Final = "MOLTNET_PLANTED_BUG"


@attrs.frozen
class Caught:
    """What noticed a planted bug: the promise that was seen broken, after how many seeds."""

    bug: PlantedBug
    seeds: int
    by: str = ""

    @property
    def is_caught(self) -> bool:
        return bool(self.by)


def hunt(bug: PlantedBug, most_seeds: int = MOST_SEEDS) -> Caught:
    """Run worlds that the bug can show in, until a promise is broken; or its test, in a process of its own."""
    if bug.test:
        assert not _test_fails(bug, planted=False), f"{bug.test} fails without the bug"
        return Caught(bug, 0, bug.test if _test_fails(bug, planted=True) else "")
    tried = 0
    for seed in range(50 * most_seeds):
        plan = Plan.of(seed)
        if not bug.suits(plan) or tried == most_seeds:
            continue
        tried += 1
        with pytest.MonkeyPatch.context() as patch:
            bug.plant(patch)
            broken = run_seed(seed, plan=plan).broken
        if broken:
            # What fails without the bug too says nothing of it.
            run_seed(seed, plan=plan).raise_if_broken()
            return Caught(bug, tried, broken[0])
    return Caught(bug, tried)


def _test_fails(bug: PlantedBug, *, planted: bool) -> bool:
    """Whether the named test fails with the bug."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", "-p", "tests.mutation.hunt", bug.test]
    environ = {**os.environ, VARIABLE: bug.name if planted else ""}
    ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=TEST_SECONDS)
    # 1: tests were run, and some failed. Anything else is trouble of another kind.
    return ended.returncode == 1


def pytest_configure() -> None:
    """As a plugin of pytest: plant what the environment names, for the whole run."""
    name = os.environ.get(VARIABLE, "")
    for bug in PLANTED:
        if bug.name == name:
            bug.plant(pytest.MonkeyPatch())
