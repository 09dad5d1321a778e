"""Brakes: what holds turns back, that it is shown, and that nothing is lost by it."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from bridge import limits
from bridge.activity import Brake, Work
from bridge.config import BrakeSettings
from bridge.runtimes.runtime import Turn, TurnFailed
from bridge.turn_counts import CountedTurns, TurnCounts
from tests.fakes.disk import Disk
from tests.fakes.mailboxes import Bench, open_bench
from tests.fakes.messages import message
from tests.fakes.runtime import FakeRuntime, Gate


@pytest.fixture
def disk() -> Disk:
    return Disk()


def unix_time() -> float:
    """A wall clock that goes with the test's."""
    return 1_000_000.0 + trio.current_time()


def held(bench: Bench) -> dict[str, Brake | None]:
    return {key: each.brake for key, each in bench.status.activities.items() if each.work is Work.HELD}


async def test_two_turns_of_a_conversation_are_a_cooldown_apart_and_others_do_not_wait(
    disk: Disk, tmp_path: Path, autojump_clock: MockClock
) -> None:
    began: list[tuple[str, float]] = []

    async def note(turn: Turn) -> None:
        began.append((turn.prompt, trio.current_time()))

    settings = BrakeSettings(cooldown_seconds=5)
    runtime = FakeRuntime(note)
    async with open_bench(runtime, disk, tmp_path, brakes=settings) as bench:
        bench.deliver(message("msg_1"))
        await runtime.wait_until(lambda runtime: len(runtime.finished) == 1)
        start = trio.current_time()
        bench.deliver(message("msg_2"))
        await trio.sleep(1)
        assert held(bench) == {"net:room:general": Brake.COOLDOWN}
        bench.deliver(message("msg_3"), message("msg_4", room="other"))
        await bench.conversations.wait_idle()
    assert [prompt for prompt, _ in began] == ["msg_1", "msg_4", "msg_2, msg_3"]
    assert began[1][1] - start < 2
    assert began[2][1] - start == pytest.approx(5)


