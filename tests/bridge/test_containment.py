"""What the processes of one turn may use: what the kernel keeps, and what the keeper counts."""

import resource
import sys
from pathlib import Path

import attrs
import pytest

from bridge import limits
from bridge.process import Command, LimitExceeded, run_command
from bridge.runtimes.registry import open_runtime
from bridge.runtimes.runtime import Conversation, Turn, TurnFailed
from bridge.settings import ProcessLimits
from moltnet.protocol.messages import TargetKind
from tests.fakes.attachments import attachment_config
from tests.fakes.process_watch import ProcessWatch
from tests.fakes.process_watch import shell_command as shell

ROOM = Conversation("net", TargetKind.ROOM, "general")


@pytest.fixture(autouse=True)
def watchful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WATCH_SECONDS", 0.05)


def limited(script: str, watch: ProcessWatch, **allowed: int) -> Command:
    return attrs.evolve(shell(script, watch), limits=ProcessLimits(**allowed))


def python(program: str, watch: ProcessWatch, **allowed: int) -> Command:
    return Command(
        (sys.executable, "-I", "-S", "-c", program), Path("/"), watch.environment, limits=ProcessLimits(**allowed)
    )


async def test_a_command_has_its_own_limits_and_not_the_nodes(watch: ProcessWatch) -> None:
    script = "ulimit -Sn; ulimit -Hn; ulimit -t; ulimit -c; ulimit -f"
    ending = await run_command(limited(script, watch, open_files=2000, cpu_seconds=7, file_mib=3))
    assert ending.output.split() == ["1024", "2000", "7", "0", str(3 * 2048)]  # files in blocks of 512 bytes


async def test_a_command_does_not_inherit_the_raised_descriptor_limit_of_the_node(watch: ProcessWatch) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))  # as `node.descriptors` does
    try:
        ending = await run_command(shell("ulimit -Sn; ulimit -Hn", watch))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert ending.output.split() == [str(limits.USUAL_OPEN_FILES), str(min(limits.TURN_OPEN_FILES, before[1]))]


async def test_a_command_that_takes_too_much_memory_is_killed_with_all_it_started(watch: ProcessWatch) -> None:
    program = "import subprocess, sys\nheld = b'x' * 50_000_000\nprint(len(held), flush=True)\ninput()"
    child = f'setsid {sys.executable} -I -S -c "{program}" < /dev/zero & sleep 1000'
    with pytest.raises(LimitExceeded, match=r"more than 40 MiB of memory \(limits\.memory_mib\)"):
        await run_command(limited(child, watch, memory_mib=40))
    assert watch.running() == []


async def test_memory_that_is_only_reserved_counts_for_nothing(watch: ProcessWatch) -> None:
    program = (
        "import mmap, time\nheld = mmap.mmap(-1, 1 << 36, mmap.MAP_PRIVATE | 0x4000)\ntime.sleep(0.3)\nprint('fine')"
    )
    assert (await run_command(python(program, watch, memory_mib=40))).output == "fine\n"


async def test_a_fork_bomb_is_stopped_and_nothing_of_it_is_left(watch: ProcessWatch) -> None:
    bomb = "bomb() { setsid sh -c 'sleep 1000' & sleep 1000 & }; while :; do bomb; sleep 0.005; done"
    with pytest.raises(LimitExceeded, match=r"more than 20 processes \(limits\.processes\)"):
        await run_command(limited(bomb, watch, processes=20))
    assert watch.running() == []


async def test_a_command_within_its_limits_runs_as_long_as_it_wants(watch: ProcessWatch) -> None:
    ending = await run_command(limited("sleep 0.3; echo done", watch, processes=5, memory_mib=50))
    assert ending.output == "done\n"


async def run_turn(script: str, directory: Path, watch: ProcessWatch, allowed: ProcessLimits) -> None:
    config = attachment_config(directory, command=("/bin/sh", "-c", script), limits=allowed)
    async with open_runtime(config) as runtime:
        await runtime.run_turn(Turn(ROOM, "hello", watch.environment))


@pytest.mark.parametrize(
    ("script", "allowed", "reason"),
    [
        ("while :; do :; done", ProcessLimits(cpu_seconds=1), "killed by signal 24: it is over limits.cpu_seconds"),
        (
            "(while :; do :; done); exit $?",
            ProcessLimits(cpu_seconds=1),
            "exit code 152: it is over limits.cpu_seconds",
        ),
        (
            "exec head -c 3000000 /dev/zero > big",
            ProcessLimits(file_mib=1),
            "killed by signal 25: it is over limits.file_mib",
        ),
    ],
)
async def test_a_turn_over_a_limit_of_one_process_says_which(
    watch: ProcessWatch, tmp_path: Path, script: str, allowed: ProcessLimits, reason: str
) -> None:
    with pytest.raises(TurnFailed) as failure:
        await run_turn(script, tmp_path, watch, allowed)
    assert failure.value.reason.startswith(reason)
    assert failure.value.retryable


async def test_a_turn_whose_processes_take_too_much_is_not_tried_again(watch: ProcessWatch, tmp_path: Path) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 1000 & done; wait"
    with pytest.raises(TurnFailed, match=r"^stopped: had more than 5 processes") as failure:
        await run_turn(script, tmp_path, watch, ProcessLimits(processes=5))
    assert not failure.value.retryable
    assert watch.running() == []
