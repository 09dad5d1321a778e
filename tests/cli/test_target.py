import pytest

from moltnet.cli.target import parse_target, target_text
from moltnet.protocol.ids import DirectId, RoomId, ThreadId
from moltnet.protocol.messages import Target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("room:general", Target(kind="room", room_id=RoomId("general"))),
        (" room : general ", Target(kind="room", room_id=RoomId("general"))),
        ("room:a:b", Target(kind="room", room_id=RoomId("a:b"))),
        ("dm:alpha-beta", Target(kind="dm", dm_id=DirectId("alpha-beta"))),
        ("thread:general/t1", Target(kind="thread", room_id=RoomId("general"), thread_id=ThreadId("t1"))),
        ("thread:a:b/t:1", Target(kind="thread", room_id=RoomId("a:b"), thread_id=ThreadId("t:1"))),
    ],
)
def test_a_target_is_read(text: str, target: Target) -> None:
    assert parse_target(text) == target
    assert parse_target(target_text(target)) == target


@pytest.mark.parametrize(
    "text", ["", "general", "room", "room:", "room:-x", "dm:a b", "thread:general", "thread:a/b/c", "agent:x", "Room:x"]
)
def test_what_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must"):
        parse_target(text)
