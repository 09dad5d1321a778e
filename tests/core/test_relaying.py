"""What goes to other networks, and in which words."""

import attrs
import orjson
import pytest

from moltnet.config.settings import PairingSettings
from moltnet.core.relaying import relayed_body, relays_of
from moltnet.protocol.codec import decode
from moltnet.protocol.ids import DirectId, MessageId, NetworkId, RoomId, ThreadId
from moltnet.protocol.messages import (
    AGENT,
    Actor,
    Message,
    MessageOrigin,
    Part,
    PartKind,
    SendMessageRequest,
    Target,
    TargetKind,
)
from moltnet.protocol.times import Timestamp

NET_A = NetworkId("net_a")
ROOM = Target(TargetKind.ROOM, RoomId("general"))
THREAD = Target(TargetKind.THREAD, RoomId("general"), ThreadId("topic"), MessageId("m0"))


def direct(*participants: str) -> Target:
    return Target(TargetKind.DM, dm_id=DirectId("d1"), participant_ids=participants)


def message(target: Target = ROOM, *, origin: str = NET_A) -> Message:
    return Message(
        id=MessageId("m1"),
        network_id=NET_A,
        origin=MessageOrigin(origin, "m1"),
        target=target,
        sender=Actor(AGENT, "alpha", "Alpha", NET_A, "molt://net_a/agents/alpha"),
        parts=(Part(PartKind.TEXT, "hello"), Part(PartKind.DATA, data={"n": 1})),
        created_at=Timestamp("2026-01-02T03:04:05Z"),
        mentions=("molt://net_b/agents/beta",),
    )


TO_B = PairingSettings("to_b", "https://b.test", "net_b")
TO_C = PairingSettings("to_c", "https://c.test", "net_c", rooms=frozenset({RoomId("shared")}))
TO_UNKNOWN = PairingSettings("to_unknown", "https://unknown.test")
ALL = (TO_B, TO_C, TO_UNKNOWN)
SHARED = attrs.evolve(ROOM, room_id=RoomId("shared"))


@pytest.mark.parametrize(
    ("target", "pairings"),
    [
        (ROOM, ["to_b", "to_unknown"]),
        (THREAD, ["to_b", "to_unknown"]),
        (SHARED, ["to_b", "to_c", "to_unknown"]),
        (attrs.evolve(THREAD, room_id=RoomId("shared")), ["to_b", "to_c", "to_unknown"]),
        (direct("alpha", "net_b:beta"), ["to_b"]),
        (direct("alpha", "beta"), []),
        (direct("alpha", "net_b:beta", "net_c:gamma", "net_d:delta"), ["to_b", "to_c"]),
    ],
)
def test_where_a_message_goes(target: Target, pairings: list[str]) -> None:
    assert [relay.pairing_id for relay in relays_of(message(target), NET_A, ALL)] == pairings


def test_what_came_from_another_network_goes_nowhere() -> None:
    """A single hop, so nothing goes round in circles."""
    assert relays_of(message(origin="net_b"), NET_A, ALL) == ()
    assert relays_of(message(direct("net_b:beta", "alpha"), origin="net_b"), NET_A, ALL) == ()


def test_without_pairings_nothing_is_prepared() -> None:
    assert relays_of(message(), NET_A, ()) == ()


@pytest.mark.parametrize("target", [ROOM, THREAD])
def test_a_message_is_relayed_as_it_was_said(target: Target) -> None:
    said = message(target)
    request = decode(relayed_body(said, NET_A), SendMessageRequest)
    assert request == SendMessageRequest(
        id="m1",
        origin=said.origin,
        target=target,
        sender=said.sender,
        parts=said.parts,
        mentions=said.mentions,
    )
    assert b"created_at" not in relayed_body(said, NET_A)


def test_every_participant_is_named_with_its_network() -> None:
    """Nobody is lost or mistaken for somebody there (message model, weakness 2; pairing, weakness 9)."""
    body = orjson.loads(relayed_body(message(direct("alpha", "beta", "net_b:alpha", "net_c:gamma")), NET_A))
    assert body["target"] == {
        "kind": "dm",
        "dm_id": "d1",
        "participant_ids": ["net_a:alpha", "net_a:beta", "net_b:alpha", "net_c:gamma"],
    }
