"""The attach session as scripts of frames: handshake, window, ACKs, timers, and how it ends."""

import json
from typing import Any

import pytest

from fuzz.frames import EVENT, NETWORK
from moltnet.protocol.agents import About
from moltnet.protocol.attachment import (
    Acked,
    Attached,
    ClientSession,
    Delivered,
    HelloReceived,
    Identified,
    PeerError,
    Reply,
    ServerSession,
    State,
)
from moltnet.protocol.codec import decode
from moltnet.protocol.errors import ProtocolMisuse, ProtocolViolation
from moltnet.protocol.events import Event
from moltnet.protocol.frames import FrameCapabilities, Ready
from moltnet.protocol.limits import (
    MAX_ERROR_CHARACTERS,
    MAX_FRAME_BYTES,
    MAX_SETTLED_CURSORS,
)
from moltnet.protocol.messages import Actor
from moltnet.protocol.network import ATTACH_PROTOCOL
from tests.protocol.attach_scripts import (
    attached_client,
    attached_server,
    event_frame,
    frame,
    greeted_server,
    identify_frame,
    new_client,
    refusal,
)


def test_a_handshake_from_hello_to_the_first_ack() -> None:
    server = ServerSession(NETWORK, now=100.0)
    client = ClientSession(
        NETWORK, "alpha", "Alpha", cursor="evt_0", capabilities=FrameCapabilities(rooms=True), now=100.0
    )

    assert client.receive_text(server.hello(), 100.1) == (HelloReceived(heartbeat_ms=5000),)
    identified = server.receive_text(client.identify(), 100.2)
    assert identified == (Identified(Actor(type="agent", id="alpha", name="Alpha"), cursor="evt_0"),)
    (attached,) = client.receive_text(server.ready("alpha", "actor_1", "molt://net_a/agents/alpha", "secret"), 100.3)
    assert attached == Attached(
        Ready(
            network_id=NETWORK,
            agent_id="alpha",
            actor_uid="actor_1",
            actor_uri="molt://net_a/agents/alpha",
            agent_token="secret",
            version=ATTACH_PROTOCOL,
        )
    )
    assert "secret" not in repr(attached)
    delivered = client.receive_text(server.event("evt_1", event_frame("evt_1")), 100.4)
    assert delivered == (Delivered("evt_1", decode(EVENT, Event)),)
    assert list(server.in_flight) == ["evt_1"]
    assert server.receive_text(client.ack("evt_1"), 100.5) == (Acked("evt_1"),)
    assert list(server.in_flight) == []
    assert server.state is client.state is State.ATTACHED


def test_frames_look_on_the_wire_as_reference_clients_expect_them() -> None:
    server = ServerSession(NETWORK, now=0.0)
    hello = server.hello()
    assert hello.endswith("\n")
    assert json.loads(hello) == {
        "op": "HELLO",
        "version": ATTACH_PROTOCOL,
        "heartbeat_interval_ms": 5000,
        "takes_about": True,  # ours, which they pass over
        "capabilities": {},
    }
    server.receive_text(identify_frame(), 0.0)
    assert json.loads(server.ready("alpha", "actor_1", "molt://net_a/agents/alpha")) == {
        "op": "READY",
        "version": ATTACH_PROTOCOL,
        "network_id": NETWORK,
        "agent_id": "alpha",
        "actor_uid": "actor_1",
        "actor_uri": "molt://net_a/agents/alpha",
        "capabilities": {},
    }
    assert json.loads(server.event("evt_1", event_frame("evt_1"))) == {
        "op": "EVENT",
        "version": ATTACH_PROTOCOL,
        "network_id": NETWORK,
        "cursor": "evt_1",
        "event": json.loads(EVENT),
        "capabilities": {},
    }
    assert json.loads(server.ping(0.0)) == {"op": "PING", "version": ATTACH_PROTOCOL, "capabilities": {}}
    assert json.loads(server.error("no")) == {
        "op": "ERROR",
        "version": ATTACH_PROTOCOL,
        "error": "no",
        "capabilities": {},
    }


