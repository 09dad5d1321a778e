"""The client's half of the attach session, and the timers of both halves."""

import json
import math

import pytest

from fuzz.frames import EVENT, NETWORK
from moltnet.protocol.attachment import Delivered, HelloReceived, PeerError, ServerSession, State, Unreadable
from moltnet.protocol.codec import decode
from moltnet.protocol.errors import ProtocolMisuse, ProtocolViolation
from moltnet.protocol.events import Event
from moltnet.protocol.limits import (
    FALLBACK_HEARTBEAT_MS,
    HEARTBEAT_INTERVAL_MS,
    HELLO_SECONDS,
    IDENTIFY_SECONDS,
    MAX_CLIENT_UNACKED_EVENTS,
    MAX_ERROR_CHARACTERS,
    MAX_HEARTBEAT_MS,
    PING_SECONDS,
    READ_IDLE_SECONDS,
)
from moltnet.protocol.network import ATTACH_PROTOCOL
from tests.protocol.attach_scripts import (
    attached_client,
    attached_server,
    event_frame,
    frame,
    greeted_server,
    identified_client,
    identify_frame,
    new_client,
    refusal,
)


def test_a_client_that_finds_another_network_leaves() -> None:
    answer = refusal(identified_client(), frame("READY", network_id="net_b"))
    assert answer == 'attachment network_id "net_b" does not match "net_a"'


@pytest.mark.parametrize("op", ["HELLO", "READY", "EVENT", "PING", "ERROR"])
def test_every_frame_of_a_server_must_carry_the_version(op: str) -> None:
    client = {"HELLO": new_client, "READY": identified_client}.get(op, attached_client)()
    assert refusal(client, json.dumps({"op": op})) == f"attachment {op} version is required"


def test_a_refused_client_learns_the_reason() -> None:
    client = identified_client()
    reason = 'agent "alpha" is already attached with different credentials'
    assert client.receive_text(frame("ERROR", error=reason), 0.0) == (PeerError(reason),)
    assert client.state is State.CLOSED


@pytest.mark.parametrize(
    "text",
    [
        frame("EVENT"),
        frame("EVENT", cursor="evt_1"),
        frame("EVENT", event=json.loads(EVENT)),
        frame("EVENT", cursor="  ", event=json.loads(EVENT)),
    ],
)
def test_an_event_without_cursor_or_content_is_refused(text: str) -> None:
    assert refusal(attached_client(), text) == "attachment EVENT needs a cursor and an event"


def test_an_event_that_cannot_be_read_is_told_with_the_place_and_acked_like_any_other() -> None:
    client = attached_client()
    (unreadable,) = client.receive_text(frame("EVENT", cursor="evt_1", event={"id": 5}), 0.0)
    assert isinstance(unreadable, Unreadable)
    assert unreadable.cursor == "evt_1"
    assert "$.id: must be a string, not an integer" in unreadable.reason
    assert client.receive_text(frame("EVENT", cursor="evt_1", event={"id": 5}), 0.0) == ()
    assert json.loads(client.ack("evt_1"))["cursor"] == "evt_1"
    assert client.receive_text(event_frame("evt_2"), 0.0) == (Delivered("evt_2", decode(EVENT, Event)),)


def test_what_is_said_of_an_unreadable_event_does_not_grow_with_it() -> None:
    text = frame("EVENT", cursor="evt_1", event={**json.loads(EVENT), "message": {"parts": [1] * 100_000}})
    (unreadable,) = attached_client().receive_text(text, 0.0)
    assert isinstance(unreadable, Unreadable)
    assert 0 < len(unreadable.reason) <= MAX_ERROR_CHARACTERS


def test_an_event_with_a_value_that_came_later_is_not_refused() -> None:
    room = {"id": "general", "network_id": NETWORK, "name": "General", "visibility": "by-invitation"}
    event = {**json.loads(EVENT), "type": "room.created", "room": room}
    (unreadable,) = attached_client().receive_text(frame("EVENT", cursor="evt_1", event=event), 0.0)
    assert isinstance(unreadable, Unreadable)
    assert "$.room.visibility" in unreadable.reason


def test_events_of_kinds_that_came_later_are_delivered() -> None:
    event = {**json.loads(EVENT), "type": "agent.promoted", "promotion": {"rank": 1}}
    (delivered,) = attached_client().receive_text(frame("EVENT", cursor="evt_1", event=event), 0.0)
    assert isinstance(delivered, Delivered)
    assert delivered.event.type == "agent.promoted"


def test_an_ack_names_the_cursor_as_it_came() -> None:
    client = attached_client()
    client.receive_text(event_frame("evt_1"), 0.0)
    assert json.loads(client.ack("evt_1")) == {"op": "ACK", "cursor": "evt_1", "version": ATTACH_PROTOCOL}


def test_an_event_that_comes_again_before_its_ack_is_delivered_once() -> None:
    client = attached_client()
    assert client.receive_text(event_frame("evt_1"), 0.0) == (Delivered("evt_1", decode(EVENT, Event)),)
    assert client.receive_text(event_frame("evt_1"), 0.0) == ()
    client.ack("evt_1")
    assert client.receive_text(event_frame("evt_1"), 0.0) == (Delivered("evt_1", decode(EVENT, Event)),)


