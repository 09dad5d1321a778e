"""Reading and writing single frames, and the rule on their version."""

import json

import pytest

from moltnet.protocol.errors import ProtocolViolation
from moltnet.protocol.frames import (
    Ack,
    ErrorFrame,
    EventFrame,
    Frame,
    Hello,
    Identify,
    Ping,
    Pong,
    Ready,
    UnknownFrame,
    encode_frame,
    op_of,
    parse_frame,
    version_problem,
)
from moltnet.protocol.messages import Actor
from moltnet.protocol.network import ATTACH_PROTOCOL

NEEDS_VERSION = (Hello, Identify, Ready, EventFrame, Ping, ErrorFrame)
MAY_OMIT_VERSION = (Ack, Pong)


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ('{"op":"HELLO","heartbeat_interval_ms":5000}', Hello(heartbeat_interval_ms=5000)),
        ('{"op":"IDENTIFY","agent":{"id":"alpha"}}', Identify(agent=Actor(id="alpha"))),
        ('{"op":"ACK","cursor":"evt_1"}', Ack(cursor="evt_1")),
        ('{"op":"ACK","cursor":null,"version":null}', Ack()),
        ('{"op":"PING","version":"x","extra":{"a":[1]}}', Ping(version="x")),
        (
            '{"op":"PONG","capabilities":{"rooms":true,"teleport":true}}',
            parse_frame('{"op":"PONG","capabilities":{"rooms":true}}'),
        ),
        ('{"op":"ping"}', UnknownFrame("ping")),
        ('{"op":" PING "}', UnknownFrame(" PING ")),
        ('{"op":"DANCE","version":"x","cursor":5}', UnknownFrame("DANCE", "x")),
        ('{"version":"x"}', UnknownFrame("", "x")),
        ('{"op":null}', UnknownFrame("")),
        ("{}", UnknownFrame("")),
        ("null", UnknownFrame("")),
        (' \n {"op":"PONG"} \n', Pong()),
    ],
)
def test_a_text_is_read_as_the_frame_that_its_op_names(text: str, frame: Frame) -> None:
    assert parse_frame(text) == frame


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "$: is not valid JSON"),
        ("[]", "$: must be an object"),
        ('"PING"', "$: must be an object"),
        ('{"op":5}', "$: op and version must be strings"),
        ('{"op":["PING"]}', "$: op and version must be strings"),
        ('{"op":"PING","version":1}', "$: op and version must be strings"),
        ('{"op":"ACK","cursor":1}', "$.cursor: must be a string, not an integer"),
        ('{"op":"IDENTIFY","agent":"alpha"}', "$.agent: must be an object, not a string"),
        ('{"op":"IDENTIFY","agent":{"id":7}}', "$.agent.id: must be a string, not an integer"),
        ('{"op":"HELLO","heartbeat_interval_ms":"5000"}', "$.heartbeat_interval_ms: must be an integer, not a string"),
        ('{"op":"HELLO","heartbeat_interval_ms":1e30}', "$.heartbeat_interval_ms: must be an integer, not a number"),
        ('{"op":"PING","capabilities":{"rooms":1}}', "$.capabilities.rooms: must be true or false, not an integer"),
        ('{"op":"EVENT","event":["x"]}', "$.event: must be an object, not a list"),
    ],
)
def test_a_text_that_is_no_frame_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        parse_frame(text)
    assert caught.value.answer.startswith("attachment frame must be valid JSON")
    assert reason in caught.value.answer
    assert caught.value.close_code == 1008


@pytest.mark.parametrize("cls", NEEDS_VERSION)
def test_a_frame_must_carry_the_version(cls: type[Hello | Ping]) -> None:
    assert version_problem(cls()) == f"attachment {cls.OP} version is required"
    assert version_problem(cls(version=ATTACH_PROTOCOL)) is None


@pytest.mark.parametrize("cls", MAY_OMIT_VERSION)
def test_an_ack_and_a_pong_may_leave_the_version_out(cls: type[Ack | Pong]) -> None:
    assert version_problem(cls()) is None
    assert version_problem(cls(version=ATTACH_PROTOCOL)) is None


@pytest.mark.parametrize("cls", [*NEEDS_VERSION, *MAY_OMIT_VERSION])
@pytest.mark.parametrize("version", ["moltnet.attach.v2", "MOLTNET.ATTACH.V1", " moltnet.attach.v1", "1"])
def test_another_version_is_a_problem_in_every_frame(cls: type[Ping], version: str) -> None:
    assert version_problem(cls(version=version)) == (
        f'attachment {cls.OP} version "{version}" does not match "moltnet.attach.v1"'
    )


def test_a_frame_of_an_unknown_op_must_carry_the_version_too() -> None:
    assert version_problem(UnknownFrame("DANCE")) == "attachment DANCE version is required"
    assert version_problem(UnknownFrame("")) == "attachment frame version is required"
    assert version_problem(UnknownFrame("DANCE", ATTACH_PROTOCOL)) is None


def test_what_the_peer_said_is_quoted_only_in_part() -> None:
    assert version_problem(UnknownFrame("D" * 1000)) == f"attachment {'D' * 64} version is required"
    assert version_problem(Ping(version="v" * 1000)) == (
        f'attachment PING version "{"v" * 64}" does not match "moltnet.attach.v1"'
    )


def test_the_op_of_a_frame_is_what_stands_on_the_wire() -> None:
    assert op_of(EventFrame()) == "EVENT"
    assert op_of(UnknownFrame("dance")) == "dance"


def test_an_ack_has_no_capabilities_and_every_other_frame_has() -> None:
    assert json.loads(encode_frame(Ack(cursor="evt_1"))) == {"op": "ACK", "cursor": "evt_1", "version": ATTACH_PROTOCOL}
    for cls in (Hello, Identify, Ready, EventFrame, Ping, Pong, ErrorFrame):
        assert json.loads(encode_frame(cls()))["capabilities"] == {}
