"""What every store promises about messages by their place in the log, of one conversation and of all."""

from collections.abc import Sequence

import pytest

from moltnet.protocol.codec import decode
from moltnet.protocol.ids import MessageId
from moltnet.protocol.messages import Message
from moltnet.storage.limits import MAX_REPLAY_BYTES
from moltnet.storage.records import History, PlacedMessage
from moltnet.storage.store import Store
from tests.contracts.store_pruning import prune
from tests.storage.examples import (
    create_room,
    direct_history,
    direct_post,
    post,
    room_history,
    thread_history,
    thread_post,
)

# Greater than every place.
END = 2**63 - 1
SAID = ["m1", "other1", "t1", "d1", "m2", "other2", "t2", "d2", "m3"]


def ids_of(found: Sequence[PlacedMessage]) -> list[str]:
    return [decode(each.body, Message).id for each in found]


class PlaceContract:
    @pytest.fixture
    async def talk(self, store: Store) -> Store:
        await store.commit([create_room(), create_room("other")])
        await store.commit(
            [
                post("m1"),
                post("other1", "other"),
                thread_post("t1", "thread"),
                direct_post("d1", "direct"),
                post("m2"),
                post("other2", "other"),
                thread_post("t2", "thread"),
                direct_post("d2", "direct"),
                post("m3"),
            ]
        )
        return store

    async def test_a_message_is_found_by_its_id(self, talk: Store) -> None:
        for message_id in SAID:
            placed = await talk.message(MessageId(message_id))
            assert placed is not None
            assert ids_of([placed]) == [message_id]
        first, last = await talk.message(MessageId("m1")), await talk.message(MessageId("m3"))
        assert first is not None
        assert last is not None
        assert first.seq < last.seq == (await talk.event_bounds()).newest_seq
        for message_id in ("nothing", "m", "", "\0"):
            assert await talk.message(MessageId(message_id)) is None

    @pytest.mark.parametrize(
        ("history", "expected"),
        [
            (None, SAID),
            (room_history(), ["m1", "m2", "m3"]),
            (room_history("other"), ["other1", "other2"]),
            (thread_history("thread"), ["t1", "t2"]),
            (direct_history("direct"), ["d1", "d2"]),
            (room_history("nowhere"), []),
            (direct_history("\0"), []),
        ],
    )
    async def test_they_are_read_in_both_directions_from_any_place(
        self, talk: Store, history: History | None, expected: list[str]
    ) -> None:
        assert ids_of(await talk.messages_after(history, 0, 100)) == expected
        assert ids_of(await talk.messages_before(history, END, 100)) == expected[::-1]
        placed = await talk.messages_after(history, 0, 100)
        for number, each in enumerate(placed):
            assert ids_of(await talk.messages_after(history, each.seq, 2)) == expected[number + 1 : number + 3]
            assert ids_of(await talk.messages_before(history, each.seq, 100)) == expected[:number][::-1]
            assert await talk.messages_after(history, each.seq - 1, 1) == [each]
            assert await talk.messages_before(history, each.seq + 1, 1) == [each]
        assert list(await talk.messages_after(history, END, 1)) == []
        assert list(await talk.messages_before(history, 0, 1)) == []

    @pytest.mark.parametrize("history", [None, room_history()])
    async def test_large_ones_come_a_few_at_a_time(self, store: Store, history: History | None) -> None:
        text = "x" * (MAX_REPLAY_BYTES // 8)
        await store.commit([create_room(), *(post(f"m{number}", text=text) for number in range(20))])
        seq, found = 0, list[PlacedMessage]()
        while piece := await store.messages_after(history, seq, 100):
            assert sum(len(each.body) for each in piece) <= MAX_REPLAY_BYTES
            found += piece
            seq = piece[-1].seq
        seq, backwards = END, list[PlacedMessage]()
        while piece := await store.messages_before(history, seq, 100):
            assert sum(len(each.body) for each in piece) <= MAX_REPLAY_BYTES
            backwards += piece
            seq = piece[-1].seq
        assert backwards[::-1] == found
        assert len(found) == 20

    async def test_what_is_pruned_is_gone(self, talk: Store) -> None:
        await talk.commit([post("late", seconds=100)])
        await talk.commit([prune(50, 50)])
        assert ids_of(await talk.messages_after(None, 0, 100)) == ["late"]
        assert ids_of(await talk.messages_before(room_history(), END, 100)) == ["late"]
        assert await talk.message(MessageId("m1")) is None
        assert await talk.message(MessageId("late")) is not None