def test_a_client_identifies_itself_with_its_cursor_and_capabilities() -> None:
    client = new_client(cursor="evt_9")
    client.receive_text(frame("HELLO", heartbeat_interval_ms=5000), 0.0)
    assert json.loads(client.identify()) == {
        "op": "IDENTIFY",
        "version": ATTACH_PROTOCOL,
        "network_id": NETWORK,
        "agent": {"type": "agent", "id": "alpha", "name": "Alpha"},
        "cursor": "evt_9",
        "capabilities": {"rooms": True, "dms": True},
    }


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (b'{"op":"IDENTIFY"}', "attachment protocol only accepts text JSON frames"),
        (frame("PING"), "expected IDENTIFY frame"),
        ("null", "expected IDENTIFY frame"),
        ("{}", "expected IDENTIFY frame"),
        ('{"op":"identify"}', "expected IDENTIFY frame"),
        ('{"op":"IDENTIFY"}', "attachment IDENTIFY version is required"),
        (
            identify_frame(version="moltnet.attach.v2"),
            'attachment IDENTIFY version "moltnet.attach.v2" does not match "moltnet.attach.v1"',
        ),
        (identify_frame(network_id="net_b"), 'attachment network_id "net_b" does not match "net_a"'),
        (frame("IDENTIFY"), 'attachment network_id "" does not match "net_a"'),
        (identify_frame(network_id="n" * 1000), f'attachment network_id "{"n" * 64}" does not match "net_a"'),
        (identify_frame(agent=None), "attachment agent.id is required"),
        (identify_frame(agent={}), "attachment agent.id is required"),
        (identify_frame(agent={"id": " \t"}), "attachment agent.id is required"),
        (identify_frame(agent={"id": "a" * 129}), "attachment agent.id must be 128 characters or fewer"),
        (identify_frame(cursor="e" * 129), "attachment cursor must be 128 characters or fewer"),
    ],
)
def test_an_identify_that_is_not_acceptable_is_answered_with_the_reason(text: str | bytes, answer: str) -> None:
    assert refusal(greeted_server(), text) == answer


@pytest.mark.parametrize("agent_id", ["molt://net_a/agents/alpha", "-alpha", "al pha", "al\x00pha", "älpha", "alpha/1"])
def test_an_agent_id_that_is_no_id_is_refused(agent_id: str) -> None:
    answer = refusal(greeted_server(), identify_frame(agent={"id": agent_id}))
    assert answer.startswith("attachment agent.id must start with a letter or digit")


@pytest.mark.parametrize(
    "text",
    ["", "not JSON", "[]", "5", '"IDENTIFY"', '{"op":5}', '{"op":"IDENTIFY","agent":"alpha"}', "[" * 5000, "\ud800"],
)
def test_what_is_not_a_json_object_of_the_protocol_is_refused(text: str) -> None:
    assert refusal(greeted_server(), text).startswith("attachment frame must be valid JSON")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, Identified(Actor("agent", "alpha"), "")),
        ({"network_id": f" {NETWORK}\n"}, Identified(Actor("agent", "alpha"), "")),
        ({"agent": {"id": " alpha "}, "cursor": " evt_1 "}, Identified(Actor("agent", "alpha"), "evt_1")),
        ({"agent": {"id": "net_b:alpha"}}, Identified(Actor("agent", "net_b:alpha"), "")),
        ({"agent": {"id": "alpha", "type": " ", "name": " A "}}, Identified(Actor("agent", "alpha", "A"), "")),
        (
            {"agent": {"id": "alpha", "network_id": "net_b", "fqid": "molt://net_b/agents/admin"}},
            Identified(Actor("agent", "alpha"), ""),
        ),
        ({"cursor": "no event of ours"}, Identified(Actor("agent", "alpha"), "no event of ours")),
        ({"capabilities": {"rooms": True}, "future": 1}, Identified(Actor("agent", "alpha"), "")),
    ],
)
def test_an_identify_gives_clean_values_and_only_what_a_client_may_claim(
    fields: dict[str, Any], expected: Identified
) -> None:
    assert greeted_server().receive_text(identify_frame(**fields), 0.0) == (expected,)


