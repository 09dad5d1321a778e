"""What became of a run, read from the history of its session."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from bridge.runtimes.openclaw.history import RunState, run_state

OURS = {"role": "user", "content": "hello", "idempotencyKey": "run-1:user"}
OTHER = {"role": "user", "content": "more", "idempotencyKey": "run-0:user"}
ANSWER = {"role": "assistant", "stopReason": "stop"}
TOOL_CALL = {"role": "assistant", "stopReason": "toolUse"}
ERROR = {"role": "assistant", "stopReason": "error"}


def history(*messages: Mapping[str, Any], pending: Sequence[str] = (), **info: Any) -> Mapping[str, Any]:
    items = [{"runId": run_id} for run_id in pending]
    return {"messages": messages and list(messages), "sessionInfo": info, "pendingInputs": {"items": items}}


@pytest.mark.parametrize(
    ("payload", "state"),
    [
        (history(), RunState.UNKNOWN),
        (history(OTHER, ANSWER), RunState.UNKNOWN),
        (history(OTHER, ANSWER, hasActiveRun=True), RunState.UNKNOWN),
        (history(OURS, hasActiveRun=True, status="running"), RunState.RUNNING),
        (history(OURS, TOOL_CALL, hasActiveRun=True), RunState.RUNNING),
        (history(OTHER, pending=["run-1"], hasActiveRun=True), RunState.RUNNING),
        (history(pending=["run-1"]), RunState.INTERRUPTED),
        (history(OURS, status="running"), RunState.INTERRUPTED),
        (history(OURS), RunState.INTERRUPTED),
        (history(OURS, TOOL_CALL, status="running"), RunState.INTERRUPTED),
        (history(OURS, status="done"), RunState.FINISHED),  # silent: nothing was said
        (history(OTHER, ANSWER, OURS, TOOL_CALL, ANSWER, status="done"), RunState.FINISHED),
        (history(OURS, ERROR), RunState.FAILED),
        (history(OURS, ERROR, ANSWER, status="done"), RunState.FINISHED),  # it was taken up again
        ({}, RunState.UNKNOWN),
        ({"messages": 7, "sessionInfo": [], "pendingInputs": {"items": "none"}}, RunState.UNKNOWN),
        ({"messages": ["text", None, OURS, ANSWER]}, RunState.FINISHED),
    ],
)
def test_the_history_tells_what_became_of_a_run(payload: Mapping[str, Any], state: RunState) -> None:
    assert run_state(payload, "run-1") is state
