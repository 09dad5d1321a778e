"""Runs one target against many inputs, keeps what led somewhere new, and writes a failing input into the corpus."""

import argparse
import hashlib
import itertools
import random
import re
import sys
import time
import traceback
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from fuzz.mutation import mutate

CORPUS: Final = Path(__file__).parent / "corpus"
DEFAULT_SECONDS: Final = 30.0
MAX_KEPT_INPUTS: Final = 4096
"""New outcomes stop being news at some point; this bounds the memory of a campaign of days."""
MAX_SHRINKING_INPUTS: Final = 10_000
MAX_SHAPE_CHARACTERS: Final = 160
_INPUTS_PER_LOOK_AT_THE_CLOCK: Final = 64


@attrs.frozen
class Target:
    """Something with an invariant.

    ``check`` raises if an input breaks it, and otherwise says what kind of thing happened: an input with a new outcome
    is worth mutating. ``tokens`` are words that occur in good inputs. The corpus is ``corpus/<name>/``.
    """

    name: str
    check: Callable[[bytes], Hashable]
    tokens: tuple[bytes, ...] = ()


@attrs.frozen
class Failure:
    """An input that breaks the invariant, and what it raised."""

    data: bytes
    error: Exception


@attrs.frozen
class Outcome:
    """How a campaign went."""

    inputs: int
    kinds: int
    failure: Failure | None


def shape(text: str) -> str:
    """A message without what the input gave to it, so that equal reasons count as one kind."""
    return re.sub(r'[0-9]+|"[^"]*"', "#", text)[:MAX_SHAPE_CHARACTERS]


def seeds(target: Target, corpus: Path = CORPUS) -> tuple[bytes, ...]:
    """The stored inputs, in the order of their names; at least an empty one."""
    files = sorted(path for path in (corpus / target.name).glob("*") if path.is_file())
    return tuple(path.read_bytes() for path in files) or (b"",)


def run_campaign(target: Target, seed_inputs: Sequence[bytes], rng: random.Random, rounds: Iterator[object]) -> Outcome:
    """Check the seeds, then mutations of them, one per item of ``rounds``, until one fails."""
    kept = list(seed_inputs)
    kinds: set[Hashable] = set()
    inputs = 0
    pending = iter(seed_inputs)
    for _ in itertools.chain(seed_inputs, rounds):
        data = next(pending, None)
        is_seed = data is not None
        if data is None:
            data = mutate(rng, rng.choice(kept), kept, target.tokens)
        inputs += 1
        try:
            kind = target.check(data)
        except Exception as error:
            return Outcome(inputs, len(kinds), _shrunk(target, Failure(data, error)))
        if kind not in kinds and len(kept) < MAX_KEPT_INPUTS:
            kinds.add(kind)
            if not is_seed:
                kept.append(data)
    return Outcome(inputs, len(kinds), None)


def until(seconds: float) -> Iterator[int]:
    """Counts for that long."""
    end = time.monotonic() + seconds
    for count in itertools.count():
        if count % _INPUTS_PER_LOOK_AT_THE_CLOCK == 0 and time.monotonic() >= end:
            return
        yield count


def record(target: Target, failure: Failure, corpus: Path = CORPUS) -> Path:
    """Store the input, so that every later run begins with it."""
    path = corpus / target.name / f"crash-{hashlib.sha256(failure.data).hexdigest()[:16]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(failure.data)
    return path


def main(targets: Sequence[Target], arguments: Sequence[str] | None = None, *, corpus: Path = CORPUS) -> int:
    """The command line of a target, or of all: 0 if nothing broke, 1 if something did."""
    parser = argparse.ArgumentParser(description="Look for inputs that break an invariant.")
    parser.add_argument("--seconds", type=float, default=DEFAULT_SECONDS, help="for each target (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=None, help="of the random numbers, to repeat a run")
    options = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    failed = 0
    for target in targets:
        outcome = run_campaign(target, seeds(target, corpus), random.Random(seed), until(options.seconds))
        result = "nothing broke" if outcome.failure is None else "BROKEN"
        print(f"{target.name}: {outcome.inputs} inputs, {outcome.kinds} kinds of outcome, seed {seed}: {result}")
        if outcome.failure is not None:
            failed = 1
            traceback.print_exception(outcome.failure.error)
            print(f"the input is in {record(target, outcome.failure, corpus)}", file=sys.stderr)
    return failed


def _shrunk(target: Target, failure: Failure) -> Failure:
    """The same failure with less input: pieces are cut out as long as the same kind of error comes."""
    size, start = max(1, len(failure.data) // 2), 0
    for _ in range(MAX_SHRINKING_INPUTS):
        if start >= len(failure.data):
            if size == 1:
                break
            size, start = size // 2, 0
        data = failure.data[:start] + failure.data[start + size :]
        try:
            target.check(data)
        except Exception as error:
            if type(error) is type(failure.error):
                failure = Failure(data, error)
                continue
        start += size
    return failure
