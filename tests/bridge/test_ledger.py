"""The ledger: what it knows after which crash."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import attrs
import hypothesis
import hypothesis.strategies as strategies
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from bridge import limits
from bridge.errors import StateInUse
from bridge.ledger import FILE_NAME, Ledger, Standing, open_ledger
from bridge.policy import Wake, WakeReason
from tests.fakes.disk import OWNER, Disk
from tests.fakes.messages import created, message


async def begun(disk: Disk) -> Ledger:
    """A ledger that has seen the event `e0`, on a connection that goes on."""
    ledger = disk.ledger()
    await ledger.begin("e0", None)
    return ledger


async def test_the_cursor_is_the_newest_event_up_to_which_everything_is_finished() -> None:
    ledger = await begun(disk := Disk())
    assert ledger.receive("w1", "w1") is Standing.NEW
    ledger.ignore("i1")
    assert ledger.receive("w2", "w2") is Standing.NEW
    ledger.ignore("i2")
    await ledger.finish(["w2"])
    assert (disk.file().cursor, disk.file().finished) == ("e0", ("w2",))
    await ledger.finish(["w1"])
    assert (disk.file().cursor, disk.file().finished) == ("i2", ())
    ledger.ignore("i3")
    assert ledger.cursor == "i3"


async def test_a_wake_finished_beyond_the_cursor_is_recognised_after_a_crash() -> None:
    ledger = await begun(disk := Disk())
    for wake in ("w1", "w2", "w3"):
        ledger.receive(wake, wake)
    await ledger.finish(["w2"])

    after = disk.ledger()
    assert after.rewind() == "e0"
    assert after.receive("w1", "w1") is Standing.NEW
    assert after.receive("w2", "w2") is Standing.FINISHED
    assert after.receive("w3", "w3") is Standing.NEW
    await after.finish(["w1"])
    assert (disk.file().cursor, disk.file().finished) == ("w2", ())


def a_wake(message_id: str) -> Wake:
    event = created(message(message_id))
    assert event.message is not None
    return Wake(event.id, event.id, attrs.evolve(event.message, parts=()), WakeReason.ROOM, "> hello")


async def test_what_is_held_is_ours_until_it_is_finished_and_the_cursor_passes_it() -> None:
    ledger = await begun(disk := Disk())
    first, second = a_wake("msg_1"), a_wake("msg_2")
    for wake in (first, second):
        assert ledger.receive(wake.event_id, wake.cursor) is Standing.NEW
    await ledger.hold(second)
    assert (disk.file().cursor, disk.file().held) == ("e0", (second,))

    after = disk.ledger()
    after.rewind()
    assert after.receive(first.event_id, first.cursor) is Standing.NEW
    assert after.receive(second.event_id, second.cursor) is Standing.FINISHED
    await after.hold(first)
    assert (disk.file().cursor, disk.file().held) == (second.cursor, (second, first))
    await after.start([second.event_id])
    await after.finish([second.event_id])
    assert (disk.file().held, disk.file().started) == ((first,), {})
    assert list(disk.ledger().held) == [first.event_id]


async def test_the_very_first_event_can_be_held() -> None:
    disk = Disk()
    kept = created(message("msg_1"))
    await disk.ledger().begin("e0", kept)
    ledger = disk.ledger()
    assert ledger.kept == kept
    await ledger.hold(a_wake("msg_1"))
    assert (disk.file().kept, [wake.event_id for wake in disk.file().held]) == (None, [kept.id])


async def test_a_wake_that_could_not_be_held_is_delivered_again() -> None:
    ledger = await begun(disk := Disk())
    wake = a_wake("msg_1")
    ledger.receive(wake.event_id, wake.cursor)
    disk.error = OSError("no space")
    with pytest.raises(OSError, match="no space"):
        await ledger.hold(wake)
    after = disk.ledger()
    assert (after.rewind(), after.held) == ("e0", {})
    assert after.receive(wake.event_id, wake.cursor) is Standing.NEW


async def test_a_turn_is_begun_on_disk_before_it_runs_and_until_it_is_finished() -> None:
    ledger = await begun(disk := Disk())
    ledger.receive("w1", "w1")
    assert not ledger.was_begun("w1")
    await ledger.start(["w1"])
    assert disk.ledger().was_begun("w1")
    assert disk.ledger().attempts("w1") == 1
    await ledger.start(["w1"])
    assert disk.ledger().attempts("w1") == 2
    await ledger.finish(["w1"])
    assert not disk.ledger().was_begun("w1")


async def test_a_turn_that_we_cut_ourselves_stays_begun_and_costs_no_attempt() -> None:
    ledger = await begun(disk := Disk())
    await ledger.start(["w1"])
    ledger.interrupt(["w1"])
    await ledger.save()
    assert disk.ledger().was_begun("w1")
    assert disk.ledger().attempts("w1") == 0


async def test_what_is_redelivered_in_the_same_process_is_known() -> None:
    ledger = await begun(Disk())
    for wake in ("w1", "w2"):
        ledger.receive(wake, wake)
    await ledger.finish(["w2"])
    assert ledger.rewind() == "e0"
    assert ledger.receive("w1", "w1") is Standing.ONGOING
    assert ledger.receive("w2", "w2") is Standing.FINISHED


async def test_a_turn_that_ends_between_two_connections_is_not_forgotten_before_it_comes_again() -> None:
    ledger = await begun(disk := Disk())
    ledger.receive("w1", "w1")
    resumed_after = ledger.rewind()
    await ledger.finish(["w1"])
    assert (disk.file().cursor, disk.file().finished) == (resumed_after, ("w1",))
    assert ledger.receive("w1", "w1") is Standing.FINISHED
    assert ledger.cursor == "w1"


async def test_a_wake_that_the_server_leaves_out_after_a_reconnect_does_not_hold_the_cursor() -> None:
    ledger = await begun(Disk())
    for wake in ("w1", "w2"):
        ledger.receive(wake, wake)
    ledger.rewind()
    await ledger.finish(["w1"])
    assert ledger.receive("w2", "w2") is Standing.ONGOING
    await ledger.finish(["w2"])
    assert ledger.cursor == "w2"


async def test_a_wake_that_becomes_visible_between_known_ones_holds_the_cursor() -> None:
    ledger = await begun(Disk())
    for wake in ("w1", "w3"):
        ledger.receive(wake, wake)
    ledger.rewind()
    for wake in ("w1", "w2", "w3"):
        ledger.receive(wake, wake)
    await ledger.finish(["w1", "w3"])
    assert ledger.cursor == "w1"
    await ledger.finish(["w2"])
    assert ledger.cursor == "w3"


async def test_the_very_first_wake_is_kept_because_no_cursor_leads_to_it() -> None:
    disk = Disk()
    ledger = disk.ledger()
    assert ledger.is_fresh
    wake = created(message())
    await ledger.begin(wake.id, wake)

    after = disk.ledger()
    assert after.kept == wake
    assert after.rewind() == wake.id
    await after.finish([wake.id])
    assert disk.ledger().kept is None
    assert not disk.ledger().is_fresh


async def test_saves_that_wait_for_one_write_share_the_next() -> None:
    ledger = await begun(disk := Disk())
    before = disk.writes
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(ledger.start, [f"w{number}"])
    assert disk.writes - before == 1
    assert len(disk.file().started) == 10


async def test_a_finish_is_written_even_if_it_is_cancelled() -> None:
    ledger = await begun(disk := Disk())
    ledger.receive("w1", "w1")
    with trio.CancelScope() as scope:
        scope.cancel()
        await ledger.finish(["w1"])
    assert disk.file().cursor == "w1"


async def test_a_failed_write_reaches_the_caller_and_leaves_the_old_file() -> None:
    ledger = await begun(disk := Disk())
    disk.error = OSError("no space")
    with pytest.raises(OSError, match="no space"):
        await ledger.start(["w1"])
    assert disk.file().started == {}


async def test_ignored_events_are_saved_within_a_bounded_lag(autojump_clock: MockClock) -> None:
    ledger = await begun(disk := Disk())
    before = disk.writes
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ledger.save_lazily)
        for number in range(1000):
            ledger.ignore(f"i{number}")
        await wait_all_tasks_blocked()
        assert disk.writes == before
        await trio.sleep(limits.LEDGER_LAG_SECONDS + 0.1)
        assert (disk.writes, disk.file().cursor) == (before + 1, "i999")
        nursery.cancel_scope.cancel()


async def test_what_is_remembered_beyond_the_cursor_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_FINISHED_BEYOND_CURSOR", 3)
    monkeypatch.setattr(limits, "MAX_STARTED", 3)
    ledger = await begun(disk := Disk())
    for number in range(6):
        ledger.receive(f"w{number}", f"w{number}")
    await ledger.finish([f"w{number}" for number in range(1, 6)])
    await ledger.start([f"s{number}" for number in range(5)])
    assert disk.file().finished == ("w3", "w4", "w5")
    assert tuple(disk.file().started) == ("s2", "s3", "s4")


@hypothesis.given(strategies.lists(strategies.sampled_from(["deliver", "finish", "lose", "crash"]), max_size=60))
async def test_nothing_is_lost_or_done_twice_whatever_happens(steps: Sequence[str]) -> None:
    """Against a server that delivers all wakes after the cursor, in order, on every connection."""
    wakes = [f"w{number:02}" for number in range(20)]
    ledger = await begun(disk := Disk())
    done: list[str] = []
    ongoing: list[str] = []
    position = 0
    for step in [*steps, "crash", *["deliver", "finish"] * len(wakes)]:
        match step:
            case "deliver" if position < len(wakes):
                wake = wakes[position]
                position += 1
                standing = ledger.receive(wake, wake)
                assert (standing is Standing.FINISHED) == (wake in done)
                assert (standing is Standing.ONGOING) == (wake in ongoing)
                if standing is Standing.NEW:
                    ongoing.append(wake)
            case "finish" if ongoing:
                done.append(ongoing.pop(len(ongoing) // 2))
                await ledger.finish([done[-1]])
            case "crash":
                ledger, ongoing = disk.ledger(), []
        if step in ("lose", "crash"):
            cursor = ledger.rewind()
            position = 0 if cursor == "e0" else wakes.index(cursor) + 1
    assert sorted(done) == wakes


async def test_the_file_is_private_and_found_again(tmp_path: Path) -> None:
    async with open_ledger(tmp_path / "state", OWNER) as ledger:
        await ledger.begin("e0", None)
        ledger.receive("w1", "w1")
        await ledger.start(["w1"])
        ledger.ignore("i1")
    file = tmp_path / "state" / FILE_NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    async with open_ledger(tmp_path / "state", OWNER) as ledger:
        assert (ledger.cursor, ledger.attempts("w1")) == ("e0", 1)


async def test_what_changed_at_the_end_is_saved_when_the_ledger_is_left(tmp_path: Path) -> None:
    with trio.CancelScope() as scope:
        async with open_ledger(tmp_path, OWNER) as ledger:
            await ledger.begin("e0", None)
            ledger.ignore("i1")
            scope.cancel()
            await trio.lowlevel.checkpoint()
    async with open_ledger(tmp_path, OWNER) as ledger:
        assert ledger.cursor == "i1"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"owner":"net:agent-1","version":"moltnet.ledger.v2"}',
        b'{"owner":"net:other","version":"moltnet.ledger.v1","cursor":"e7"}',
        b'{"owner":"net:agent-1","version":"moltnet.ledger.v1","started":{"w1":"often"}}',
        b'{"owner":"net:agent-1","version":"moltnet.ledger.v1","finished":"w1"}',
        b"\xff\xfe",
    ],
)
async def test_a_file_that_is_not_understood_is_set_aside(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    async with open_ledger(tmp_path, OWNER) as ledger:
        assert ledger.is_fresh
    assert (tmp_path / f"{FILE_NAME}.corrupt").read_bytes() == content
    assert "ledger set aside" in caplog.text


async def test_two_processes_cannot_run_the_same_attachment(tmp_path: Path) -> None:
    async with open_ledger(tmp_path, OWNER):
        with pytest.raises(
            StateInUse, match=rf"^another node \(pid {os.getpid()}\) already runs {OWNER.partition(':')[2]}; stop it$"
        ):
            async with open_ledger(tmp_path, OWNER):
                pytest.fail("entered")
    async with open_ledger(tmp_path, OWNER):
        pass


async def test_a_process_that_is_just_being_started_keeps_no_state_locked(tmp_path: Path) -> None:
    async with open_ledger(tmp_path, OWNER):
        lock = str(tmp_path / "lock")
        (held,) = (each for each in Path("/proc/self/fd").iterdir() if each.is_symlink() and os.readlink(each) == lock)
        # What a fork does to it, until the new program begins.
        inherited = os.dup(int(held.name))
    try:
        async with open_ledger(tmp_path, OWNER) as ledger:
            assert ledger.is_fresh
    finally:
        os.close(inherited)


async def test_the_time_of_the_place_goes_with_it() -> None:
    ledger = (disk := Disk()).ledger()
    await ledger.begin("e0", None, "10:00")
    ledger.receive("w1", "w1", "10:01")
    ledger.ignore("i1", "10:02")
    ledger.receive("w2", "w2", "10:03")
    assert ledger.cursor_at == "10:00"
    await ledger.finish(["w1"])
    assert (disk.file().cursor, disk.file().cursor_at) == ("i1", "10:02")
    await ledger.finish(["w2"])
    ledger.ignore("i2", "10:04")
    # Of an event that can't be read there is no time; an earlier one costs less than a later one.
    ledger.ignore("i3")
    await ledger.save()
    assert (disk.file().cursor, disk.ledger().cursor_at) == ("i3", "10:04")


async def test_what_was_fetched_is_known_when_it_comes_after_all() -> None:
    ledger = await begun(disk := Disk())
    one, two, elsewhere = (a_wake(f"msg_{number}") for number in (1, 2, 3))
    assert not ledger.knows(one.event_id)
    await ledger.fetch([one, two, elsewhere], [one, two])
    await ledger.start([one.event_id])
    await ledger.finish([one.event_id])
    for each in (ledger, disk.ledger()):
        each.rewind()
        assert [each.knows(wake.event_id) for wake in (one, two, elsewhere)] == [True] * 3
        assert list(each.retaken) == [two.event_id]
        standings = [each.receive(wake.event_id, wake.event_id) for wake in (one, two, elsewhere)]
        assert standings == [Standing.FINISHED, Standing.ONGOING, Standing.FINISHED]
    await each.finish([two.event_id])
    assert each.cursor == elsewhere.event_id