async def test_two_agents_that_always_answer_each_other_get_their_turns_of_an_hour_and_no_more(
    disk: Disk, tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Weakness 7 of the reference's runtimes: they went on for ever."""
    bench: Bench

    async def answer_and_be_answered(_turn: Turn) -> None:
        await trio.sleep(1)
        bench.deliver(message(f"msg_{len(runtime.turns)}"))

    runtime = FakeRuntime(answer_and_be_answered)
    settings = BrakeSettings(turns_per_hour=10, cooldown_seconds=1)
    async with open_bench(runtime, disk, tmp_path, brakes=settings, unix_time=unix_time) as bench:
        bench.deliver(message("msg_0"))
        await trio.sleep(limits.BUDGET_SECONDS - 60)
        assert len(runtime.turns) == 10
        activity = bench.status.activities["net:room:general"]
        assert (activity.work, activity.brake, activity.messages) == (Work.HELD, Brake.BUDGET, 1)
        assert activity.until == pytest.approx(limits.BUDGET_SECONDS, abs=15)
        told = [record for record in caplog.records if "held back" in record.getMessage()]
        assert [record.levelname for record in told] == ["WARNING"]
        # It goes on as the window slides, and still as slowly.
        await trio.sleep(10 * limits.BUDGET_SECONDS)
        assert len(runtime.turns) <= 10 * 11
        assert bench.settled == [f"msg_{number}" for number in range(len(bench.settled))]


async def test_what_a_spent_budget_holds_back_becomes_one_ordered_batch(
    disk: Disk, tmp_path: Path, autojump_clock: MockClock
) -> None:
    runtime = FakeRuntime()
    settings = BrakeSettings(turns_per_hour=1, cooldown_seconds=0)
    async with open_bench(runtime, disk, tmp_path, brakes=settings, unix_time=unix_time) as bench:
        bench.deliver(message("msg_0"))
        await bench.conversations.wait_idle()
        for number in range(1, 5):
            bench.deliver(message(f"msg_{number}"))
            await trio.sleep(60)
        bench.deliver(message("msg_5", dm="dm_1"))
        await runtime.wait_until(lambda runtime: "msg_5" in runtime.finished)
        await bench.conversations.wait_idle()
    assert [turn.prompt for turn in runtime.turns] == ["msg_0", "msg_5", "msg_1, msg_2, msg_3, msg_4"]
    assert len(bench.settled) == 6


async def test_a_restart_gives_a_conversation_no_new_budget(
    disk: Disk, tmp_path: Path, autojump_clock: MockClock
) -> None:
    settings = BrakeSettings(turns_per_hour=2, cooldown_seconds=0)
    for number in range(2):
        async with open_bench(FakeRuntime(), disk, tmp_path, brakes=settings, unix_time=unix_time) as bench:
            bench.deliver(message(f"msg_{number}"))
            await bench.conversations.wait_idle()
    runtime = FakeRuntime()
    async with open_bench(runtime, disk, tmp_path, brakes=settings, unix_time=unix_time) as bench:
        bench.deliver(message("msg_2"), message("msg_3", room="other"))
        await trio.sleep(60)
        assert held(bench) == {"net:room:general": Brake.BUDGET}
        assert runtime.finished == ["msg_3"]
        await bench.conversations.wait_idle()
        assert runtime.finished == ["msg_3", "msg_2"]


async def test_a_turn_that_is_tried_again_counts_again(disk: Disk, tmp_path: Path, autojump_clock: MockClock) -> None:
    """It costs as much as another."""

    async def fail(_turn: Turn) -> None:
        raise TurnFailed("no", retryable=True)

    runtime = FakeRuntime(fail)
    settings = BrakeSettings(turns_per_hour=3)
    async with open_bench(runtime, disk, tmp_path, brakes=settings, unix_time=unix_time) as bench:
        bench.deliver(message("msg_1"))
        await trio.sleep(limits.BUDGET_SECONDS / 2)
        assert len(runtime.turns) == 3
        assert held(bench) == {"net:room:general": Brake.BUDGET}


async def test_waiting_for_a_parallel_turn_is_shown_with_whose_it_is(disk: Disk, tmp_path: Path) -> None:
    node_slots = trio.CapacityLimiter(2)
    first, second = FakeRuntime(gate := Gate()), FakeRuntime(gate)
    async with (
        open_bench(first, disk, tmp_path, node_slots, BrakeSettings(1, 0)) as one,
        open_bench(second, Disk(), tmp_path, node_slots) as other,
    ):
        one.deliver(message("msg_1"))
        await wait_all_tasks_blocked()
        one.deliver(message("msg_2", room="other"))
        other.deliver(message("msg_3"))
        await wait_all_tasks_blocked()
        other.deliver(message("msg_4", room="other"))
        await wait_all_tasks_blocked()
        assert held(one) == {"net:room:other": Brake.AGENT}
        assert held(other) == {"net:room:other": Brake.NODE}
        for number in range(1, 5):
            gate.let(f"msg_{number}")
        await one.conversations.wait_idle()
        await other.conversations.wait_idle()
        assert first.finished == ["msg_1", "msg_2"]
        assert sorted(second.finished) == ["msg_3", "msg_4"]


async def test_a_close_ends_what_a_brake_holds_and_the_message_stays_with_the_server(
    disk: Disk, tmp_path: Path, autojump_clock: MockClock
) -> None:
    runtime = FakeRuntime()
    settings = BrakeSettings(turns_per_hour=1)
    async with open_bench(runtime, disk, tmp_path, brakes=settings, unix_time=unix_time) as bench:
        bench.deliver(message("msg_0"))
        await bench.conversations.wait_idle()
        bench.deliver(message("msg_1"))
        await wait_all_tasks_blocked()
        bench.conversations.close()
        await bench.conversations.wait_idle()
        assert bench.settled == ["msg_0"]
        assert bench.status.activities == {}
    assert disk.file().started == {}


def test_turns_count_for_an_hour_and_a_clock_that_is_set_back_holds_nobody_for_longer() -> None:
    counts = TurnCounts()
    for at in (1000.0, 2000.0, 3000.0):
        counts.add("net:room:a", at)
    assert counts.recent("net:room:a", 4601) == [2000, 3000]
    assert counts.recent("net:room:a", 500) == [500, 500]
    assert counts.recent("net:room:a", 500 + limits.BUDGET_SECONDS) == []
    assert counts.recent("net:room:b", 0) == []


def test_what_is_counted_is_bounded_and_old_conversations_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_COUNTED_TURNS", 3)
    counts = TurnCounts.of([CountedTurns("old", (1,)), CountedTurns("a", (9000,))])
    counts.add("b", 9001)
    assert [each.conversation for each in counts.counted()] == ["a", "b"]
    counts.add("c", 9002)
    counts.add("b", 9003)
    assert counts.counted() == (CountedTurns("c", (9002,)), CountedTurns("b", (9001, 9003)))