def test_an_event_is_acked_once_because_reference_servers_drop_a_client_for_the_second() -> None:
    client = attached_client()
    client.receive_text(event_frame("evt_1"), 0.0)
    client.ack("evt_1")
    with pytest.raises(ProtocolMisuse, match="evt_1"):
        client.ack("evt_1")
    assert client.state is State.ATTACHED


def test_an_event_that_was_not_delivered_cannot_be_acked() -> None:
    with pytest.raises(ProtocolMisuse, match="evt_1"):
        attached_client().ack("evt_1")


def test_a_server_that_sends_without_waiting_for_acks_is_left_with_a_request_to_slow_down() -> None:
    client = attached_client()
    for number in range(MAX_CLIENT_UNACKED_EVENTS):
        assert client.receive_text(event_frame(f"evt_{number}"), 0.0) != ()
    with pytest.raises(ProtocolViolation, match="wait for their ACK") as caught:
        client.receive_text(event_frame("evt_one_more"), 0.0)
    assert caught.value.close_code == 1013


def test_the_first_frame_is_due_ten_seconds_after_the_connection() -> None:
    assert ServerSession(NETWORK, now=50.0).read_deadline == 50.0 + IDENTIFY_SECONDS
    assert new_client().read_deadline == HELLO_SECONDS


def test_saying_hello_does_not_give_the_client_more_time() -> None:
    server = ServerSession(NETWORK, now=50.0)
    server.hello()
    assert server.read_deadline == 50.0 + IDENTIFY_SECONDS


@pytest.mark.parametrize("op", ["ACK", "PONG", "PING"])
def test_any_frame_of_a_client_moves_the_read_deadline(op: str) -> None:
    server = attached_server(now=50.0)
    server.event("evt_1", event_frame("evt_1"))
    server.receive_text(frame(op, cursor="evt_1"), 57.0)
    assert server.read_deadline == 57.0 + READ_IDLE_SECONDS


def test_what_we_send_moves_no_read_deadline() -> None:
    server = attached_server(now=50.0)
    server.event("evt_1", event_frame("evt_1"))
    server.ping(55.0)
    assert server.read_deadline == 50.0 + READ_IDLE_SECONDS


def test_a_refused_frame_moves_no_read_deadline() -> None:
    server = attached_server(now=50.0)
    refusal(server, "not JSON", now=55.0)
    assert server.read_deadline == 50.0 + READ_IDLE_SECONDS


def test_the_timers_of_a_slow_decision_start_with_ready() -> None:
    server = greeted_server()
    server.receive_text(identify_frame(), 3.0)
    server.ready("alpha", "actor_1", "molt://net_a/agents/alpha", now=20.0)
    assert (server.ping_at, server.read_deadline) == (20.0 + PING_SECONDS, 20.0 + READ_IDLE_SECONDS)


def test_timers_count_from_identify_if_nobody_says_when_ready_was() -> None:
    server = greeted_server()
    server.receive_text(identify_frame(), 3.0)
    server.ready("alpha", "actor_1", "molt://net_a/agents/alpha")
    assert (server.ping_at, server.read_deadline) == (3.0 + PING_SECONDS, 3.0 + READ_IDLE_SECONDS)


def test_each_ping_sets_the_time_of_the_next() -> None:
    server = attached_server(now=50.0)
    assert server.ping_at == 50.0 + PING_SECONDS
    server.ping(52.6)
    assert server.ping_at == 52.6 + PING_SECONDS


def test_there_is_no_ping_before_ready_and_after_the_end() -> None:
    assert greeted_server().ping_at == math.inf
    server = attached_server()
    server.receive_text(frame("ERROR", error="no"), 0.0)
    assert server.ping_at == math.inf


@pytest.mark.parametrize(
    ("advertised_ms", "heartbeat_ms", "idle_seconds"),
    [
        (HEARTBEAT_INTERVAL_MS, 5000, 10.0),
        (1, 1, READ_IDLE_SECONDS),
        (20_000, 20_000, 40.0),
        (2**63, MAX_HEARTBEAT_MS, 2 * MAX_HEARTBEAT_MS / 1000),
        (0, FALLBACK_HEARTBEAT_MS, 2 * FALLBACK_HEARTBEAT_MS / 1000),
        (-5, FALLBACK_HEARTBEAT_MS, 2 * FALLBACK_HEARTBEAT_MS / 1000),
    ],
)
def test_a_client_waits_two_heartbeats_but_neither_too_short_nor_for_ever(
    advertised_ms: int, heartbeat_ms: int, idle_seconds: float
) -> None:
    client = new_client()
    hello = frame("HELLO", heartbeat_interval_ms=advertised_ms)
    assert client.receive_text(hello, 7.0) == (HelloReceived(heartbeat_ms),)
    assert client.read_deadline == 7.0 + idle_seconds
    client.identify()
    client.receive_text(frame("READY", network_id=NETWORK), 8.0)
    client.receive_text(frame("PING"), 9.0)
    assert client.read_deadline == 9.0 + idle_seconds


def test_a_server_pings_at_least_three_times_before_a_silent_client_is_given_up() -> None:
    assert 3 * PING_SECONDS < READ_IDLE_SECONDS


def test_a_client_hears_a_ping_well_before_it_gives_the_server_up() -> None:
    assert max(READ_IDLE_SECONDS, 2 * HEARTBEAT_INTERVAL_MS / 1000) > 2 * PING_SECONDS
