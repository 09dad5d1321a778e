"""What is made of an event once, for all its readers."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode

from moltnet.fanout.frames import FrameCache, Said, SharedFrame, fitting, text_message
from moltnet.protocol import limits
from moltnet.protocol.events import EventType
from moltnet.protocol.frames import Ping, encode_frame, event_frame_text
from moltnet.protocol.ids import EventId
from moltnet.storage.records import EventRecord
from tests.fakes.network import NETWORK


def record(seq: int, wire: bytes = b'{"id":"e"}') -> EventRecord:
    return EventRecord(seq, EventId(f"evt_{seq}"), EventType.MESSAGE_CREATED, wire)


class TestOneForAll:
    def test_readers_of_one_event_share_one_of_each_spelling(self) -> None:
        cache = FrameCache(NETWORK)
        first, second = cache.frame(record(1)), cache.frame(record(1))
        assert first is second
        assert first.text is second.text
        assert first.message is second.message
        assert first.streamed is second.streamed
        assert orjson.loads(first.text)["cursor"] == "evt_1"

    def test_a_batch_is_joined_once_and_in_order(self) -> None:
        batch = FrameCache(NETWORK).batch([record(1), record(2)])
        assert batch.messages is batch.messages
        assert batch.messages == b"".join(frame.message for frame in batch.frames)
        assert list(batch.texts) == [frame.text for frame in batch.frames]
        assert batch.chunk is batch.chunk
        assert list(batch.cursors) == ["evt_1", "evt_2"]

    def test_a_text_and_a_message_say_the_same(self) -> None:
        frame = SharedFrame(record(1, '{"text":"ü\u2028"}'.encode()), NETWORK)
        assert frame.text == event_frame_text(NETWORK, "evt_1", frame.record.wire)
        assert frame.message == text_message(frame.text.encode())
        assert Said(encode_frame(Ping())).messages == text_message(encode_frame(Ping()).encode())


@given(st.one_of(st.binary(max_size=300), st.sampled_from([b"x" * size for size in (125, 126, 65_535, 65_536)])))
def test_a_text_message_is_framed_as_the_library_frames_it(payload: bytes) -> None:
    library = FrameProtocol(client=False, extensions=[])
    assert text_message(payload) == library._serialize_frame(Opcode.TEXT, payload)


class TestTheCache:
    def test_events_without_a_place_are_not_mixed_up(self) -> None:
        cache = FrameCache(NETWORK)
        first, second = (EventRecord(0, EventId(name), EventType.REPLAY_GAP, b"{}") for name in ("gap_1", "gap_2"))
        assert orjson.loads(cache.frame(first).text)["cursor"] == "gap_1"
        assert orjson.loads(cache.frame(second).text)["cursor"] == "gap_2"

    def test_it_keeps_a_bounded_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "SHARED_FRAMES", 3)
        cache = FrameCache(NETWORK)
        oldest = cache.frame(record(1))
        others = [cache.frame(record(seq)) for seq in range(2, 5)]
        assert [cache.frame(record(seq)) for seq in range(2, 5)] == others
        assert cache.frame(record(2)) is others[0]
        assert cache.frame(record(1)) is not oldest

    def test_it_keeps_a_bounded_amount(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "SHARED_FRAME_BYTES", 5000)
        cache = FrameCache(NETWORK)
        large = [cache.frame(record(seq, b'"' + b"x" * 2000 + b'"')) for seq in range(1, 4)]
        assert cache.frame(record(3, b"")) is large[2]
        assert cache.frame(record(2, b"")) is large[1]
        assert cache.frame(record(1, b"")) is not large[0]

    def test_a_frame_larger_than_all_that_is_kept_is_made_each_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "SHARED_FRAME_BYTES", 5)
        cache = FrameCache(NETWORK)
        assert cache.frame(record(1)).text == cache.frame(record(1)).text
        assert cache.frame(record(1)) is not cache.frame(record(1))


@pytest.mark.parametrize(("sizes", "fit"), [([], 0), ([10], 1), ([200], 1), ([200, 1], 1), ([50, 50, 1], 2), ([99], 1)])
def test_so_many_events_fit_but_at_least_one(sizes: list[int], fit: int) -> None:
    records = [record(seq, b"x" * size) for seq, size in enumerate(sizes)]
    assert fitting(records, 100) == records[:fit]
