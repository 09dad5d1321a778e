"""The attach session against anything at all: whatever comes, an input or a refusal, and never an unbounded state."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz import frames, session
from fuzz.frames import EVENT, NETWORK, pair_in
from fuzz.session import HonestPair, held
from moltnet.protocol.attachment import ClientSession, ServerSession, State
from moltnet.protocol.errors import ProtocolViolation
from moltnet.protocol.limits import MAX_CLIENT_UNACKED_EVENTS, MAX_SETTLED_CURSORS
from moltnet.protocol.network import ATTACH_PROTOCOL
from tests.protocol.attach_scripts import attached_client, attached_server, event_frame, frame
from tests.protocol.wire_values import JSON

LIVE_STATES = [state for state in State if state is not State.CLOSED]
OPS = ("HELLO", "IDENTIFY", "READY", "EVENT", "ACK", "PING", "PONG", "ERROR", "DANCE", "")
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "version": st.just(ATTACH_PROTOCOL) | JSON,
        "network_id": st.just(NETWORK) | JSON,
        "agent": st.fixed_dictionaries({}, optional={"id": st.just("alpha") | JSON, "name": JSON}) | JSON,
        "cursor": st.just("evt_1") | JSON,
        "event": st.just(json.loads(EVENT)) | JSON,
        "capabilities": JSON,
        "heartbeat_interval_ms": st.integers() | JSON,
        "error": JSON,
    },
)


def receive(half: ServerSession | ClientSession, text: str | bytes) -> None:
    """What a peer may say is taken, and anything else closes the session, with a reason to send back."""
    violation = None
    try:
        half.receive_text(text, 2000.0)
    except ProtocolViolation as error:
        violation = error
    if violation is not None:
        assert half.state is State.CLOSED
        assert json.loads(half.error(violation.answer))["error"]
        assert half.receive_text(text, 2001.0) == ()


@given(st.sampled_from(LIVE_STATES), st.text(st.characters()) | st.binary())
def test_any_text_or_bytes_give_an_input_or_a_violation(state: State, message: str | bytes) -> None:
    for half in pair_in(state):
        receive(half, message)


@given(st.sampled_from(LIVE_STATES), st.sampled_from(OPS), FIELDS)
def test_any_frame_gives_an_input_or_a_violation(state: State, op: str, fields: dict[str, object]) -> None:
    for half in pair_in(state):
        receive(half, json.dumps({"op": op, **fields}))


@given(st.binary())
def test_the_invariant_of_the_frame_fuzzer_holds(data: bytes) -> None:
    assert frames.check(data) is not None


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_the_invariant_of_the_session_fuzzer_holds(script: bytes) -> None:
    assert session.check(script) is not None


@settings(max_examples=300)
@given(st.lists(st.integers(0, 239), max_size=200))
def test_two_honest_halves_agree_however_their_messages_are_delayed(script: list[int]) -> None:
    # Steps from 240 on end the session; the fuzzer's own scripts have those.
    pair = HonestPair()
    for step in script:
        pair.step(step)
    pair.finish()
    assert pair.errors == []
    assert pair.server.state is pair.client.state
    assert pair.delivered == pair.sent
    assert pair.acked_at_server == pair.acked_by_client
    assert set(pair.server.in_flight) == set(pair.to_ack)


def test_the_random_schedules_really_deliver_events() -> None:
    # Hello, read, read, ready, read: attached. Then events and ACKs, read in turn.
    pair = HonestPair()
    for step in [2, 1, 0, 2, 1, *[3, 1, 5, 0] * 20]:
        pair.step(step)
    pair.finish()
    assert pair.server.state is State.ATTACHED
    assert len(pair.acked_at_server) == 20


def test_a_long_session_holds_no_more_than_a_short_one() -> None:
    server, client = attached_server(window_events=8), attached_client()
    for number in range(4 * MAX_SETTLED_CURSORS):
        text = server.event(cursor := f"evt_{number}", event_frame(f"evt_{number}"))
        client.receive_text(text, 0.0)
        if number >= 7:
            server.receive_text(client.ack(f"evt_{number - 7}"), 0.0)
        assert cursor in server.in_flight
    assert held(server) == MAX_SETTLED_CURSORS + 7
    assert held(client) == 7


def test_a_client_that_is_flooded_holds_a_bounded_number_of_cursors() -> None:
    client = attached_client()
    for number in range(3 * MAX_CLIENT_UNACKED_EVENTS):
        receive(client, event_frame(f"evt_{number}"))
    assert client.state is State.CLOSED
    assert held(client) == MAX_CLIENT_UNACKED_EVENTS


def test_a_flood_of_pings_and_repeated_acks_leaves_nothing_behind() -> None:
    server = attached_server()
    server.event("evt_1", event_frame("evt_1"))
    for _ in range(2000):
        receive(server, frame("ACK", cursor="evt_1"))
        receive(server, frame("PING"))
    assert held(server) == 1
    assert server.state is State.ATTACHED
