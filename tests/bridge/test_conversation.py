"""Mailboxes and turns: order, batches, caps, retries, dead letters, and what every cancellation leaves behind."""

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from bridge import limits
from bridge.dead_letters import FILE_NAME, DeadLetters
from bridge.policy import Wake, WakeReason
from bridge.runtimes.runtime import Conversation, RuntimeMisconfigured, Turn, TurnFailed
from tests.fakes.disk import Disk
from tests.fakes.mailboxes import open_bench
from tests.fakes.messages import created, message
from tests.fakes.runtime import FakeRuntime, Gate, never_end


@pytest.fixture
def disk() -> Disk:
    return Disk()


def prompts(runtime: FakeRuntime) -> list[str]:
    return [turn.prompt for turn in runtime.turns]


def dead_letters(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / FILE_NAME).read_text().splitlines()]


async def test_a_message_is_one_turn_and_is_settled_after_it(disk: Disk, tmp_path: Path) -> None:
    runtime = FakeRuntime(gate := Gate())
    async with open_bench(runtime, disk, tmp_path) as bench:
        bench.deliver(message("msg_1"))
        await runtime.wait_until(lambda runtime: runtime.running == 1)
        assert bench.settled == []
        assert bench.status.running_turns == 1
        assert list(disk.file().started) == [created(message("msg_1")).id]
        gate.let("msg_1")
        await bench.conversations.wait_idle()
        assert bench.settled == ["msg_1"]
        assert disk.file().cursor == created(message("msg_1")).id
        assert (bench.status.running_turns, bench.status.waiting_wakes, bench.status.finished_turns) == (0, 0, 1)


async def test_what_arrives_while_a_turn_runs_becomes_one_batch_in_order(disk: Disk, tmp_path: Path) -> None:
    runtime = FakeRuntime(gate := Gate())
    gate.let("msg_4")
    async with open_bench(runtime, disk, tmp_path) as bench:
        bench.deliver(message("msg_1"))
        await runtime.wait_until(lambda runtime: runtime.running == 1)
        bench.deliver(*(message(f"msg_{number}") for number in (2, 3, 4)))
        await wait_all_tasks_blocked()
        assert runtime.most_running == 1
        gate.let("msg_1")
        await bench.conversations.wait_idle()
        assert prompts(runtime) == ["msg_1", "msg_2, msg_3, msg_4"]
        assert bench.settled == ["msg_1", "msg_2", "msg_3", "msg_4"]


