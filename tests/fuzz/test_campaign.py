"""The fuzzers find what is broken, keep it, and the stored inputs break nothing."""

import random
from collections.abc import Hashable
from itertools import repeat
from pathlib import Path

import pytest

from fuzz.campaign import CORPUS, Target, main, record, run_campaign, seeds, until
from fuzz.mutation import MAX_INPUT_BYTES, mutate
from fuzz.targets import NAMES, target

CORPUS_FILES = sorted(path for path in CORPUS.glob("*/*") if path.is_file())


def needle(data: bytes) -> Hashable:
    if b"{[" in data:
        raise ZeroDivisionError("found")
    return len(data) % 3


BROKEN = Target("broken", needle, (b"{", b"["))


def test_every_target_has_seeds_and_every_seed_a_target() -> None:
    assert {path.parent.name for path in CORPUS_FILES} == set(NAMES)


@pytest.mark.parametrize("path", CORPUS_FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_stored_input_breaks_nothing(path: Path) -> None:
    assert target(path.parent.name).check(path.read_bytes()) is not None


@pytest.mark.parametrize("name", NAMES)
def test_a_short_campaign_breaks_nothing_and_sees_different_outcomes(name: str) -> None:
    each = target(name)
    outcome = run_campaign(each, seeds(each), random.Random(1), repeat(None, 300))
    assert outcome.failure is None
    assert outcome.inputs == 300 + len(seeds(each))
    assert outcome.kinds > 3


def test_a_broken_invariant_is_found_and_its_input_is_cut_down() -> None:
    outcome = run_campaign(BROKEN, [b"a harmless seed"], random.Random(1), repeat(None, 10_000))
    assert outcome.failure is not None
    assert outcome.failure.data == b"{["
    assert isinstance(outcome.failure.error, ZeroDivisionError)


def test_a_failing_input_is_the_first_thing_that_the_next_run_tries(tmp_path: Path) -> None:
    outcome = run_campaign(BROKEN, [b"x{[x"], random.Random(1), iter(()))
    assert outcome.failure is not None
    path = record(BROKEN, outcome.failure, tmp_path)
    assert path.read_bytes() == b"{["
    again = run_campaign(BROKEN, seeds(BROKEN, tmp_path), random.Random(2), iter(()))
    assert again.failure is not None
    assert again.inputs == 1


def test_a_campaign_repeats_itself_with_the_same_seed() -> None:
    runs = [run_campaign(BROKEN, [b"seed"], random.Random(7), repeat(None, 10_000)) for _ in range(2)]
    assert runs[0].inputs == runs[1].inputs > 1


def test_the_command_says_what_it_did_and_whether_anything_broke(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    healthy = Target("healthy", len)
    assert main([healthy], ["--seconds", "0", "--seed", "5"], corpus=tmp_path) == 0
    assert capsys.readouterr().out == "healthy: 1 inputs, 1 kinds of outcome, seed 5: nothing broke\n"
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "crash").write_bytes(b"{[")
    assert main([healthy, BROKEN], ["--seconds", "0", "--seed", "5"], corpus=tmp_path) == 1
    shown = capsys.readouterr()
    assert "broken: 1 inputs, 0 kinds of outcome, seed 5: BROKEN" in shown.out
    assert "ZeroDivisionError: found" in shown.err


def test_a_campaign_of_no_time_ends_at_once() -> None:
    assert list(until(0)) == []


def test_a_mutation_is_bounded_and_borrows_from_the_corpus() -> None:
    rng = random.Random(3)
    corpus = [b"<first>" * 5000, b"<second>"]
    made = [mutate(rng, corpus[0], corpus, [b"TOKEN"]) for _ in range(200)]
    assert max(map(len, made)) <= MAX_INPUT_BYTES
    assert any(b"TOKEN" in each for each in made)
    assert any(each.endswith(b"cond>") for each in made)
