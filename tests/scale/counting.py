"""What work costs, counted instead of timed: the same on every machine, however busy it is."""

import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

import attrs


@attrs.define
class Count:
    """Steps that were counted so far."""

    steps: int = 0


@contextmanager
def sqlite_steps(connections: Sequence[sqlite3.Connection]) -> Iterator[Count]:
    """Instructions of SQLite's virtual machine on any of these connections. A row that is looked at takes several."""
    count = Count()

    def step() -> int:
        count.steps += 1
        return 0

    for connection in connections:
        connection.set_progress_handler(step, 1)
    try:
        yield count
    finally:
        for connection in connections:
            connection.set_progress_handler(None, 0)


@contextmanager
def python_steps() -> Iterator[Count]:
    """Instructions of Python's virtual machine in this thread. What C functions do inside is not seen."""
    count = Count()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode":
            count.steps += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield count
    finally:
        sys.settrace(before)
