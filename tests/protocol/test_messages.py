"""The shape of a send: what trimming makes of it, and what is refused where."""

from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given

from moltnet.protocol.codec import decode, encode, structure
from moltnet.protocol.identity import member_problem
from moltnet.protocol.ids import EventId, MessageId, is_id
from moltnet.protocol.limits import MAX_MENTIONS, MAX_NAME_CHARACTERS, MAX_PARTICIPANTS, MAX_PARTS
from moltnet.protocol.mentions import mentions_in
from moltnet.protocol.messages import (
    Actor,
    MessageAccepted,
    MessageOrigin,
    Part,
    SendMessageRequest,
    Target,
    TargetKind,
    send_problems,
)
from tests.protocol.wire_values import values_of

KINDS = "must be one of text, url, data, file, image, audio"
BAD_ID = "must start with a letter or digit and hold only letters, digits and the characters . _ : -"


def a_request(**changes: Any) -> SendMessageRequest:
    """A send to a room that is right in everything but the changes, which are JSON."""
    document: dict[str, Any] = {
        "target": {"kind": "room", "room_id": "general"},
        "from": {"type": "agent", "id": "alpha"},
        "parts": [{"kind": "text", "text": "hello"}],
    }
    return structure({**document, **changes}, SendMessageRequest).trimmed()


def problems(request_: SendMessageRequest) -> list[tuple[str, str]]:
    return [(problem.path, problem.message) for problem in send_problems(request_)]


def a_part(url: str) -> list[dict[str, str]]:
    return [{"kind": "url", "url": url}]


