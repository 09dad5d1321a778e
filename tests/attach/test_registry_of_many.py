"""What a registry asks of other servers, whose answers a test gives."""

import attrs
import pytest
import trio
from trio.testing import MockClock

from moltnet.attach.registry import CUT_OFF, Registry
from moltnet.auth.claims import ANONYMOUS_KEY
from moltnet.core.errors import Conflict
from moltnet.protocol import limits
from moltnet.protocol.ids import AgentId
from moltnet.storage.seating import Departed, Occupied, SeatNews
from moltnet.storage.store import StorageError
from tests.fakes.seats import seated

ALPHA, BETA = AgentId("alpha"), AgentId("beta")


@attrs.define(eq=False)
class OtherServers:
    """A `Seating`. `occupant` is the key of who is in the way; `free_at`: until when. `noted` is what we have."""

    occupant: str = ""
    free_at: float = float("inf")
    failing: bool = False
    noted: dict[AgentId, tuple[str, int, bool]] = attrs.field(factory=dict)
    doubts: list[AgentId] = attrs.field(factory=list)

    def note(self, agent_id: AgentId, key: str, attachments: int, *, alone: bool) -> None:
        self.noted[agent_id] = (key, attachments, alone)

    async def confirm(self, agent_id: AgentId) -> None:
        await trio.lowlevel.checkpoint()
        assert agent_id in self.noted
        if self.failing:
            raise StorageError("away")
        if self.occupant and trio.current_time() < self.free_at:
            raise Occupied(self.occupant)

    def is_attached_elsewhere(self, agent_id: AgentId) -> bool:
        return agent_id == BETA

    def attachments_elsewhere(self, key: str) -> int:
        return len(key)

    def doubt(self, agent_id: AgentId) -> None:
        self.doubts.append(agent_id)

    async def next_news(self) -> SeatNews:
        raise AssertionError("not asked here")

    async def departed(self) -> Departed | None:
        raise AssertionError("not asked here")

    async def forget(self, left: Departed) -> None:
        raise AssertionError("not asked here")


def test_the_others_are_told_how_many_attachments_there_are() -> None:
    others = OtherServers()
    registry = Registry(others)
    with seated(registry, ALPHA, "key"):
        with seated(registry, ALPHA, "key"):
            assert others.noted == {ALPHA: ("key", 2, False)}
        assert others.noted == {ALPHA: ("key", 1, False)}
    assert others.noted == {ALPHA: ("key", 0, False)}
    with seated(registry, ALPHA, ANONYMOUS_KEY), seated(registry, BETA, "key"):
        assert others.noted[ALPHA] == (ANONYMOUS_KEY, 1, True)
        registry.dismiss_all(CUT_OFF)
        assert [attachments for _, attachments, _ in others.noted.values()] == [0, 0]
        # Who is dismissed has nothing to say any more.
        others.noted.clear()
    assert others.noted == {}


def test_an_agent_is_connected_wherever_it_is_attached() -> None:
    registry = Registry(OtherServers())
    assert not registry.is_connected(ALPHA)
    assert registry.is_connected(BETA)
    assert (registry.count(BETA), registry.count_elsewhere("four")) == (0, 4)
    assert (Registry().is_connected(BETA), Registry().count_elsewhere("four")) == (False, 0)


# Who is there, who comes → how long it tries, what it is told, and whether the other one is doubted.
COLLISIONS = [
    (ANONYMOUS_KEY, ANONYMOUS_KEY, limits.SILENT_SEAT_SECONDS, "already has an active attachment", True),
    (ANONYMOUS_KEY, "key", 0.0, "already has an active attachment", False),
    ("key", ANONYMOUS_KEY, 0.0, "already has an active attachment", False),
    ("key", "other", 0.0, "already attached with different credentials", False),
]


@pytest.mark.parametrize(("present", "coming", "longer_seconds", "text", "doubted"), COLLISIONS)
async def test_who_is_in_the_way_may_be_about_to_go(
    present: str, coming: str, longer_seconds: float, text: str, doubted: bool, autojump_clock: MockClock
) -> None:
    others = OtherServers(occupant=present)
    registry, began = Registry(others), trio.current_time()
    with seated(registry, ALPHA, coming):
        with pytest.raises(Conflict, match=text):
            await registry.confirm(ALPHA, coming)
        waited_seconds = trio.current_time() - began
        assert waited_seconds == pytest.approx(limits.SEAT_ELSEWHERE_SECONDS + longer_seconds)
        assert set(others.doubts) == ({ALPHA} if doubted else set())
        others.free_at = trio.current_time() + 1
        await registry.confirm(ALPHA, coming)
        assert trio.current_time() - began <= waited_seconds + 1 + limits.SEAT_AGAIN_SECONDS


async def test_if_nobody_can_say_the_seat_is_not_taken(autojump_clock: MockClock) -> None:
    registry = Registry(OtherServers(failing=True))
    with seated(registry, ALPHA, "key"), pytest.raises(StorageError):
        await registry.confirm(ALPHA, "key")


async def test_a_single_server_asks_nobody(autojump_clock: MockClock) -> None:
    registry = Registry()
    with seated(registry, ALPHA, "key"):
        await registry.confirm(ALPHA, "key")
    assert len(registry) == 0
