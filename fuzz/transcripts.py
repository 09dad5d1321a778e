"""Invariant: whatever an agent program prints, its transcript takes it, and its judgement is one of the known ones.

And what follows from it: a session is remembered only by a name that is a text; a text of the model is never proof that
a session is unknown; and a run that was told to be done stays so if noise comes after it.
"""

import logging
import sys
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from bridge.process import Ending
from bridge.runtimes.claude_code import ClaudeDialect
from bridge.runtimes.cli_agent import Dialect, Run, SessionUnknown, Transcript
from bridge.runtimes.codex import CodexDialect
from bridge.runtimes.pi import PiDialect
from bridge.runtimes.runtime import RuntimeMisconfigured, TurnFailed
from fuzz.campaign import Target, main

SESSION: Final = "01a1f734-7dd1-4843-9ff4-e9a1269f5c38"
ENDINGS: Final = (0, 1, 2, -9)
NOISE: Final = (b"", b"[]", b"\xff{", b"null", b'{"type":null}', b'{"type":["result"]}')
DIALECTS: Final[tuple[Dialect, ...]] = (
    CodexDialect(("codex",)),
    ClaudeDialect(("claude",)),
    PiDialect(("pi",), Path("sessions")),
)
TOKENS: Final = tuple(
    token.encode()
    for token in (
        *('"type":', '"subtype":', '"session_id":', '"thread_id":', f'"{SESSION}"', '"result"', '"system"', '"init"'),
        *('"is_error":', "false", "true", "null", '"success"', '"errors":', '"permission_denials":', '"tool_name":'),
        *('"api_error_status":', "401", '"turn.completed"', '"turn.failed"', '"thread.started"', '"error"', '"item":'),
        *('"item.completed"', '"agent_message"', '"text":', '"message":', "No conversation found with session ID"),
        *("no rollout found", "is already in use", "Error: ", "error: ", "{", "}", "[", "]", ",", "\n"),
    )
)


def check(data: bytes) -> Hashable:
    """Raises if an output breaks the invariant; otherwise says how each program's run was judged."""
    with _quiet():
        return _judgements(data)


def _judgements(data: bytes) -> tuple[str, ...]:
    text = data.decode(errors="replace")
    lines = data.split(b"\n")
    kinds: list[str] = []
    for dialect in DIALECTS:
        runs: tuple[Callable[[], Run], ...] = (dialect.begin, partial(dialect.resume, SESSION))
        for make in runs:
            for exit_code in ENDINGS:
                ending = Ending(exit_code, text, output_truncated=False, errors=text if exit_code else "")
                kind = _judged(make().transcript, lines, ending)
                if kind == "done" and _judged(make().transcript, [*lines, *NOISE], ending) != "done":
                    raise AssertionError("noise undid a turn that was done")
                kinds.append(kind)
    return tuple(kinds)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the log's remarks on what is odd: here everything is."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _judged(transcript: Transcript, lines: list[bytes], ending: Ending) -> str:
    try:
        for line in lines:
            transcript.read(line)
            if not (transcript.session_id is None or isinstance(transcript.session_id, str)):
                raise AssertionError(f"{transcript.session_id!r} is no session")
        said = transcript.judge(ending)
    except (SessionUnknown, RuntimeMisconfigured) as error:
        return type(error).__name__
    except TurnFailed as failure:
        if not failure.reason:
            raise AssertionError("failed without a reason") from failure
        return f"TurnFailed {failure.retryable}"
    if not (said is None or isinstance(said, str)):
        raise AssertionError(f"{said!r} is nothing that was said")
    return "done"


TARGET: Final = Target("transcripts", check, TOKENS)

if __name__ == "__main__":
    sys.exit(main((TARGET,)))
