"""Whose turn it is among what waits for one pairing."""

from moltnet.pairing.lanes import Lane, Lanes
from moltnet.pairing.relay_limits import LANE_ROWS, WINDOW_BYTES, WINDOW_ROWS
from moltnet.protocol.ids import MessageId
from moltnet.protocol.messages import TargetKind
from moltnet.protocol.times import Timestamp
from moltnet.storage.outbox import OutboxRow

BODY = b'{"text":"hello"}'


def row(seq: int, conversation: str = "room:general", body: bytes = BODY) -> OutboxRow:
    return OutboxRow("to_b", seq, MessageId(f"m{seq}"), conversation, Timestamp(""), body)


def rows(first: int, last: int, conversation: str = "room:general") -> list[OutboxRow]:
    return [row(seq, conversation) for seq in range(first, last + 1)]


def anything(_: TargetKind) -> bool:
    return True


def take(lanes: Lanes, now: float = 0.0) -> Lane:
    lane = lanes.take(now, anything)
    assert lane is not None
    return lane


def send_all(lanes: Lanes, lane: Lane) -> list[int]:
    sent = []
    while lane.rows:
        sent.append(lane.rows[0].seq)
        lanes.drop_first(lane)
    lanes.put_back(lane)
    return sent


def test_conversations_have_their_turns_in_the_order_in_which_they_began() -> None:
    lanes = Lanes()
    lanes.read([row(1, "room:a"), row(2, "room:b"), row(3, "room:a"), row(4, "dm:c")])
    assert lanes.place == 4
    first, second, third = (take(lanes) for _ in range(3))
    assert [lane.conversation for lane in (first, second, third)] == ["room:a", "room:b", "dm:c"]
    assert lanes.take(0.0, anything) is None
    assert send_all(lanes, first) == [1, 3]
    assert len(lanes) == 2


def test_a_lane_that_somebody_has_is_taken_by_nobody_else() -> None:
    lanes = Lanes()
    lanes.read([row(1)])
    lane = take(lanes)
    lanes.read([row(2)])
    assert lanes.take(0.0, anything) is None
    assert send_all(lanes, lane) == [1, 2]


def test_what_a_lane_has_no_room_for_is_read_again_in_order() -> None:
    lanes, last = Lanes(), 3 * LANE_ROWS + 5
    lanes.read(rows(1, last))
    assert (len(lanes), lanes.place) == (LANE_ROWS, last)
    sent = send_all(lanes, take(lanes))
    while hungry := lanes.hungry():
        (lane,) = hungry
        lanes.feed(lane, rows(lane.last_seq + 1, min(lane.last_seq + LANE_ROWS, last)))
        if lane.rows:
            sent += send_all(lanes, take(lanes))
    assert sent == list(range(1, last + 1))
    assert len(lanes) == 0


def test_a_lane_is_not_fed_what_reading_will_bring() -> None:
    lanes = Lanes()
    lanes.read(rows(1, LANE_ROWS + 2))
    send_all(lanes, take(lanes))
    (lane,) = lanes.hungry()
    # Four more were stored meanwhile: those beyond the place come in their turn.
    lanes.feed(lane, rows(LANE_ROWS + 1, LANE_ROWS + 6))
    lanes.read(rows(LANE_ROWS + 3, LANE_ROWS + 6))
    assert send_all(lanes, take(lanes)) == list(range(LANE_ROWS + 1, LANE_ROWS + 7))
    assert lanes.hungry() == []


def test_a_resting_lane_keeps_one_row_and_its_order() -> None:
    lanes = Lanes()
    lanes.read([*rows(1, 5), row(6, "room:other")])
    lane = take(lanes)
    lanes.rest(lane, until=10.0)
    lanes.read([row(7)])
    assert (len(lanes), lanes.next_rested()) == (2, 10.0)
    assert take(lanes, 9.0).conversation == "room:other"
    assert lanes.take(9.9, anything) is None
    lane = take(lanes, 10.0)
    assert send_all(lanes, lane) == [1]
    assert lanes.hungry() == [lane]
    lanes.feed(lane, [*rows(2, 5), row(7)])
    assert send_all(lanes, take(lanes)) == [2, 3, 4, 5, 7]


def test_a_kind_that_may_not_go_is_left_and_takes_no_room() -> None:
    lanes = Lanes()
    lanes.read([row(1, "dm:d"), row(2, "dm:d"), row(3)])
    lane = lanes.take(0.0, lambda kind: kind is not TargetKind.DM)
    assert lane is not None
    assert (lane.conversation, lanes.left, len(lanes)) == ("room:general", {TargetKind.DM}, 1)
    lanes.read([row(number, f"dm:d{number}") for number in range(4, 4 + WINDOW_ROWS)])
    assert (len(lanes), lanes.has_room, lanes.place) == (1, True, 3 + WINDOW_ROWS)


def test_many_conversations_that_rest_leave_room_for_others() -> None:
    """A few hundred that do not get on, with thousands of messages, fill less than the window."""
    lanes = Lanes()
    for number in range(300):
        lanes.read(rows(number * 20 + 1, number * 20 + 20, f"room:dead{number}"))
        while (lane := lanes.take(0.0, anything)) is not None:
            lanes.rest(lane, until=1e9)
    assert (len(lanes), lanes.has_room) == (300, True)


def test_the_window_is_bounded_in_rows_and_bytes() -> None:
    lanes = Lanes()
    for number in range(WINDOW_ROWS):
        assert lanes.has_room
        lanes.read([row(number + 1, f"room:{number}")])
    assert not lanes.has_room
    lanes = Lanes()
    lanes.read([row(1, body=b"x" * WINDOW_BYTES)])
    assert not lanes.has_room
    send_all(lanes, take(lanes))
    assert lanes.has_room


def test_failures_make_a_lane_wait_longer_until_it_gets_on() -> None:
    lane = Lane("room:general")
    delays = [lane.next_delay() for _ in range(12)]
    assert delays[0] < 2 < delays[-1] <= 300
    lane.got_on()
    assert lane.next_delay() < 2
