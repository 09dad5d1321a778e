"""Invariant: whatever an agent program says over its socket or its HTTP port, it is taken, or refused by a known error.

What is remembered of it stays bounded, what is shown of it is one line, and a text is said only if it is a text. These
are the programs that are not read line by line (``transcripts`` has those): OpenClaw's gateway, PicoClaw in both forms,
TinyClaw's queue, and whatever answers at a control URL.

An input is one message of the program on each line.
"""

import sys
from collections.abc import Hashable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Final, cast

import orjson

from bridge import limits
from bridge.runtimes import control, tinyclaw
from bridge.runtimes.agent_http import check_answer
from bridge.runtimes.openclaw.frames import (
    Answer,
    Challenge,
    FrameUnreadable,
    call_failure,
    connect_failure,
    parse_frame,
    signed_text,
)
from bridge.runtimes.openclaw.history import last_word, run_state
from bridge.runtimes.picoclaw import answer_in
from bridge.runtimes.picoclaw_events import PicoTurn
from bridge.runtimes.runtime import RuntimeMisconfigured, TurnFailed
from fuzz.campaign import Target, main
from moltnet.client import http
from moltnet.client.connection import Head

RUN: Final = "run_1"
AGENT: Final = "alpha"
STATUSES: Final = (200, 401, 409, 429, 500)
SERVER: Final = cast("http.HttpClient", SimpleNamespace(server="127.0.0.1:1"))
TOKENS: Final = tuple(
    token.encode()
    for token in (
        *('"type":', '"res"', '"event"', '"ok":', "true", "false", '"payload":', '"error":', '"code":', '"message":'),
        *('"details":', '"retryAfterMs":', '"retryable":', '"UNAVAILABLE"', '"NOT_PAIRED"', '"connect.challenge"'),
        *('"nonce":', '"ts":', '"id":', '"messages":', '"idempotencyKey":', f'"{RUN}:user"', '"role":', '"assistant"'),
        *(
            '"stopReason":',
            '"toolUse"',
            '"content":',
            '"text":',
            '"sessionInfo":',
            '"hasActiveRun":',
            '"pendingInputs":',
        ),
        *(
            '"items":',
            '"runId":',
            f'"{RUN}"',
            '"typing.start"',
            '"typing.stop"',
            '"message.create"',
            '"message.update"',
        ),
        *('"message.delete"', '"message_id":', '"thought":', '"kind":', '"request_id":', '"messageId":', "🦞"),
        *(f"m1~{AGENT}", f"- [{AGENT}]", "{", "}", "[", "]", ",", "null", "1e308", "\n"),
    )
)


def check(data: bytes) -> Hashable:
    """Raises if a message breaks the invariant; otherwise says what the programs' messages were taken for."""
    lines = data.split(b"\n")
    return (
        tuple(sorted({_kind_of_frame(line) for line in lines})),
        _kind_of_history(data),
        _kind_of_events(lines),
        *sorted({_kind_of_answer(data, status) for status in STATUSES}),
        _kind_of_responses(data),
        _said(answer_in(data.decode(errors="replace"))),
    )


def _kind_of_frame(line: bytes) -> str:
    try:
        frame = parse_frame(line)
    except FrameUnreadable as error:
        return str(error)
    if isinstance(frame, Challenge):
        signed_text("device", frame, "token")
    if not isinstance(frame, Answer) or frame.refusal is None:
        return type(frame).__name__
    refusal = frame.refusal
    if not 0 <= refusal.retry_after_seconds < float("inf"):
        raise AssertionError(f"wait {refusal.retry_after_seconds} s")
    for failure in (call_failure("chat.send", refusal), connect_failure(refusal, "device")):
        _check_line(str(failure))
    return f"{type(call_failure('chat.send', refusal)).__name__} {refusal.passes}"


def _kind_of_history(data: bytes) -> Hashable:
    value = _json(data)
    if not isinstance(value, dict):
        return None
    said = last_word(value, RUN)
    return run_state(value, RUN).name, _said(said)


def _kind_of_events(lines: Sequence[bytes]) -> Hashable:
    turn = PicoTurn(RUN)
    for line in lines:
        turn.read(line)
        held = (turn._said, turn._inner)
        if any(len(kept) > limits.MAX_AGENT_MESSAGES for kept in held):
            raise AssertionError("more messages are kept than there may be")
        if any(len(text) > limits.MAX_PUBLISHED_BYTES + 1 for text in turn._said.values()):
            raise AssertionError("a message is kept that is longer than any that is published")
    if turn.failure is not None and not turn.failure:
        raise AssertionError("failed without a reason")
    return turn.has_stopped, turn.failure is not None, _said(turn.said)


def _kind_of_answer(body: bytes, status: int) -> str:
    try:
        check_answer(SERVER, http.Answer(Head(status, ()), body))
    except (TurnFailed, RuntimeMisconfigured) as error:
        _check_line(str(error))
        return f"{status} {type(error).__name__}"
    return f"{status} {_said(control._message(body))}"


def _kind_of_responses(data: bytes) -> Hashable:
    try:
        responses = list(_responses(_json(data)))
    except TurnFailed as failure:
        _check_line(failure.reason)
        return "no list"
    return min(len(responses), 3), *sorted({_said(tinyclaw._text(each, AGENT)) for each in responses})


def _responses(value: Any) -> Iterator[Mapping[str, Any]]:
    yield from tinyclaw._responses(value)


def _json(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _said(text: str | None) -> str:
    if text is None:
        return "silent"
    if not isinstance(text, str):
        raise AssertionError(f"{text!r} is nothing that was said")
    return "said something" if text else "said nothing"


def _check_line(text: str) -> None:
    if not text or "\n" in text:
        raise AssertionError(f"{text!r} is no line of a log")


TARGET: Final = Target("gateways", check, TOKENS)

if __name__ == "__main__":
    sys.exit(main([TARGET]))
