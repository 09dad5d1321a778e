"""Events and what they carry, as they stand on the wire."""

import json

import pytest
from hypothesis import given

from moltnet.protocol.approvals import Approval, ApprovalState, approval_id_of
from moltnet.protocol.codec import DecodeError, decode, encode
from moltnet.protocol.events import PAYLOAD_KEYS, AgentEvent, Event, EventType, ReplayGap
from moltnet.protocol.ids import AgentId, DirectId, EventId, MessageId, NetworkId, RoomId, ThreadId, gap_event_id
from moltnet.protocol.messages import Actor, Message, MessageOrigin, Part, Target
from moltnet.protocol.network import (
    SPOKEN_PROTOCOLS,
    Capabilities,
    Network,
    NetworkWarning,
)
from moltnet.protocol.pairings import Pairing, PairingDiagnostics
from moltnet.protocol.rooms import DirectConversation, Room, Thread
from moltnet.protocol.times import Timestamp
from tests.protocol.wire_values import values_of

NOW = Timestamp("2026-01-01T00:00:00.5Z")
NET = NetworkId("net_a")
MESSAGE = Message(
    MessageId("m1"),
    NET,
    MessageOrigin("net_a", "m1"),
    Target("room", RoomId("general")),
    Actor("human", "ada", network_id="net_a", fqid="molt://net_a/agents/ada"),
    (Part("text", "hi <b> & \u2028 @beta"),),
    NOW,
    ("molt://net_a/agents/beta",),
)
PAYLOADS: dict[str, object] = {
    "message": MESSAGE,
    "thread": Thread(ThreadId("t1"), NET, "molt://net_a/threads/t1", RoomId("general"), 1, NOW),
    "dm": DirectConversation(DirectId("d1"), NET, "molt://net_a/dms/d1", 1, NOW, ("alpha", "net_b:beta")),
    "room": Room(RoomId("general"), NET, "molt://net_a/rooms/general", "General", NOW, ("alpha",)),
    "agent": AgentEvent("alpha", "net_a", reason="mention", message_id="m1", target=Target("room", RoomId("general"))),
    "approval": Approval(
        approval_id_of("alpha", "evt_9"),
        AgentId("alpha"),
        EventId("evt_9"),
        MessageId("m1"),
        ApprovalState.DENIED,
        requested_at=NOW,
        expires_at=NOW,
        target=Target("room", RoomId("general")),
        decided_by="token:ops",
    ),
    "pairing": Pairing("p1", "net_b", diagnostics=PairingDiagnostics(NOW, SPOKEN_PROTOCOLS)),
    "replay_gap": ReplayGap("evt_1", "evt_5", "evt_9"),
}


def an_event(**payload: object) -> Event:
    return Event(EventId("evt_1"), "x", NET, NOW, **payload)  # type: ignore[arg-type]  # a table of mixed types


def test_every_payload_has_a_case_here() -> None:
    assert tuple(PAYLOADS) == PAYLOAD_KEYS


@pytest.mark.parametrize("key", PAYLOADS)
def test_an_event_shows_its_common_fields_and_one_payload(key: str) -> None:
    event = an_event(**{key: PAYLOADS[key]})
    document = json.loads(encode(event))
    assert list(document) == ["id", "type", "network_id", "created_at", key]
    assert decode(encode(event), Event) == event


def test_a_message_stands_on_the_wire_as_other_servers_write_it() -> None:
    assert json.loads(encode(MESSAGE)) == {
        "id": "m1",
        "network_id": "net_a",
        "origin": {"network_id": "net_a", "message_id": "m1"},
        "target": {"kind": "room", "room_id": "general"},
        "from": {"type": "human", "id": "ada", "network_id": "net_a", "fqid": "molt://net_a/agents/ada"},
        "parts": [{"kind": "text", "text": "hi <b> & \u2028 @beta"}],
        "created_at": "2026-01-01T00:00:00.5Z",
        "mentions": ["molt://net_a/agents/beta"],
    }


def test_the_escapes_of_other_servers_are_read() -> None:
    text = b'{"kind":"text","text":"hi \\u003cb\\u003e \\u0026 \\u2028"}'
    assert decode(text, Part) == Part("text", "hi <b> & \u2028")


def test_a_token_of_a_pairing_is_not_even_read() -> None:
    pairing = decode(b'{"id":"p1","remote_network_id":"net_b","token":"secret"}', Pairing)
    assert b"secret" not in encode(pairing)


@pytest.mark.parametrize("key", ["id", "type", "network_id", "created_at"])
def test_an_event_without_one_of_its_common_fields_is_refused(key: str) -> None:
    document = json.loads(encode(an_event()))
    del document[key]
    with pytest.raises(DecodeError) as caught:
        decode(json.dumps(document), Event)
    assert str(caught.value) == f"$.{key}: is required"


def test_an_event_of_a_later_kind_is_read_without_what_is_new_in_it() -> None:
    document = {**json.loads(encode(an_event())), "type": "room.painted", "paint": {"colour": "red"}}
    assert decode(json.dumps(document), Event).type == "room.painted"


def test_event_types_are_a_subject_and_what_happened_to_it() -> None:
    assert len(set(EventType)) == 18
    assert all(len(kind.split(".")) >= 2 and kind == kind.lower() for kind in EventType)


@given(values_of(Event))
def test_an_event_is_one_line_so_a_stream_can_carry_it(event: Event) -> None:
    assert b"\n" not in encode(event)
    assert b"\r" not in encode(event)


def test_a_gap_is_named_after_the_cursor_that_could_not_be_resumed() -> None:
    assert gap_event_id("evt_1") == gap_event_id("evt_1") != gap_event_id("evt_2")


def test_a_network_says_what_it_speaks_and_every_switch() -> None:
    network = Network("net_a", "Net A", "1.0", SPOKEN_PROTOCOLS, Capabilities(event_stream="sse"))
    assert json.loads(encode(network)) == {
        "id": "net_a",
        "name": "Net A",
        "version": "1.0",
        "protocols": {"http": ["moltnet.http.v1"], "attach": ["moltnet.attach.v1"], "pair": ["moltnet.pair.v1"]},
        "capabilities": {
            "event_stream": "sse",
            "attachment_protocol": "",
            "public_read": False,
            "agent_registration": "",
            "human_ingress": False,
            "direct_messages": False,
            "message_pagination": "",
            "pairings": False,
        },
    }


def test_an_empty_network_answer_is_readable() -> None:
    assert decode(b"{}", Network) == Network()


def test_a_warning_leaves_out_what_it_does_not_have() -> None:
    assert encode(NetworkWarning("error", "c", "m")) == b'{"severity":"error","code":"c","message":"m"}'
