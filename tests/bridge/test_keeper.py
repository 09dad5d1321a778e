"""How commands end, on their own and otherwise, and that nothing of them is left: not even if the node is killed."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from bridge import limits, process
from bridge.process import (
    Command,
    KeeperLost,
    run_command,
)
from tests.expected_errors import ExpectedErrors
from tests.fakes.process_watch import ProcessWatch
from tests.fakes.process_watch import shell_command as shell

# Two generations away from its parent, in a session of its own, with the output still in its hands.
ESCAPE = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    os.fork() and os._exit(0)\n    time.sleep(1000)"


async def test_a_command_works_in_its_directory_in_a_session_of_its_own(watch: ProcessWatch, tmp_path: Path) -> None:
    script = "pwd; echo $$; cut -d' ' -f5,6 /proc/$$/stat"
    ending = await run_command(Command(("/bin/sh", "-c", script), tmp_path, watch.environment))
    working_directory, pid, group_and_session = ending.output.splitlines()
    assert working_directory == str(tmp_path)
    assert group_and_session == f"{pid} {pid}"


async def test_a_command_holds_no_descriptor_of_ours(watch: ProcessWatch) -> None:
    assert (await run_command(shell("ls /proc/$$/fd", watch))).output.split() == ["0", "1", "2"]


async def test_a_signal_to_the_nodes_group_reaches_neither_keeper_nor_command(watch: ProcessWatch) -> None:
    ending = await run_command(shell("echo $PPID; cut -d' ' -f5,6 /proc/$PPID/stat", watch))
    keeper, group_and_session = ending.output.splitlines()
    assert group_and_session == f"{keeper} {keeper}"


async def test_a_command_has_the_usual_signals(watch: ProcessWatch) -> None:
    ending = await run_command(shell("kill -PIPE $$; echo survived", watch))
    assert (ending.exit_code, ending.output) == (-signal.SIGPIPE, "")


@pytest.mark.parametrize(
    "script",
    [
        "sleep 1000 & echo done",
        "(sleep 1000 & sleep 1000 &) ; echo done",
        "setsid sleep 1000 & echo done",
        "setsid sh -c 'trap \"\" TERM HUP; sleep 1000' & echo done",
        f'{sys.executable} -c "{ESCAPE}"; echo done',
        "sleep 1000 < /dev/null > /dev/null 2>&1 & echo done",
    ],
)
async def test_what_a_finished_command_leaves_behind_is_ended(watch: ProcessWatch, script: str) -> None:
    ending = await run_command(shell(script, watch))
    assert (ending.exit_code, ending.output) == (0, "done\n")
    assert watch.running() == []


@pytest.mark.parametrize(
    "script",
    [
        "echo ready; sleep 1000",
        "trap '' TERM; echo ready; while :; do sleep 1000; done",
        "sleep 1000 & setsid sleep 1000 & echo ready; wait",
        f"{sys.executable} -c '{ESCAPE}'; echo ready; sleep 1000",
    ],
)
async def test_cancelling_ends_the_command_and_all_that_it_started(
    watch: ProcessWatch, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(limits, "TERM_GRACE_SECONDS", 0.1)
    with trio.CancelScope() as scope:

        async def on_line(line: bytes) -> None:
            assert line == b"ready"
            assert watch.running()
            scope.cancel(reason="the test")

        await run_command(shell(script, watch, b"x" * 1_000_000), on_line=on_line)
    assert scope.cancelled_caught
    assert watch.running() == []


async def test_a_command_that_is_told_to_end_may_tidy_up_first(watch: ProcessWatch, tmp_path: Path) -> None:
    script = f"trap 'echo saved > {tmp_path}/session; exit' TERM; echo ready; while :; do sleep 0.01; done"
    with trio.CancelScope() as scope:

        async def on_line(line: bytes) -> None:
            scope.cancel(reason="the test")

        await run_command(shell(script, watch), on_line=on_line)
    assert (tmp_path / "session").read_text() == "saved\n"


async def test_if_the_keeper_is_killed_so_is_the_command(watch: ProcessWatch) -> None:
    async def on_line(line: bytes) -> None:
        os.kill(int(line), signal.SIGKILL)

    with pytest.raises(KeeperLost):
        await run_command(shell("echo $PPID; exec sleep 1000", watch), on_line=on_line)
    await watch.wait_gone()


async def test_a_keeper_that_does_not_end_is_killed(
    watch: ProcessWatch, monkeypatch: pytest.MonkeyPatch, expected_errors: ExpectedErrors
) -> None:
    monkeypatch.setattr(limits, "KEEPER_END_SECONDS", 0.05)
    with trio.CancelScope() as scope:

        async def on_line(line: bytes) -> None:
            os.kill(int(line), signal.SIGSTOP)
            scope.cancel(reason="the test")

        await run_command(shell("echo $PPID; exec sleep 1000", watch), on_line=on_line)
    await watch.wait_gone()
    expected_errors.take("the keeper of a command did not end")


async def test_an_operator_may_end_a_command_through_its_keeper(watch: ProcessWatch) -> None:
    async def on_line(line: bytes) -> None:
        os.kill(int(line), signal.SIGTERM)

    ending = await run_command(shell("echo $PPID; exec sleep 1000", watch), on_line=on_line)
    assert ending.exit_code == -signal.SIGTERM


NODE = """
import sys, trio
from pathlib import Path
from bridge import limits
from bridge.process import Command, run_command

async def on_line(line):
    print(line.decode(), flush=True)

limits.TERM_GRACE_SECONDS = 0.1
command = Command(("/bin/sh", "-c", sys.argv[1]), Path("/"), dict(line.split("=", 1) for line in sys.argv[2:]))
trio.run(lambda: run_command(command, on_line=on_line))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [
        "echo ready; sleep 1000",
        "trap '' TERM HUP; echo ready; while :; do sleep 1000; done",
        "setsid sleep 1000 & echo ready; wait",
    ],
)
async def test_if_the_node_is_killed_the_command_ends(watch: ProcessWatch, script: str) -> None:
    environment = [f"{name}={value}" for name, value in watch.environment.items()]
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, stdout=subprocess.PIPE, check=False, cwd=Path(process.__file__).parents[1])
        node = await nursery.start(start, [sys.executable, "-c", NODE, script, *environment])
        async with node.stdout:
            assert (await node.stdout.receive_some()).startswith(b"ready")
            assert watch.running()
            node.kill()
    await watch.wait_gone()
