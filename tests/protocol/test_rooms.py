"""Requests that make and change rooms, and rooms on the wire."""

import pytest
from hypothesis import given

from moltnet.protocol.codec import decode, encode
from moltnet.protocol.ids import DirectId, NetworkId, RoomId, ThreadId
from moltnet.protocol.limits import MAX_MEMBERS_PER_REQUEST
from moltnet.protocol.rooms import (
    CreateRoomRequest,
    DirectConversation,
    Room,
    Thread,
    UpdateRoomMembersRequest,
    member_list_problems,
    normal_members,
    room_problems,
)
from moltnet.protocol.times import Timestamp
from tests.protocol.wire_values import values_of

BAD_ID = "must start with a letter or digit and hold only letters, digits and the characters . _ : -"
NOW = Timestamp("2026-01-01T00:00:00Z")


def problems(**fields: object) -> list[str]:
    request_ = CreateRoomRequest(**{"id": "general", **fields})  # type: ignore[arg-type]  # a table of mixed types
    return [str(problem) for problem in room_problems(request_.trimmed())]


def test_a_room_gets_its_defaults() -> None:
    assert CreateRoomRequest(id=" general ").trimmed() == CreateRoomRequest(
        id="general", name="general", visibility="private", write_policy="members"
    )


def test_a_room_is_trimmed_and_its_members_are_sorted_without_repeats() -> None:
    request_ = CreateRoomRequest(
        id="general",
        name=" General ",
        members=("zeta", " alpha", "Beta", "", "alpha ", "net_b:x", "molt://net_b/agents/x"),
        visibility=" public ",
        write_policy=" operators ",
    )
    assert request_.trimmed() == CreateRoomRequest(
        id="general",
        name="General",
        members=("Beta", "alpha", "molt://net_b/agents/x", "net_b:x", "zeta"),
        visibility="public",
        write_policy="operators",
    )


def test_members_are_sorted_by_their_bytes() -> None:
    assert normal_members(["a-1", "a.1", "a:1", "a1", "aA", "a_1", "B"]) == (
        "B",
        "a-1",
        "a.1",
        "a1",
        "a:1",
        "aA",
        "a_1",
    )


def test_a_change_of_members_is_trimmed_on_both_sides() -> None:
    request_ = UpdateRoomMembersRequest(add=(" beta", "alpha"), remove=("gamma ", "gamma"))
    assert request_.trimmed() == UpdateRoomMembersRequest(add=("alpha", "beta"), remove=("gamma",))


@given(values_of(CreateRoomRequest))
def test_trimming_twice_changes_nothing(request_: CreateRoomRequest) -> None:
    once = request_.trimmed()
    assert once.trimmed() == once


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"id": ""}, ["$.id: is required"]),
        ({"id": " "}, ["$.id: is required"]),
        ({"id": "gen eral"}, [f"$.id: {BAD_ID}"]),
        ({"id": "r" * 129}, ["$.id: must be 128 characters or fewer"]),
        ({"name": "n" * 256}, []),
        ({"name": "n" * 257}, ["$.name: must be 256 characters or fewer"]),
        ({"visibility": "Public"}, ["$.visibility: must be one of private, public"]),
        ({"write_policy": "all"}, ["$.write_policy: must be one of members, registered_agents, operators"]),
        ({"members": ("alpha", "be ta")}, [f"$.members[1]: {BAD_ID}"]),
        ({"members": ("net b:x",)}, [f"$.members[0]: network id {BAD_ID}"]),
        ({"members": ("molt://net_b/rooms/x",)}, [f"$.members[0]: {BAD_ID}"]),
        ({"members": tuple(f"a{number}" for number in range(256))}, []),
        ({"members": tuple(f"a{number}" for number in range(257))}, ["$.members: must hold 256 entries or fewer"]),
        ({"members": ("a",) * 1000}, []),
    ],
)
def test_what_is_wrong_with_a_room_is_named(fields: dict[str, object], expected: list[str]) -> None:
    assert problems(**fields) == expected


def test_problems_stand_under_the_path_that_the_caller_gives() -> None:
    request_ = CreateRoomRequest(id="", members=("/",)).trimmed()
    assert [problem.path for problem in room_problems(request_, "$.rooms[2]")] == [
        "$.rooms[2].id",
        "$.rooms[2].members[0]",
    ]


def test_a_list_of_members_that_is_too_long_is_not_looked_through_to_its_end() -> None:
    found = list(member_list_problems([f"/{number}" for number in range(100_000)], "$.add"))
    assert len(found) == MAX_MEMBERS_PER_REQUEST + 1
    assert str(found[0]) == "$.add: must hold 256 entries or fewer"


def test_an_empty_room_shows_its_rules_and_no_members() -> None:
    room = Room(RoomId("r"), NetworkId("n"), "molt://n/rooms/r", "r", NOW)
    assert encode(room) == (
        b'{"id":"r","network_id":"n","fqid":"molt://n/rooms/r","name":"r","created_at":"2026-01-01T00:00:00Z",'
        b'"visibility":"private","write_policy":"members"}'
    )
    assert decode(encode(room), Room) == room


def test_a_count_of_zero_messages_is_shown() -> None:
    thread = Thread(ThreadId("t"), NetworkId("n"), "molt://n/threads/t", RoomId("r"), 0, NOW)
    direct = DirectConversation(DirectId("d"), NetworkId("n"), "molt://n/dms/d", 0, NOW)
    assert b'"message_count":0' in encode(thread)
    assert b'"message_count":0' in encode(direct)