@pytest.mark.parametrize("text", [frame("ACK", cursor="evt_1"), '{"op":"ACK","cursor":" evt_1 "}'])
def test_an_ack_may_leave_out_its_version_and_have_blanks_around_its_cursor(text: str) -> None:
    server = attached_server()
    server.event("evt_1", event_frame("evt_1"))
    assert server.receive_text(text, 0.0) == (Acked("evt_1"),)


@pytest.mark.parametrize("op", ["ACK", "PONG", "PING", "ERROR"])
def test_a_version_that_is_there_must_match(op: str) -> None:
    answer = refusal(attached_server(), frame(op, version="moltnet.attach.v0"))
    assert answer == f'attachment {op} version "moltnet.attach.v0" does not match "moltnet.attach.v1"'


@pytest.mark.parametrize("op", ["PING", "ERROR"])
def test_ping_and_error_must_carry_the_version(op: str) -> None:
    assert refusal(attached_server(), json.dumps({"op": op})) == f"attachment {op} version is required"


def test_acks_settle_one_event_each_in_any_order() -> None:
    server = attached_server()
    for cursor in ("evt_1", "evt_2", "evt_3"):
        server.event(cursor, event_frame(cursor))
    assert server.receive_text(frame("ACK", cursor="evt_2"), 0.0) == (Acked("evt_2"),)
    assert list(server.in_flight) == ["evt_1", "evt_3"]
    assert server.receive_text(frame("ACK", cursor="evt_1"), 0.0) == (Acked("evt_1"),)
    assert list(server.in_flight) == ["evt_3"]


def test_a_repeated_ack_is_harmless() -> None:
    server = attached_server()
    server.event("evt_1", event_frame("evt_1"))
    server.receive_text(frame("ACK", cursor="evt_1"), 0.0)
    assert server.receive_text(frame("ACK", cursor="evt_1"), 0.0) == ()
    assert server.state is State.ATTACHED


@pytest.mark.parametrize("cursor", ["never", "", " "])
def test_an_ack_of_an_event_that_was_never_sent_is_refused(cursor: str) -> None:
    server = attached_server()
    server.event("evt_1", event_frame("evt_1"))
    assert refusal(server, frame("ACK", cursor=cursor)) == "unexpected ACK cursor"
    assert list(server.in_flight) == ["evt_1"]


def test_an_event_that_is_sent_again_waits_for_its_ack_again() -> None:
    server = attached_server()
    for _ in range(2):
        server.event("evt_1", event_frame("evt_1"))
        assert list(server.in_flight) == ["evt_1"]
        assert server.receive_text(frame("ACK", cursor="evt_1"), 0.0) == (Acked("evt_1"),)


def test_an_event_in_flight_is_not_sent_twice() -> None:
    server = attached_server()
    server.event("evt_1", event_frame("evt_1"))
    with pytest.raises(ProtocolMisuse, match="in flight already"):
        server.event("evt_1", event_frame("evt_1"))


def test_settled_cursors_are_remembered_up_to_the_limit_and_then_refused() -> None:
    server = attached_server()
    for number in range(MAX_SETTLED_CURSORS + 1):
        server.event(f"evt_{number}", "frame\n")
        server.receive_text(frame("ACK", cursor=f"evt_{number}"), 0.0)
    assert server.receive_text(frame("ACK", cursor="evt_1"), 0.0) == ()
    assert refusal(server, frame("ACK", cursor="evt_0")) == "unexpected ACK cursor"


def test_the_window_pauses_delivery_until_something_is_acked() -> None:
    server = attached_server(window_events=2)
    has_room = []
    for cursor in ("evt_1", "evt_2"):
        server.event(cursor, event_frame(cursor))
        has_room.append(server.can_send)
    with pytest.raises(ProtocolMisuse):
        server.event("evt_3", event_frame("evt_3"))
    assert list(server.in_flight) == ["evt_1", "evt_2"]
    server.receive_text(frame("ACK", cursor="evt_1"), 0.0)
    assert [*has_room, server.can_send] == [True, False, True]