def direct(participants: Sequence[str]) -> dict[str, object]:
    return {"kind": "dm", "dm_id": "d1", "participant_ids": list(participants)}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"id": "m1"},
        {"id": "  "},
        {"from": {"id": "alpha"}},
        {"from": {"type": "human", "id": "ada", "name": "n" * MAX_NAME_CHARACTERS}},
        {"from": {"id": "net_b:alpha"}},
        {"from": {"id": "molt://net_b/agents/alpha"}},
        {"parts": [{"kind": "text"}]},
        {"parts": [{"kind": "image", "text": "of what it likes", "data": {}}]},
        {"parts": [{"kind": "text"}] * MAX_PARTS},
        {"parts": a_part("HTTPS://example.org/a b")},
        {"parts": a_part("http://[::1]:8787/")},
        {"parts": a_part("molt://net_a/rooms/general")},
        {"parts": a_part("   ")},
        {"mentions": ["x"] * (MAX_MENTIONS + 1)},
        {"mentions": ["not an id at all", ""]},
        {"target": {"kind": "thread", "thread_id": "t1", "room_id": "general"}},
        {"target": {"kind": "thread", "thread_id": "t1", "room_id": "general", "parent_message_id": "m1"}},
        {"target": direct(["alpha", "molt://net_b/agents/beta"])},
        {"target": direct([f"a{number}" for number in range(MAX_PARTICIPANTS)])},
    ],
)
def test_a_send_that_the_protocol_allows(changes: dict[str, Any]) -> None:
    assert problems(a_request(**changes)) == []


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"from": None}, "$.from.id", "is required"),
        ({"from": {"type": "agent", "id": " "}}, "$.from.id", "is required"),
        ({"from": {"id": "al pha"}}, "$.from.id", BAD_ID),
        ({"from": {"id": "alpha\x00"}}, "$.from.id", BAD_ID),
        ({"from": {"id": "net b:alpha"}}, "$.from.id", f"network id {BAD_ID}"),
        ({"from": {"type": "robot", "id": "alpha"}}, "$.from.type", 'must be "agent" or "human"'),
        ({"from": {"type": "Human", "id": "alpha"}}, "$.from.type", 'must be "agent" or "human"'),
        ({"from": {"id": "alpha", "name": "n" * 257}}, "$.from.name", "must be 256 characters or fewer"),
        ({"parts": []}, "$.parts", "must not be empty"),
        ({"parts": None}, "$.parts", "must not be empty"),
        ({"parts": [{"kind": "text"}, {}]}, "$.parts[1].kind", KINDS),
        ({"parts": [{"kind": "Text"}]}, "$.parts[0].kind", KINDS),
        ({"parts": [{"kind": "text"}] * (MAX_PARTS + 1)}, "$.parts", "must hold 256 entries or fewer"),
        ({"parts": a_part("http://[::1")}, "$.parts[0].url", "is not a valid URL"),
        ({"parts": a_part("http://h:port/")}, "$.parts[0].url", "is not a valid URL"),
        ({"parts": a_part("http:///path")}, "$.parts[0].url", "must name a host"),
        ({"parts": a_part("https://:443/")}, "$.parts[0].url", "must name a host"),
        ({"parts": a_part("//example.org")}, "$.parts[0].url", "must begin with http://, https:// or molt://"),
        ({"parts": a_part("javascript:alert(1)")}, "$.parts[0].url", "must begin with http://, https:// or molt://"),
        ({"parts": a_part("file:///etc/passwd")}, "$.parts[0].url", "must begin with http://, https:// or molt://"),
        ({"parts": a_part("java\nscript:alert(1)")}, "$.parts[0].url", "must not hold control characters"),
        ({"parts": a_part("http://example.org/\r\nX: y")}, "$.parts[0].url", "must not hold control characters"),
        ({"parts": a_part("http://example.org/\x00")}, "$.parts[0].url", "must not hold control characters"),
        ({"parts": [{"kind": "text", "url": "x"}]}, "$.parts[0].url", "must begin with http://, https:// or molt://"),
        ({"id": "m 1"}, "$.id", BAD_ID),
        ({"id": "m" * 129}, "$.id", "must be 128 characters or fewer"),
        ({"target": None}, "$.target.kind", "must be one of room, thread, dm"),
        ({"target": {"kind": "ROOM", "room_id": "general"}}, "$.target.kind", "must be one of room, thread, dm"),
        ({"target": {"kind": "room"}}, "$.target.room_id", "is required"),
        ({"target": {"kind": "room", "room_id": " \t"}}, "$.target.room_id", "is required"),
        ({"target": {"kind": "room", "room_id": "a b"}}, "$.target.room_id", BAD_ID),
        ({"target": {"kind": "thread", "room_id": "general"}}, "$.target.thread_id", "is required"),
        ({"target": {"kind": "thread", "thread_id": "t1"}}, "$.target.room_id", "is required"),
        (
            {"target": {"kind": "thread", "thread_id": "t1", "room_id": "r", "parent_message_id": "/"}},
            "$.target.parent_message_id",
            BAD_ID,
        ),
        ({"target": {"kind": "dm", "participant_ids": ["a", "b"]}}, "$.target.dm_id", "is required"),
        (
            {"target": direct(["alpha", " alpha ", ""])},
            "$.target.participant_ids",
            "must name at least two different participants",
        ),
        (
            {"target": direct([f"a{number}" for number in range(MAX_PARTICIPANTS + 1)])},
            "$.target.participant_ids",
            "must hold 256 entries or fewer",
        ),
        ({"target": direct(["alpha", "be ta"])}, "$.target.participant_ids[1]", BAD_ID),
        (
            {"mentions": [f"a{number}" for number in range(MAX_MENTIONS + 1)]},
            "$.mentions",
            "must hold 256 entries or fewer",
        ),
    ],
)
def test_a_send_that_the_protocol_does_not_allow_is_refused_at_its_place(
    changes: dict[str, Any], path: str, message: str
) -> None:
    assert problems(a_request(**changes)) == [(path, message)]


def test_all_that_is_wrong_is_named() -> None:
    found = problems(a_request(id="/", **{"from": {}}, parts=[{}], target={"kind": "thread"}))
    assert [path for path, _ in found] == [
        "$.from.id",
        "$.parts[0].kind",
        "$.id",
        "$.target.room_id",
        "$.target.thread_id",
    ]


