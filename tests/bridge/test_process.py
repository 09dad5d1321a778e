"""Commands that behave, and commands that do not: what comes back, and that nothing of them is left."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import trio

from bridge import limits, process
from bridge.process import (
    Command,
    DirectoryUnusable,
    KeeperLost,
    OutputFlood,
    ProcessError,
    ProgramMissing,
    ProgramNotExecutable,
    StartFailed,
    run_command,
)
from tests.expected_errors import ExpectedErrors
from tests.fakes.process_watch import ProcessWatch, watch_processes

# Two generations away from its parent, in a session of its own, with the output still in its hands.
ESCAPE = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    os.fork() and os._exit(0)\n    time.sleep(1000)"


@pytest.fixture
def watch() -> Iterator[ProcessWatch]:
    with watch_processes() as watch:
        yield watch


def shell(script: str, watch: ProcessWatch, stdin: bytes = b"") -> Command:
    return Command(("/bin/sh", "-c", script), Path("/"), watch.environment, stdin)


async def test_a_command_reads_its_input_and_its_output_comes_back(watch: ProcessWatch) -> None:
    ending = await run_command(shell("cat; echo trouble >&2; exit 3", watch, b"hello"))
    assert (ending.exit_code, ending.output, ending.errors) == (3, "hello", "trouble\n")
    assert not ending.output_truncated


async def test_a_command_gets_its_environment_and_nothing_else(watch: ProcessWatch) -> None:
    ending = await run_command(Command(("env",), Path("/"), {**watch.environment, "EXTRA": "ü"}))
    lines = set(ending.output.splitlines())
    assert lines == {f"{name}={value}" for name, value in watch.environment.items()} | {"EXTRA=ü"}


async def test_a_command_works_in_its_directory_in_a_session_of_its_own(watch: ProcessWatch, tmp_path: Path) -> None:
    script = "pwd; echo $$; cut -d' ' -f5,6 /proc/$$/stat"
    ending = await run_command(Command(("/bin/sh", "-c", script), tmp_path, watch.environment))
    working_directory, pid, group_and_session = ending.output.splitlines()
    assert working_directory == str(tmp_path)
    assert group_and_session == f"{pid} {pid}"


async def test_a_command_has_the_usual_signals(watch: ProcessWatch) -> None:
    ending = await run_command(shell("kill -PIPE $$; echo survived", watch))
    assert (ending.exit_code, ending.output) == (-signal.SIGPIPE, "")


async def test_lines_are_delivered_while_the_command_runs(watch: ProcessWatch, tmp_path: Path) -> None:
    answer = tmp_path / "answer"
    os.mkfifo(answer)
    lines = []

    async def on_line(line: bytes) -> None:
        lines.append(line)
        if line == b"question":
            await trio.to_thread.run_sync(answer.write_text, "heard\n")

    await run_command(shell(f"echo question; read x < {answer}; echo $x; printf 'no end'", watch), on_line=on_line)
    assert lines == [b"question", b"heard", b"no end"]


async def test_a_slow_reader_of_lines_gets_them_all_after_the_command_is_gone(
    watch: ProcessWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DRAIN_SECONDS", 0.05)
    lines = []

    async def on_line(line: bytes) -> None:
        await watch.wait_gone()
        await trio.sleep(2 * limits.DRAIN_SECONDS)
        lines.append(line)

    await run_command(shell("echo one; echo two; echo three", watch), on_line=on_line)
    assert lines == [b"one", b"two", b"three"]


async def test_an_error_of_the_reader_of_lines_ends_the_command(watch: ProcessWatch) -> None:
    async def on_line(line: bytes) -> None:
        raise LookupError(line.decode())

    with pytest.raises(LookupError, match=r"^one$"):
        await run_command(shell("echo one; sleep 1000", watch), on_line=on_line)


async def test_output_that_is_no_text_is_kept(watch: ProcessWatch) -> None:
    lines = []

    async def on_line(line: bytes) -> None:
        lines.append(line)

    ending = await run_command(shell(r"printf '\377\n'; printf '\376' >&2", watch), on_line=on_line)
    assert lines == [b"\xff"]
    assert (ending.output, ending.errors) == ("�\n", "�")


@pytest.mark.parametrize("script", ["exit 0", "exec <&-; exit 0", "head -c 1; exit 0"])
async def test_a_command_that_does_not_read_a_large_input_hangs_nothing(watch: ProcessWatch, script: str) -> None:
    ending = await run_command(shell(script, watch, b"x" * limits.MAX_PROMPT_BYTES))
    assert ending.exit_code == 0


async def test_of_a_long_output_both_ends_are_kept(watch: ProcessWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "KEPT_OUTPUT_HEAD_BYTES", 6)
    monkeypatch.setattr(limits, "KEPT_OUTPUT_TAIL_BYTES", 5)
    monkeypatch.setattr(limits, "KEPT_ERRORS_BYTES", 5)
    script = "echo begin; head -c 1000000 /dev/zero; echo last; head -c 1000000 /dev/zero >&2; echo last >&2"
    ending = await run_command(shell(script, watch))
    assert ending.output == "begin\n\n[… 1000000 bytes left out …]\nlast\n"
    assert ending.output_truncated
    assert ending.errors == "\n[… 1000000 bytes left out …]\nlast\n"


@pytest.mark.parametrize("script", ["yes", "yes >&2", "cat /dev/zero", "trap '' PIPE TERM; yes"])
async def test_a_flooding_command_is_cut_at_the_output_limit(
    watch: ProcessWatch, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setattr(limits, "MAX_OUTPUT_BYTES", 1_000_000)
    monkeypatch.setattr(limits, "TERM_GRACE_SECONDS", 0.05)
    with pytest.raises(OutputFlood, match="1000000 bytes"):
        await run_command(shell(script, watch))


async def test_an_endless_line_costs_no_more_than_its_limit(
    watch: ProcessWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_LINE_BYTES", 1000)
    lines = []

    async def on_line(line: bytes) -> None:
        lines.append(line)

    await run_command(shell("echo one; head -c 1000000 /dev/zero; echo; echo two", watch), on_line=on_line)
    assert lines == [b"one", b"two"]


def missing(directory: Path) -> str:
    return str(directory / "nothing")


def missing_interpreter(directory: Path) -> str:
    return write_program(directory, "#!/nonexistent/interpreter\n")


def name_that_is_not_in_path(directory: Path) -> str:
    return "moltnet-test-program-that-nobody-has"


def file_without_permission(directory: Path) -> str:
    return write_program(directory, "#!/bin/sh\n", mode=0o644)


def no_program(directory: Path) -> str:
    return write_program(directory, "just text\n")


def is_directory(directory: Path) -> str:
    return str(directory)


def write_program(directory: Path, text: str, mode: int = 0o755) -> str:
    program = directory / "program"
    program.write_text(text)
    program.chmod(mode)
    return str(program)


@pytest.mark.parametrize(
    ("program", "error"),
    [
        (missing, ProgramMissing),
        (missing_interpreter, ProgramMissing),
        (name_that_is_not_in_path, ProgramMissing),
        (file_without_permission, ProgramNotExecutable),
        (no_program, ProgramNotExecutable),
        (is_directory, ProgramNotExecutable),
    ],
)
async def test_a_program_that_cannot_be_executed_is_named(
    watch: ProcessWatch, tmp_path: Path, program: Callable[[Path], str], error: type[ProcessError]
) -> None:
    name = program(tmp_path)
    with pytest.raises(error, match=f"^cannot execute {name}: "):
        await run_command(Command((name,), Path("/"), watch.environment, b"x" * 1_000_000))


async def test_a_directory_that_cannot_be_entered_is_named(watch: ProcessWatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for directory in (tmp_path / "nothing", tmp_path / "file"):
        with pytest.raises(DirectoryUnusable, match=f"^cannot work in {directory}: "):
            await run_command(Command(("true",), directory, watch.environment))


@pytest.mark.parametrize("argument", ["x" * 200_000, "null\0character"])
async def test_an_argument_that_the_system_does_not_take_is_no_crash(watch: ProcessWatch, argument: str) -> None:
    with pytest.raises(StartFailed, match=r"^cannot start true: "):
        await run_command(Command(("true", argument), Path("/"), watch.environment))


async def test_a_program_that_is_just_being_written_is_tried_again(
    watch: ProcessWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Path(write_program(tmp_path, "#!/bin/sh\necho ready\n"))
    writer = program.open("ab")

    def delays() -> Iterator[float]:
        yield 0.0
        writer.close()  # the first attempt has failed by now
        yield 0.0

    monkeypatch.setattr(limits, "TEXT_BUSY_DELAYS_SECONDS", delays())
    ending = await run_command(Command((str(program),), Path("/"), watch.environment))
    assert ending.output == "ready\n"
    assert writer.closed


async def test_a_program_that_is_being_written_for_long_is_given_up(watch: ProcessWatch, tmp_path: Path) -> None:
    program = Path(write_program(tmp_path, "#!/bin/sh\n"))
    with program.open("ab"), pytest.raises(StartFailed, match="Text file busy"):
        await run_command(Command((str(program),), Path("/"), watch.environment))


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


async def test_a_pipe_held_by_a_process_out_of_reach_does_not_stall_us(
    watch: ProcessWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DRAIN_SECONDS", 0.05)
    go_on = tmp_path / "go on"
    os.mkfifo(go_on)
    holders = []

    async def on_line(line: bytes) -> None:
        # We hold it ourselves, as a process would that got it through a socket.
        holders.append(open(f"/proc/{line.decode()}/fd/1", "wb"))  # noqa: SIM115 - closed below
        await trio.to_thread.run_sync(go_on.write_text, "now\n")

    try:
        ending = await run_command(shell(f"echo $$; read x < '{go_on}'", watch), on_line=on_line)
    finally:
        for holder in holders:
            holder.close()
    assert ending.exit_code == 0
    assert len(holders) == 1


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


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope when Trio is about to run its n-th step of any task."""

    def __init__(self, scope: trio.CancelScope, step: int) -> None:
        self.scope = scope
        self.steps_left = step

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps_left -= 1
        if self.steps_left == 0:
            self.scope.cancel(reason="the test")


async def test_cancelled_at_any_step_nothing_is_left(watch: ProcessWatch) -> None:
    async def on_line(line: bytes) -> None:
        await trio.lowlevel.checkpoint()

    cancelled = True
    step = 0
    while cancelled:
        step += 1
        with trio.CancelScope() as scope:
            instrument = CancelAtStep(scope, step)
            trio.lowlevel.add_instrument(instrument)
            try:
                await run_command(shell("echo ready; cat", watch, (b"x" * 100_000 + b"\n") * 2), on_line=on_line)
            finally:
                trio.lowlevel.remove_instrument(instrument)
        cancelled = scope.cancelled_caught
        assert watch.running() == []
    assert step > 10  # from the spawn over writing and reading to the end


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
