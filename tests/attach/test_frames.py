import orjson
import pytest

from moltnet.attach.frames import FrameCache
from moltnet.protocol import limits
from moltnet.protocol.events import EventType
from moltnet.protocol.ids import EventId
from moltnet.storage.records import EventRecord
from tests.fakes.network import NETWORK


def record(seq: int, wire: bytes = b'{"id":"e"}') -> EventRecord:
    return EventRecord(seq, EventId(f"evt_{seq}"), EventType.MESSAGE_CREATED, wire)


def test_readers_of_one_event_share_one_text() -> None:
    cache = FrameCache(NETWORK)
    assert cache.text(record(1)) is cache.text(record(1))
    assert orjson.loads(cache.text(record(1)))["cursor"] == "evt_1"


def test_events_without_a_place_are_not_mixed_up() -> None:
    cache = FrameCache(NETWORK)
    first, second = (EventRecord(0, EventId(name), EventType.REPLAY_GAP, b"{}") for name in ("gap_1", "gap_2"))
    assert orjson.loads(cache.text(first))["cursor"] == "gap_1"
    assert orjson.loads(cache.text(second))["cursor"] == "gap_2"


def test_it_keeps_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SHARED_FRAMES", 3)
    cache = FrameCache(NETWORK)
    oldest = cache.text(record(1))
    others = [cache.text(record(seq)) for seq in range(2, 5)]
    assert [cache.text(record(seq)) for seq in range(2, 5)] == others
    assert cache.text(record(2)) is others[0]
    assert cache.text(record(1)) is not oldest


def test_it_keeps_a_bounded_amount_of_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SHARED_FRAME_CHARACTERS", 5000)
    cache = FrameCache(NETWORK)
    large = [cache.text(record(seq, b'"' + b"x" * 2000 + b'"')) for seq in range(1, 4)]
    assert cache.text(record(3, b"")) is large[2]
    assert cache.text(record(2, b"")) is large[1]
    assert cache.text(record(1, b"")) is not large[0]


def test_a_frame_larger_than_all_that_is_kept_is_made_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SHARED_FRAME_CHARACTERS", 100)
    cache = FrameCache(NETWORK)
    assert cache.text(record(1)) == cache.text(record(1))
    assert cache.text(record(1)) is not cache.text(record(1))
