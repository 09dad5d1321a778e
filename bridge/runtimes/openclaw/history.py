"""What a gateway's history says about a run that it has forgotten, because it was restarted (real runtimes §5). Pure.

A gateway that was killed takes its interrupted turns up by itself, under other run ids; the history tells.
"""

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any, Final

_FAILED_STOPS: Final = ("error", "aborted")  # a stop may be anything, also what has no hash
_UNFINISHED_STOP: Final = "toolUse"


class RunState(Enum):
    UNKNOWN = auto()
    """The conversation has no trace of it: it was never begun."""
    RUNNING = auto()
    INTERRUPTED = auto()
    """It was begun, and nothing runs: the gateway was stopped, and may take it up again within a moment."""
    FINISHED = auto()
    FAILED = auto()


def run_state(history: Mapping[str, Any], run_id: str) -> RunState:
    """The state of a run, from the payload of `chat.history` for its session."""
    info = _object(history.get("sessionInfo"))
    active = info.get("hasActiveRun") is True
    if any(item.get("runId") == run_id for item in _items(_object(history.get("pendingInputs")).get("items"))):
        return RunState.RUNNING if active else RunState.INTERRUPTED
    later = _later_entries(_items(history.get("messages")), f"{run_id}:user")
    if later is None:
        return RunState.UNKNOWN
    if active:
        return RunState.RUNNING
    stops = [entry.get("stopReason") for entry in later if entry.get("role") == "assistant"]
    if stops and stops[-1] != _UNFINISHED_STOP:
        return RunState.FAILED if stops[-1] in _FAILED_STOPS else RunState.FINISHED
    # An agent that stayed silent leaves no entry.
    return RunState.FINISHED if info.get("status") == "done" else RunState.INTERRUPTED


def last_word(history: Mapping[str, Any], run_id: str) -> str | None:
    """What the agent said last in this run; None if it stayed silent."""
    later = _later_entries(_items(history.get("messages")), f"{run_id}:user") or ()
    said = [entry.get("content") for entry in later if entry.get("role") == "assistant"]
    if not said:
        return None
    texts = [said[-1]] if isinstance(said[-1], str) else [block.get("text") for block in _items(said[-1])]
    return "\n\n".join(text for text in texts if isinstance(text, str) and text) or None


def _later_entries(entries: Sequence[Mapping[str, Any]], key: str) -> Sequence[Mapping[str, Any]] | None:
    """What followed the prompt with this key."""
    for index, entry in enumerate(entries):
        if entry.get("idempotencyKey") == key:
            return entries[index + 1 :]
    return None


def _items(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
