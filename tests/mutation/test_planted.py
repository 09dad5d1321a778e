"""Planted bugs are caught. These in a few seconds; all of them by `python -m tests.mutation`."""

import pytest

from tests.mutation.hunt import hunt
from tests.mutation.planted import PLANTED, PlantedBug

# One for each guarantee, and quick to find.
QUICK = (
    "drop-an-event",
    "answer-before-commit",
    "beyond-the-window",
    "leak-a-task",
    "non-member-reads",
    "log-a-secret",
    "relay-twice",
    "forget-the-finished",
)
MOST_SEEDS = 12


@pytest.mark.slow
@pytest.mark.parametrize("bug", [bug for bug in PLANTED if bug.name in QUICK], ids=lambda bug: bug.name)
def test_a_planted_bug_is_caught(bug: PlantedBug) -> None:
    caught = hunt(bug, MOST_SEEDS)

    assert caught.is_caught, f"{bug.breaks}, and {caught.seeds} worlds did not notice"
    assert not caught.by.startswith("the run crashed"), caught.by


def test_every_planted_bug_has_a_name_of_its_own() -> None:
    assert len({bug.name for bug in PLANTED}) == len(PLANTED)
    assert set(QUICK) <= {bug.name for bug in PLANTED}
