"""The table of transitions: an expectation for each cell, the same at work in a session, and the page drawn from it."""

import json
from typing import Any

import pytest

from fuzz.frames import CURSOR, EVENT, NETWORK, NOW, pair_in
from moltnet.protocol.attachment import ClientSession, ServerSession
from moltnet.protocol.errors import ProtocolMisuse, ProtocolViolation
from moltnet.protocol.frames import parse_frame
from moltnet.protocol.network import ATTACH_PROTOCOL
from moltnet.protocol.transitions import FRAME_CLASSES, TRANSITIONS, Refusal, Role, State
from scripts.attach_session_page import PAGE, page

# Written by hand: the initial of the state that a frame leads to, or a dot where the frame is refused.
OPS = ("HELLO", "IDENTIFY", "READY", "EVENT", "ACK", "PING", "PONG", "ERROR", "DANCE")
LETTERS = {
    "G": State.GREETING,
    "I": State.IDENTIFYING,
    "D": State.DECIDING,
    "A": State.ATTACHED,
    "C": State.CLOSED,
}
EXPECTED = {
    # In the order of OPS.
    (Role.SERVER, State.GREETING): ". . . . . . . C .",
    (Role.SERVER, State.IDENTIFYING): ". D . . . . . C .",
    (Role.SERVER, State.DECIDING): ". . . . . D D C .",
    (Role.SERVER, State.ATTACHED): ". . . . A A A C .",
    (Role.SERVER, State.CLOSED): "C C C C C C C C C",
    (Role.CLIENT, State.GREETING): "I . . . . . . C .",
    (Role.CLIENT, State.IDENTIFYING): ". . . . . . . C .",
    (Role.CLIENT, State.DECIDING): ". . A . . . . C .",
    (Role.CLIENT, State.ATTACHED): ". . . A . A . C .",
    (Role.CLIENT, State.CLOSED): "C C C C C C C C C",
}
REFUSALS = {
    (Role.SERVER, State.GREETING): 'unexpected frame op "{op}" before HELLO',
    (Role.SERVER, State.IDENTIFYING): "expected IDENTIFY frame",
    (Role.SERVER, State.DECIDING): 'unexpected frame op "{op}" before READY',
    (Role.SERVER, State.ATTACHED): 'unexpected frame op "{op}"',
    (Role.CLIENT, State.GREETING): "expected HELLO frame",
    (Role.CLIENT, State.IDENTIFYING): 'unexpected frame op "{op}" before IDENTIFY',
    (Role.CLIENT, State.DECIDING): "expected READY frame",
    (Role.CLIENT, State.ATTACHED): 'unexpected frame op "{op}"',
}
CONTENT: dict[str, dict[str, Any]] = {
    "HELLO": {"heartbeat_interval_ms": 5000},
    "IDENTIFY": {"network_id": NETWORK, "agent": {"id": "alpha"}},
    "READY": {"network_id": NETWORK},
    "EVENT": {"cursor": "evt_2", "event": json.loads(EVENT)},
    "ACK": {"cursor": CURSOR},
}
CELLS = [
    pytest.param(role, state, op, letter, id=f"{role.value}-{state.value}-{op}")
    for (role, state), letters in EXPECTED.items()
    for op, letter in zip(OPS, letters.split(), strict=True)
]


def frame_text(op: str) -> str:
    return json.dumps({"op": op, "version": ATTACH_PROTOCOL, **CONTENT.get(op, {})})


def session_in(role: Role, state: State) -> ServerSession | ClientSession:
    server, client = pair_in(state)
    return server if role is Role.SERVER else client


def test_every_cell_has_an_expectation() -> None:
    assert set(TRANSITIONS) == {(role, state) for role in Role for state in State} == set(EXPECTED)
    assert {type(parse_frame(frame_text(op))) for op in OPS} == set(FRAME_CLASSES)
    assert all(set(row) == set(FRAME_CLASSES) for row in TRANSITIONS.values())
    assert len(CELLS) == len(Role) * len(State) * len(FRAME_CLASSES)


@pytest.mark.parametrize(("role", "state", "op", "letter"), CELLS)
def test_a_cell_says_what_is_expected(role: Role, state: State, op: str, letter: str) -> None:
    cell = TRANSITIONS[role, state][type(parse_frame(frame_text(op)))]
    expected = Refusal(REFUSALS[role, state]) if letter == "." else LETTERS[letter]
    assert cell == expected


@pytest.mark.parametrize(("role", "state", "op", "letter"), CELLS)
def test_a_session_does_what_the_cell_says(role: Role, state: State, op: str, letter: str) -> None:
    session = session_in(role, state)
    assert session.state is state
    if letter == ".":
        with pytest.raises(ProtocolViolation) as caught:
            session.receive_text(frame_text(op), NOW)
        assert caught.value.answer == REFUSALS[role, state].replace("{op}", op)
        assert caught.value.close_code == 1008
        assert session.state is State.CLOSED
    else:
        session.receive_text(frame_text(op), NOW)
        assert session.state is LETTERS[letter]


def test_states_only_lead_forward() -> None:
    order = list(State)
    for (_, state), row in TRANSITIONS.items():
        for outcome in row.values():
            assert isinstance(outcome, Refusal) or order.index(outcome) >= order.index(state)


# Which of our own calls each state allows. `error` is allowed in all of them.
SERVER_CALLS = {
    "hello": {State.GREETING},
    "ready": {State.DECIDING},
    "event": {State.ATTACHED},
    "ping": {State.ATTACHED},
    "error": set(State),
}
CLIENT_CALLS = {"identify": {State.IDENTIFYING}, "ack": {State.ATTACHED}, "error": set(State)}


def call(session: ServerSession | ClientSession, name: str) -> str:
    arguments: dict[str, tuple[object, ...]] = {
        "ready": ("alpha", "actor_1", "molt://net_a/agents/alpha"),
        "event": ("evt_2", "frame\n"),
        "ping": (NOW,),
        "error": ("the end",),
        "ack": (CURSOR,),
    }
    return str(getattr(session, name)(*arguments.get(name, ())))


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize(
    ("role", "name", "allowed"),
    [(Role.SERVER, *each) for each in SERVER_CALLS.items()] + [(Role.CLIENT, *each) for each in CLIENT_CALLS.items()],
)
def test_a_call_that_the_state_does_not_allow_is_our_own_mistake(
    role: Role, name: str, allowed: set[State], state: State
) -> None:
    session = session_in(role, state)
    if state in allowed:
        assert call(session, name).endswith("\n")
    else:
        with pytest.raises(ProtocolMisuse):
            call(session, name)
        assert session.state is state


def test_the_page_in_docs_is_drawn_from_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m scripts.attach_session_page"