def test_a_window_without_room_for_one_event_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="window_events"):
        ServerSession(NETWORK, window_events=0, now=0.0)


def test_nothing_can_be_sent_before_ready_and_after_the_end() -> None:
    ended = attached_server()
    ended.error("the agent was removed")
    sessions = (ServerSession(NETWORK, now=0.0), greeted_server(), attached_server(), ended)
    assert [server.can_send for server in sessions] == [False, False, True, False]


def test_what_was_in_flight_is_known_after_the_end() -> None:
    server = attached_server()
    server.event("evt_1", event_frame("evt_1"))
    assert server.receive_text(frame("ERROR", error="handler failed"), 0.0) == (PeerError("handler failed"),)
    assert list(server.in_flight) == ["evt_1"]


def test_a_ping_of_either_side_is_answered_with_a_pong() -> None:
    for session in (attached_server(), attached_client()):
        (reply,) = session.receive_text(frame("PING"), 0.0)
        assert isinstance(reply, Reply)
        assert json.loads(reply.text) == {"op": "PONG", "version": ATTACH_PROTOCOL, "capabilities": {}}


def test_an_error_of_the_peer_is_cut_to_what_a_log_can_hold() -> None:
    for session in (attached_server(), attached_client()):
        assert session.receive_text(frame("ERROR", error="x" * 100_000), 0.0) == (
            PeerError("x" * MAX_ERROR_CHARACTERS),
        )


def test_an_error_of_ours_is_cut_too() -> None:
    assert json.loads(attached_server().error("x" * 100_000))["error"] == "x" * MAX_ERROR_CHARACTERS


def test_an_op_is_quoted_only_in_part() -> None:
    assert refusal(attached_server(), frame("D" * 100_000)) == f'unexpected frame op "{"D" * 64}"'


@pytest.mark.parametrize("filling", ["x", "\u00e9", "\U0001f41d"])
def test_a_frame_above_the_size_limit_is_closed_as_too_big(filling: str) -> None:
    def error_of(bytes_in_frame: int) -> str:
        bare = len(json.dumps({"op": "ERROR", "version": ATTACH_PROTOCOL, "error": ""}))
        count, rest = divmod(bytes_in_frame - bare, len(filling.encode()))
        return json.dumps(
            {"op": "ERROR", "version": ATTACH_PROTOCOL, "error": filling * count + "x" * rest}, ensure_ascii=False
        )

    assert len(error_of(MAX_FRAME_BYTES).encode()) == MAX_FRAME_BYTES
    assert attached_server().receive_text(error_of(MAX_FRAME_BYTES), 0.0) != ()
    server = attached_server()
    with pytest.raises(ProtocolViolation) as caught:
        server.receive_text(error_of(MAX_FRAME_BYTES + 1), 0.0)
    assert caught.value.close_code == 1009
    assert server.state is State.CLOSED


def test_a_violation_leaves_only_the_goodbye() -> None:
    server = attached_server()
    refusal(server, "not JSON")
    assert server.receive_text(frame("PING"), 1.0) == ()
    assert server.receive_text("not JSON", 1.0) == ()
    assert json.loads(server.error("no"))["op"] == "ERROR"
    with pytest.raises(ProtocolMisuse):
        server.ping(1.0)


def test_what_a_program_says_of_itself_goes_to_servers_that_take_it_and_arrives_clean() -> None:
    def identify(about: About, **hello: Any) -> str:
        capabilities = FrameCapabilities()
        client = ClientSession(NETWORK, "alpha", "Alpha", cursor="", capabilities=capabilities, about=about, now=0.0)
        client.receive_text(frame("HELLO", heartbeat_interval_ms=5000, **hello), 0.0)
        return client.identify()

    about = About("codex", " build-7\u202e\n\x00" + "x" * 200)
    assert "about" not in json.loads(identify(about))
    assert "about" not in json.loads(identify(About(), takes_about=True))
    (identified,) = greeted_server().receive_text(identify(about, takes_about=True), 0.0)
    assert isinstance(identified, Identified)
    assert identified.about == About("codex", "build-7 " + "x" * 120)