async def test_a_batch_is_bounded_in_number_and_bytes(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weakness 8 of the reference's runtimes."""
    monkeypatch.setattr(limits, "MAX_BATCH_WAKES", 3)
    monkeypatch.setattr(limits, "MAX_BATCH_BYTES", 10_000)
    runtime = FakeRuntime()
    async with open_bench(runtime, disk, tmp_path) as bench:
        bench.deliver(*(message(f"msg_{number}") for number in range(4)))
        bench.deliver(message("msg_4", text="x" * 9_000), message("msg_5", text="x" * 20_000), message("msg_6"))
        await bench.conversations.wait_idle()
    assert prompts(runtime) == ["msg_0, msg_1, msg_2", "msg_3", "msg_4", "msg_5", "msg_6"]


async def test_a_slow_conversation_holds_up_no_other(disk: Disk, tmp_path: Path) -> None:
    """Weakness 5 of the reference: one slow turn blocked all rooms of the agent."""
    runtime = FakeRuntime(gate := Gate())
    for fast in ("msg_2", "msg_3", "msg_4"):
        gate.let(fast)
    async with open_bench(runtime, disk, tmp_path) as bench:
        bench.deliver(message("msg_1"), message("msg_2", room="other"), message("msg_3", dm="dm_1"))
        bench.deliver(message("msg_4", thread="t1"))
        await runtime.wait_until(lambda runtime: len(runtime.finished) == 3)
        await wait_all_tasks_blocked()
        assert sorted(bench.settled) == ["msg_2", "msg_3", "msg_4"]
        # The cursor waits for the slow one, and what is done beyond it is known.
        assert disk.file().cursor == "e0"
        assert len(disk.file().finished) == 3


async def test_an_idle_conversation_holds_no_task(disk: Disk, tmp_path: Path) -> None:
    async with open_bench(FakeRuntime(), disk, tmp_path) as bench:
        before = trio.lowlevel.current_statistics().tasks_living
        for number in range(50):
            bench.deliver(message(f"msg_{number}", room=f"room-{number}"))
        await bench.conversations.wait_idle()
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == before
        assert len(bench.settled) == 50


async def test_an_agent_runs_a_bounded_number_of_turns(disk: Disk, tmp_path: Path) -> None:
    runtime = FakeRuntime(gate := Gate())
    async with open_bench(runtime, disk, tmp_path) as bench:
        for number in range(10):
            bench.deliver(message(f"msg_{number}", room=f"room-{number}"))
        await wait_all_tasks_blocked()
        assert runtime.running == limits.TURNS_PER_AGENT
        for number in range(10):
            gate.let(f"msg_{number}")
        await bench.conversations.wait_idle()
        assert runtime.most_running == limits.TURNS_PER_AGENT
        assert len(bench.settled) == 10


async def test_a_node_runs_a_bounded_number_of_turns(disk: Disk, tmp_path: Path) -> None:
    slots = trio.CapacityLimiter(1)
    first, second = FakeRuntime(gate := Gate()), FakeRuntime()
    async with (
        open_bench(first, disk, tmp_path, slots) as one,
        open_bench(second, Disk(), tmp_path, slots) as other,
    ):
        one.deliver(message("msg_1"))
        await wait_all_tasks_blocked()
        other.deliver(message("msg_2"))
        await wait_all_tasks_blocked()
        assert (first.running, second.begun) == (1, [])
        gate.let("msg_1")
        await other.conversations.wait_idle()
        assert second.finished == ["msg_2"]


async def test_a_failed_turn_is_tried_again_with_growing_delays_and_says_so(
    disk: Disk, tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Weakness 6 of the reference: a failed run lost its message."""
    began: list[float] = []

    async def fail_twice(_turn: Turn) -> None:
        began.append(trio.current_time())
        if len(began) < 3:
            raise TurnFailed("model overloaded", retryable=True)

    runtime = FakeRuntime(fail_twice)
    async with open_bench(runtime, disk, tmp_path) as bench:
        bench.deliver(message("msg_1"))
        await runtime.wait_until(lambda runtime: len(runtime.turns) == 1)
        bench.deliver(message("msg_2"))
        await bench.conversations.wait_idle()
        assert prompts(runtime) == ["msg_1", "msg_1 again", "msg_1 again", "msg_2"]
        assert bench.settled == ["msg_1", "msg_2"]
        assert 2 * (began[1] - began[0]) * 0.6 < began[2] - began[1]
        assert began[1] - began[0] >= limits.TURN_RETRY_BASE_SECONDS
    assert "model overloaded" in caplog.text or "turn failed" in caplog.text


async def test_a_waiting_retry_leaves_its_slot_to_others(disk: Disk, tmp_path: Path, autojump_clock: MockClock) -> None:
    async def fail_in_general(turn: Turn) -> None:
        if turn.conversation.id == "general" and len(runtime.turns) == 1:
            raise TurnFailed("no", retryable=True)

    runtime = FakeRuntime(fail_in_general)
    async with open_bench(runtime, disk, tmp_path, trio.CapacityLimiter(1)) as bench:
        bench.deliver(message("msg_1"))
        await runtime.wait_until(lambda runtime: len(runtime.turns) == 1)
        bench.deliver(message("msg_2", room="other"))
        await bench.conversations.wait_idle()
        assert runtime.finished == ["msg_2", "msg_1"]


@pytest.mark.parametrize(("retryable", "attempts"), [(True, limits.MAX_TURN_ATTEMPTS), (False, 1)])
async def test_a_message_that_cannot_be_handled_is_given_up_with_a_record_and_blocks_nothing(
    retryable: bool,
    attempts: int,
    disk: Disk,
    tmp_path: Path,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Weakness 4 of the reference: a poison message came again for ever."""

    async def choke(turn: Turn) -> None:
        if "msg_1" in turn.prompt:
            raise TurnFailed("exit code 1: choked", retryable=retryable)

    runtime = FakeRuntime(choke)
    async with open_bench(runtime, disk, tmp_path) as bench:
        bench.deliver(message("msg_1"))
        await runtime.wait_until(lambda runtime: len(runtime.turns) == 1)
        bench.deliver(message("msg_2"))
        await bench.conversations.wait_idle()
        assert runtime.begun == ["msg_1"] * attempts + ["msg_2"]
        assert bench.settled == ["msg_1", "msg_2"]
        assert disk.file().cursor == created(message("msg_2")).id
        assert disk.file().started == {}
        assert bench.status.given_up_wakes == 1
    (letter,) = dead_letters(tmp_path)
    assert letter["message_id"] == "msg_1"
    assert letter["conversation"] == "net:room:general"
    assert letter["sender"] == "molt://net/agents/alpha"
    assert letter["attempts"] == attempts
    assert letter["reason"] == "exit code 1: choked"
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [record.getMessage() for record in warnings][-1] == "message given up"


async def test_a_message_that_ends_the_node_every_time_is_given_up(disk: Disk, tmp_path: Path) -> None:
    """A crash is an attempt too."""
    for _ in range(limits.MAX_TURN_ATTEMPTS):
        ledger = disk.ledger()
        await ledger.start([created(message("msg_1")).id])  # and then kill -9
    runtime = FakeRuntime()
    async with open_bench(runtime, disk, tmp_path) as bench:
        bench.deliver(message("msg_1"))
        await wait_all_tasks_blocked()
        bench.deliver(message("msg_2"))
        await bench.conversations.wait_idle()
        assert runtime.begun == ["msg_2"]
        assert bench.settled == ["msg_1", "msg_2"]
    assert [letter["message_id"] for letter in dead_letters(tmp_path)] == ["msg_1"]


async def test_one_spent_message_does_not_take_its_batch_along(disk: Disk, tmp_path: Path) -> None:
    ledger = disk.ledger()
    for _ in range(limits.MAX_TURN_ATTEMPTS):
        await ledger.start([created(message("msg_2")).id])
    runtime = FakeRuntime()
    async with open_bench(runtime, disk, tmp_path) as bench:
        bench.deliver(*(message(f"msg_{number}") for number in (1, 2, 3)))
        await bench.conversations.wait_idle()
        assert prompts(runtime) == ["msg_1, msg_3"]
        assert sorted(bench.settled) == ["msg_1", "msg_2", "msg_3"]


async def test_the_file_of_dead_letters_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_DEAD_LETTER_BYTES", 1000)
    letters = DeadLetters(tmp_path)
    for number in range(20):
        wake = Wake(created(message()).id, "c", message(f"msg_{number}"), WakeReason.ROOM, "")
        conversation = Conversation.of_target("net", message().target)
        await letters.record(conversation, [wake], 1, "no")
    assert dead_letters(tmp_path)[-1]["message_id"] == "msg_19"
    assert {path.name for path in tmp_path.iterdir()} == {FILE_NAME, "dead-letters.old.jsonl"}
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())


async def test_a_runtime_that_cannot_work_stops_the_attachment_and_costs_no_attempt(disk: Disk, tmp_path: Path) -> None:
    gate = Gate()

    async def break_in_general(turn: Turn) -> None:
        if turn.conversation.id == "general":
            raise RuntimeMisconfigured("no such program")
        await gate(turn)

    runtime = FakeRuntime(break_in_general)
    async with open_bench(runtime, disk, tmp_path) as bench:
        bench.deliver(message("msg_1", room="other"))
        await runtime.wait_until(lambda runtime: runtime.running == 1)
        bench.deliver(message("msg_2"))
        await wait_all_tasks_blocked()
        assert [str(stop) for stop in bench.stops] == ["no such program"]
        # The turn that runs goes on; none is started any more.
        bench.deliver(message("msg_3", room="third"))
        gate.let("msg_1")
        await bench.conversations.wait_idle()
        assert runtime.finished == ["msg_1"]
        assert bench.settled == ["msg_1"]
    assert disk.ledger().attempts(created(message("msg_2")).id) == 0


async def test_what_is_left_to_the_server_does_not_count_as_waiting_any_more(disk: Disk, tmp_path: Path) -> None:
    """An agent that was parked often enough never attached again."""

    async def break_down(_turn: Turn) -> None:
        raise RuntimeMisconfigured("no such program")

    async with open_bench(FakeRuntime(break_down), disk, tmp_path) as bench:
        bench.deliver(message("msg_1"), message("msg_2"), message("msg_3", room="other"))
        await bench.conversations.wait_idle()
        assert len(bench.stops) >= 1
        assert bench.status.waiting_wakes == 0
        assert not bench.conversations.is_full
    async with open_bench(FakeRuntime(never_end), disk, tmp_path) as bench:
        bench.deliver(message("msg_1"))
        await wait_all_tasks_blocked()
        assert bench.status.waiting_wakes == 1
    assert bench.status.waiting_wakes == 0


async def test_after_close_running_turns_end_and_waiting_ones_stay(
    disk: Disk, tmp_path: Path, autojump_clock: MockClock
) -> None:
    runtime = FakeRuntime(gate := Gate())
    async with open_bench(runtime, disk, tmp_path, trio.CapacityLimiter(1)) as bench:
        bench.deliver(message("msg_1"))
        await runtime.wait_until(lambda runtime: runtime.running == 1)
        bench.deliver(message("msg_2"), message("msg_3", room="other"))
        await wait_all_tasks_blocked()
        bench.conversations.close()
        gate.let("msg_1")
        await bench.conversations.wait_idle()
        assert runtime.begun == ["msg_1"]
        assert bench.settled == ["msg_1"]
    assert disk.file().cursor == created(message("msg_1")).id
    assert disk.file().started == {}


async def test_a_close_ends_the_wait_for_a_retry(disk: Disk, tmp_path: Path) -> None:
    async def fail(_turn: Turn) -> None:
        raise TurnFailed("no", retryable=True)

    runtime = FakeRuntime(fail)
    async with open_bench(runtime, disk, tmp_path) as bench:
        bench.deliver(message("msg_1"))
        await runtime.wait_until(lambda runtime: len(runtime.turns) == 1)
        await wait_all_tasks_blocked(0.01)
        bench.conversations.close()
        await bench.conversations.wait_idle()
        assert bench.settled == []
    assert disk.ledger().attempts(created(message("msg_1")).id) == 1


async def test_what_waits_is_bounded(disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_WAITING_WAKES", 4)
    monkeypatch.setattr(limits, "MAX_BATCH_WAKES", 1)
    runtime = FakeRuntime(gate := Gate())
    async with open_bench(runtime, disk, tmp_path) as bench:
        bench.deliver(*(message(f"msg_{number}") for number in range(3)))
        fullness = [bench.conversations.is_full]
        bench.deliver(message("msg_3"))
        fullness.append(bench.conversations.is_full)
        assert fullness == [False, True]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bench.conversations.wait_room)
            gate.let("msg_0")
            await wait_all_tasks_blocked()
            assert bench.status.waiting_wakes == 3
            assert len(nursery.child_tasks) == 1
            gate.let("msg_1")
        assert bench.status.waiting_wakes == 2


async def test_large_messages_that_wait_are_bounded_too(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_WAITING_BYTES", 100_000)
    async with open_bench(FakeRuntime(never_end), disk, tmp_path) as bench:
        bench.deliver(message("msg_1", text="x" * 99_999))
        assert bench.conversations.is_full


async def test_a_failing_disk_stops_the_turn_before_it_runs(disk: Disk, tmp_path: Path) -> None:
    runtime = FakeRuntime()
    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="no space")):
        async with open_bench(runtime, disk, tmp_path) as bench:
            disk.error = OSError("no space")
            bench.deliver(message("msg_1"))
            await bench.conversations.wait_idle()
            await wait_all_tasks_blocked()
    assert runtime.begun == []