def test_a_list_that_is_too_long_is_not_looked_through_to_its_end() -> None:
    assert len(problems(a_request(parts=[{}] * 100_000))) == MAX_PARTS + 1
    participants = [f"/{number}" for number in range(100_000)]
    assert len(problems(a_request(target=direct(participants)))) == MAX_PARTICIPANTS + 1


def test_ids_lose_the_blanks_around_them_before_they_are_stored() -> None:
    request_ = a_request(
        id=" m1\n",
        target={"kind": " thread ", "room_id": " general ", "thread_id": "\tth ", "parent_message_id": " m0 "},
        origin={"network_id": " net_b ", "message_id": " m9 "},
        mentions=[" beta ", "beta", " "],
        **{"from": {"type": " human ", "id": " ada ", "name": " Ada ", "network_id": " net_b ", "fqid": " x "}},
    )
    assert request_ == SendMessageRequest(
        target=Target(
            kind="thread",
            room_id=a_request(target={"room_id": "general"}).target.room_id,
            thread_id=a_request(target={"thread_id": "th"}).target.thread_id,
            parent_message_id=MessageId("m0"),
        ),
        sender=Actor("human", "ada", "Ada", "net_b", "x"),
        parts=(Part("text", "hello"),),
        mentions=("beta",),
        id="m1",
        origin=MessageOrigin("net_b", "m9"),
    )


def test_a_human_with_blanks_around_the_word_is_a_human_at_every_check() -> None:
    assert a_request(**{"from": {"type": " human ", "id": "ada"}}).sender.type == "human"


def test_a_sender_without_a_type_is_an_agent() -> None:
    assert a_request(**{"from": {"id": "alpha"}}).sender.type == "agent"


def test_a_text_part_with_blanks_around_its_kind_is_a_text_part_whose_mentions_count() -> None:
    (part,) = a_request(parts=[{"kind": " text ", "text": " hi @beta "}]).parts
    assert part == Part("text", " hi @beta ")
    assert list(mentions_in([part])) == ["beta"]


def test_a_url_is_stored_as_it_was_checked() -> None:
    (part,) = a_request(parts=a_part(" https://example.org\n")).parts
    assert part.url == "https://example.org"


def test_the_content_of_a_part_is_not_touched() -> None:
    part = {"kind": "file", "text": " t ", "media_type": " m ", "filename": " f ", "data": {" k ": " v "}}
    assert a_request(parts=[part]).parts == (Part("file", " t ", " m ", "", " f ", {" k ": " v "}),)


def test_participants_keep_their_order_without_repeats_and_blanks() -> None:
    target = a_request(target=direct([" zeta", "alpha", "", "zeta ", "net_b:beta"])).target
    assert target.participant_ids == ("zeta", "alpha", "net_b:beta")


@given(values_of(SendMessageRequest))
def test_what_passes_the_check_is_clean_whatever_was_sent(request_: SendMessageRequest) -> None:
    trimmed = request_.trimmed()
    if send_problems(trimmed):
        return
    assert trimmed.id == "" or is_id(trimmed.id)
    assert member_problem(trimmed.sender.id) is None
    assert trimmed.target.kind in frozenset(TargetKind)
    assert all(part.kind == part.kind.strip() for part in trimmed.parts)


def test_an_accepted_message_shows_all_its_keys() -> None:
    assert encode(MessageAccepted(MessageId("m1"), EventId("evt_1"))) == (
        b'{"message_id":"m1","event_id":"evt_1","accepted":true,"thread_created":false,"dm_created":false}'
    )


def test_what_a_client_adds_beyond_a_request_is_ignored() -> None:
    body = b'{"created_at":"1999-01-01T00:00:00Z","network_id":"net_z","mentions":null,"sequence":5}'
    assert decode(body, SendMessageRequest) == SendMessageRequest()


def test_requests_are_values() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        a_request().id = "m2"  # type: ignore[misc]  # that it is forbidden is the point
