"""Stacks of this process's main thread, one for each of so many milliseconds of CPU time."""

import functools
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Final

Stack = tuple[str, ...]
INTERVAL_SECONDS: Final = 0.001
_HERE: Final = Path(__file__).parent.parent.parent.parent


@contextmanager
def sampled() -> Iterator[Counter[Stack]]:
    """How often each stack was seen, from the outermost function to the innermost.

    The signal comes while CPU time passes, in Python or in a system call that works; who waits is not seen.
    """
    found: Counter[Stack] = Counter()

    def sample(number: int, frame: FrameType | None) -> None:
        found[stack_of(frame)] += 1

    before = signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL_SECONDS, INTERVAL_SECONDS)
    try:
        yield found
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def stack_of(frame: FrameType | None) -> Stack:
    names: list[str] = []
    while frame is not None:
        names.append(_name(frame.f_code))
        frame = frame.f_back
    return tuple(reversed(names))


@functools.cache  # so that sampling itself takes little
def _name(code: CodeType) -> str:
    return f"{_module(code.co_filename)}:{code.co_qualname}"


def _module(file: str) -> str:
    """``moltnet/core/messaging`` or ``trio/_core/_run``."""
    path = Path(file)
    if path.is_relative_to(_HERE) and ".venv" not in path.parts:
        return str(path.relative_to(_HERE).with_suffix(""))
    parts = path.with_suffix("").parts
    after = next((parts.index(each) for each in ("site-packages", "python3.11") if each in parts), len(parts) - 2)
    return "/".join(parts[after + 1 :])
