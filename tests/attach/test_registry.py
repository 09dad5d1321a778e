from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from moltnet.attach.registry import REMOVED, Registry, Seat
from moltnet.auth.claims import ANONYMOUS_KEY
from moltnet.core.errors import Conflict
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.ids import AgentId
from moltnet.protocol.times import format_timestamp
from moltnet.protocol.wakes import PendingWake
from tests.fakes.seats import seated

ALPHA = AgentId("alpha")


def test_one_credential_attaches_any_number_of_times() -> None:
    registry = Registry()
    with ExitStack() as attachments:
        for _ in range(3):
            attachments.enter_context(seated(registry, ALPHA, "key"))
        assert len(registry) == 3
        assert registry.is_connected(ALPHA)
    assert len(registry) == 0
    assert not registry.is_connected(ALPHA)


def test_an_agent_is_connected_until_its_last_attachment_ends() -> None:
    registry = Registry()
    with seated(registry, ALPHA, "key"):
        with seated(registry, ALPHA, "key"):
            pass
        assert registry.is_connected(ALPHA)
    assert not registry.is_connected(ALPHA)


# Who is attached, who comes → what it is told.
COLLISIONS = [
    (ANONYMOUS_KEY, ANONYMOUS_KEY, "already has an active attachment"),
    (ANONYMOUS_KEY, "key", "already has an active attachment"),
    ("key", ANONYMOUS_KEY, "already has an active attachment"),
    ("key", "other", "already attached with different credentials"),
]


@pytest.mark.parametrize(("present", "coming", "text"), COLLISIONS)
def test_two_credentials_do_not_share_an_agent(present: str, coming: str, text: str) -> None:
    registry = Registry()
    with seated(registry, ALPHA, present):
        with pytest.raises(Conflict, match=text) as caught, seated(registry, ALPHA, coming):
            pass
        assert caught.value.code is ErrorCode.AGENT_ATTACHED_ELSEWHERE
        assert len(registry) == 1
        with seated(registry, AgentId("beta"), coming):
            assert len(registry) == 2
    with seated(registry, ALPHA, coming):
        assert len(registry) == 1


async def test_who_is_dismissed_makes_room_at_once() -> None:
    registry = Registry()
    with seated(registry, ALPHA, "key") as first, seated(registry, ALPHA, "key") as second:
        registry.dismiss(ALPHA, REMOVED)
        registry.dismiss(AgentId("nobody"), REMOVED)
        for seat in (first, second):
            assert seat.scope.cancel_called
            assert seat.dismissal == REMOVED
        assert (len(registry), registry.is_connected(ALPHA)) == (0, False)
        with seated(registry, ALPHA, "other") as newcomer:
            assert not newcomer.scope.cancel_called
            assert registry.is_connected(ALPHA)
    assert len(registry) == 0


def test_who_was_dismissed_leaves_without_taking_the_seat_of_the_next() -> None:
    registry = Registry()
    with ExitStack() as later:
        with seated(registry, ALPHA, "key"):
            registry.dismiss(ALPHA, REMOVED)
            later.enter_context(seated(registry, ALPHA, "other"))
        assert registry.is_connected(ALPHA)
        with pytest.raises(Conflict), seated(registry, ALPHA, "key"):
            pass
    assert len(registry) == 0


def test_it_is_released_whatever_happens_inside() -> None:
    registry = Registry()
    with pytest.raises(KeyError), seated(registry, ALPHA, "key"):
        raise KeyError
    assert len(registry) == 0


def wake(number: int, seconds: float) -> PendingWake:
    return PendingWake(f"m{number}", "mention", format_timestamp(datetime.fromtimestamp(seconds, UTC)))


async def test_pending_wakes_of_all_attachments_come_in_the_order_of_sending() -> None:
    """However many digits a time has."""
    registry = Registry()
    with seated(registry, ALPHA, "key") as first, seated(registry, ALPHA, "key") as second:
        first.wakes["evt_1"] = wake(1, 100)
        first.wakes["evt_3"] = wake(3, 100.25)
        second.wakes["evt_2"] = wake(2, 100.125)
        assert [each.message_id for each in registry.pending_wakes(ALPHA)] == ["m1", "m2", "m3"]
        assert registry.count_pending_wakes() == 3
        assert registry.pending_wakes(AgentId("beta")) == []
    assert (registry.pending_wakes(ALPHA), registry.count_pending_wakes()) == ([], 0)


async def test_only_without_credentials_does_an_attachment_stand_in_the_way() -> None:
    registry = Registry()
    assert registry.silent_seat(ALPHA, ANONYMOUS_KEY) is None
    with seated(registry, ALPHA, ANONYMOUS_KEY) as seat:
        assert registry.silent_seat(ALPHA, ANONYMOUS_KEY) is seat
        assert registry.silent_seat(ALPHA, "key") is None
    with seated(registry, ALPHA, "key"):
        assert registry.silent_seat(ALPHA, "key") is None
        assert registry.silent_seat(ALPHA, ANONYMOUS_KEY) is None


async def test_who_doubts_a_seat_learns_of_a_word_and_of_its_end(autojump_clock: MockClock) -> None:
    registry, heard = Registry(), list[int]()

    async def doubt(seat: Seat, number: int) -> None:
        await seat.wait_heard()
        heard.append(number)

    async with trio.open_nursery() as nursery:
        with seated(registry, ALPHA, ANONYMOUS_KEY) as seat:
            for number in (1, 2):
                nursery.start_soon(doubt, seat, number)
            await trio.testing.wait_all_tasks_blocked()
            assert heard == []
            seat.hear()
            await trio.testing.wait_all_tasks_blocked()
            assert sorted(heard) == [1, 2]
            nursery.start_soon(doubt, seat, 3)
            await trio.testing.wait_all_tasks_blocked()
    assert heard[2:] == [3]
