"""Commands that behave, and commands that do not: what comes back, and that nothing of them is left."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from bridge import limits
from bridge.process import (
    Command,
    DirectoryUnusable,
    OutputFlood,
    ProcessError,
    ProgramMissing,
    ProgramNotExecutable,
    StartFailed,
    run_command,
)
from tests.fakes.process_watch import ProcessWatch
from tests.fakes.process_watch import shell_command as shell


async def test_a_command_reads_its_input_and_its_output_comes_back(watch: ProcessWatch) -> None:
    ending = await run_command(shell("cat; echo trouble >&2; exit 3", watch, b"hello"))
    assert (ending.exit_code, ending.output, ending.errors) == (3, "hello", "trouble\n")
    assert not ending.output_truncated


async def test_a_command_gets_its_environment_and_nothing_else(watch: ProcessWatch) -> None:
    ending = await run_command(Command(("env",), Path("/"), {**watch.environment, "EXTRA": "ü"}))
    lines = set(ending.output.splitlines())
    assert lines == {f"{name}={value}" for name, value in watch.environment.items()} | {"EXTRA=ü"}


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
