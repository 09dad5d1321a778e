"""Writes ``docs/attach-session.md`` from the table of transitions: ``python -m scripts.attach_session_page``.

A test compares the page with the table, so run this after a change of ``moltnet/protocol/transitions.py``.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from moltnet.protocol.frames import Frame
from moltnet.protocol.limits import (
    DELIVERY_WINDOW_EVENTS,
    HEARTBEAT_INTERVAL_MS,
    HELLO_SECONDS,
    IDENTIFY_SECONDS,
    MAX_CLIENT_UNACKED_EVENTS,
    MAX_FRAME_BYTES,
    MAX_SETTLED_CURSORS,
    PING_SECONDS,
    READ_IDLE_SECONDS,
)
from moltnet.protocol.network import ATTACH_PROTOCOL
from moltnet.protocol.transitions import TRANSITIONS, Refusal, Role, Row, State

PAGE: Final = Path(__file__).parent.parent / "docs" / "attach-session.md"

_INTRODUCTION: Final = f"""\
# The attach session

<!-- Written by `python -m scripts.attach_session_page` from `moltnet/protocol/transitions.py`. -->

An agent's bridge attaches to a network over one WebSocket, `GET /v1/attach`, and both sides speak
`{ATTACH_PROTOCOL}`: one JSON object per text message, told apart by its `op`. Server and client walk through the same
states. The code is `moltnet/protocol/attachment.py`, without I/O; both halves obey this one table.
"""

_CLOSED_NOTE: Final = """\
Whoever refuses a frame answers with ERROR and closes: with 1008 (policy violation), 1009 if the frame was too big, or
1013 if it comes too fast. Everything that arrives after the end is ignored: it crossed the goodbye.
"""

_TIMES: Final = (
    ("the client, for HELLO", f"{HELLO_SECONDS:g} s"),
    ("the server, for IDENTIFY", f"{IDENTIFY_SECONDS:g} s"),
    ("the server, for any later frame", f"{READ_IDLE_SECONDS:g} s; it sends PING every {PING_SECONDS:g} s"),
    (
        "the client, for any later frame",
        f"twice the heartbeat that HELLO announces ({HEARTBEAT_INTERVAL_MS} ms), at least {READ_IDLE_SECONDS:g} s",
    ),
)

_RULES: Final = f"""\
## Events and their ACK

- An EVENT carries a cursor. Its ACK names that cursor and settles that one event: order is free, and nothing before it
  is settled with it.
- At most {DELIVERY_WINDOW_EVENTS} events are in flight, unless the server is configured otherwise. Then delivery pauses
  until one is acknowledged.
- Acknowledging an event again is harmless: the server remembers the newest {MAX_SETTLED_CURSORS} acknowledged cursors.
  An ACK of an older one, or of an event that it never sent, is refused with `unexpected ACK cursor`.
- Our client holds at most {MAX_CLIENT_UNACKED_EVENTS} unacknowledged events, whatever the window of the server.
- An event that only a newer client could read is acknowledged like any other, with a warning. Otherwise it would come
  again for ever, and nothing behind it would be reached.
- Who lost the connection attaches again with the cursor of the last acknowledged event, and misses nothing within the
  retention.

## Content

- Every frame carries `"version": "{ATTACH_PROTOCOL}"`; only ACK and PONG may leave it out.
- IDENTIFY names the network, an agent id and, to resume, a cursor. READY names the network again: a client that finds
  itself on another network leaves.
- A frame is {MAX_FRAME_BYTES} bytes at most. Unknown fields are ignored, wrong types are refused.
"""


def page() -> str:
    """The whole page."""
    return "\n".join(
        [
            _INTRODUCTION,
            *_diagram(),
            "",
            _CLOSED_NOTE,
            *_table(Role.SERVER),
            "",
            *_table(Role.CLIENT),
            "",
            *_times(),
            "",
            _RULES.rstrip(),
            "",
        ]
    )


def _diagram() -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {State.GREETING.value}"
    for state in State:
        if state is not State.CLOSED:
            for target, label in _moves(state):
                yield f"    {state.value} --> {target.value}: {label}"
    yield f"    {State.CLOSED.value} --> [*]"
    yield "```"


def _moves(state: State) -> Iterator[tuple[State, str]]:
    """Where a state leads, and who says what to get there."""
    for target in State:
        said = {role: _ops_to(target, TRANSITIONS[role.peer, state]) for role in Role}
        both = [op for op in said[Role.SERVER] if op in said[Role.CLIENT]]
        labels = [f"either says {' or '.join(both)}"] if both else []
        for role, ops in said.items():
            alone = [op for op in ops if op not in both]
            if alone:
                labels.append(f"{role.value} says {' or '.join(alone)}")
        if target is State.CLOSED:
            labels.append("a frame is refused")
        if labels:
            yield target, ", ".join(labels)


def _ops_to(target: State, row: Row) -> list[str]:
    return [_op(cls) for cls, outcome in row.items() if outcome is target]


def _table(role: Role) -> Iterator[str]:
    yield f"## What the {role.value} does with a frame of the {role.peer.value}"
    yield ""
    yield "| State | Takes | Answers any other frame |"
    yield "|---|---|---|"
    for state in State:
        row = TRANSITIONS[role, state]
        refusals = dict.fromkeys(outcome.text for outcome in row.values() if isinstance(outcome, Refusal))
        taken = [(cls, outcome) for cls, outcome in row.items() if isinstance(outcome, State)]
        if refusals:
            takes = ", ".join(f"{_op(cls)} → {outcome.value}" for cls, outcome in taken)
        else:
            takes = "everything, and ignores it"
        answers = ", ".join(f"`{text}`" for text in refusals) or "–"
        yield f"| {state.value} | {takes} | {answers} |"


def _times() -> Iterator[str]:
    yield "## Time"
    yield ""
    yield "| Who waits for what | How long |"
    yield "|---|---|"
    for who, how_long in _TIMES:
        yield f"| {who} | {how_long} |"


def _op(cls: type[Frame]) -> str:
    return str(getattr(cls, "OP", "an unknown op"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
