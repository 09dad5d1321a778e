"""One command and everything it starts: input, bounded output, and an end that nothing of it survives.

How it is ended is `keeper.py`'s part; what is run and with which environment is decided by `sandbox.py` and
`runtimes/`.
"""

import errno
import math
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import attrs
import trio

from bridge import keeper, limits
from bridge.output import Excerpt, LineSplitter
from bridge.programs import refusal_text
from bridge.settings import ProcessLimits
from moltnet.log import get_logger
from moltnet.protocol.limits import MIB

log = get_logger("bridge.process")

OnLine = Callable[[bytes], Awaitable[None]]


class ProcessError(Exception):
    """A command was not run to its own end. The text is one line for people."""


class ProgramMissing(ProcessError):
    """There is no such program, or its interpreter (`#!`) is missing."""


class ProgramNotExecutable(ProcessError):
    """The program exists, but is not ours to execute, or is no program."""


class DirectoryUnusable(ProcessError):
    """The working directory is missing, is no directory, or is closed to us."""


class StartFailed(ProcessError):
    """The system could not start it now: too many processes or open files, no memory, arguments too long."""


class OutputFlood(ProcessError):
    """It printed more than `limits.MAX_OUTPUT_BYTES` and was stopped."""


class LimitExceeded(ProcessError):
    """It used more memory or more processes than it may and was killed."""


class KeeperLost(ProcessError):
    """The keeper was killed or crashed; the command was killed with it and its exit code is unknown."""


@attrs.frozen
class Command:
    """What to run. `environment` is all that the command gets; a program without a slash is looked up in its `PATH`.

    Of our descriptors it holds none, but those in `descriptors`, under the same numbers.
    """

    argv: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str] = attrs.field(repr=False)  # it may hold secrets
    stdin: bytes = attrs.field(default=b"", repr=False)
    limits: ProcessLimits = attrs.field(factory=ProcessLimits)
    descriptors: tuple[int, ...] = ()


@attrs.frozen
class Ending:
    """How a command ended by itself, and what it printed, cut to the limits."""

    exit_code: int
    """Negative: the number of the signal that killed it."""
    output: str
    output_truncated: bool
    errors: str


async def run_command(command: Command, *, on_line: OnLine | None = None) -> Ending:
    """Run a command to its end.

    `on_line` gets each line of stdout as it arrives, and holds the reading up while it works. If it raises, the
    command is ended and the exception goes to the caller. When this function is left, in whatever way, the command and
    all that it started are gone; leaving early (cancelled, `on_line` raised) takes up to `limits.KEEPER_END_SECONDS`.

    Raises:
        ProgramMissing, ProgramNotExecutable, DirectoryUnusable: it cannot be started before someone changes something.
        StartFailed, KeeperLost: trying again may help.
        OutputFlood: it printed without end.
        LimitExceeded: its processes together took too much. Limits of one process end that process, by a signal.
    """
    for delay_seconds in limits.TEXT_BUSY_DELAYS_SECONDS:
        try:
            return await _run_once(command, on_line)
        except _TextBusy:
            await trio.sleep(delay_seconds)
    return await _run_once(command, on_line)


class _TextBusy(StartFailed):
    """Someone has the program open for writing; this passes."""


async def _run_once(command: Command, on_line: OnLine | None) -> Ending:
    reading = _Reading(on_line)
    async with _open_keeper(command) as (process, leash):
        await _converse(process, command.stdin, reading)
        return reading.ending(_exit_code(_receive_report(leash), command))


async def _converse(process: trio.Process, stdin: bytes, reading: "_Reading") -> None:
    """Feed and read the command until it is gone. Raises the first failure of a reader as it is, not in a group."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    failures: list[Exception] = []

    async def read(
        read_all: Callable[[trio.abc.ReceiveStream], Awaitable[None]], stream: trio.abc.ReceiveStream
    ) -> None:
        try:
            await read_all(stream)
        except Exception as failure:
            failures.append(failure)
            readers.cancel_scope.cancel(reason="a reader failed")

    async with trio.open_nursery() as readers:
        readers.start_soon(read, reading.read_output, process.stdout)
        readers.start_soon(read, reading.read_errors, process.stderr)
        async with trio.open_nursery() as writers:
            writers.start_soon(_feed, process.stdin, stdin)
            await process.wait()
            writers.cancel_scope.cancel(reason="nobody is left to read it")
        reading.expect_end()
    if failures:
        raise failures[0]


@asynccontextmanager
async def _open_keeper(command: Command) -> AsyncIterator[tuple[trio.Process, socket.socket]]:
    """Start the command under a keeper; its process, and our end of the leash, which gets the keeper's report.

    Leaving the block lets go of the leash and waits for the keeper, cancelled or not.
    """
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        with theirs:
            process = await _start(command, theirs.fileno())
        try:
            yield process, ours
        finally:
            ours.close()
            with trio.CancelScope(shield=True):
                await _wait_gone(process)


async def _start(command: Command, leash: int) -> trio.Process:
    seconds = (limits.TERM_GRACE_SECONDS, limits.KILL_SECONDS)
    numbers = (*map(str, (leash, *seconds)), _keeper_limits(command.limits))
    try:
        return await trio.lowlevel.open_process(
            [sys.executable, "-I", "-S", keeper.__file__, *numbers, str(command.directory), *command.argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(leash, *command.descriptors),
            start_new_session=True,
            env=command.environment,
        )
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in an argument or in the environment
        raise StartFailed(f"cannot start {command.argv[0]}: {error}") from error


def _keeper_limits(allowed: ProcessLimits) -> str:
    """The limits as the keeper reads them."""
    numbers = {
        "cpu_seconds": allowed.cpu_seconds,
        "memory_bytes": allowed.memory_mib * MIB,
        "processes": allowed.processes,
        "open_files": allowed.open_files,
        "usual_open_files": limits.USUAL_OPEN_FILES,
        "file_bytes": allowed.file_mib * MIB,
        "watch_seconds": limits.WATCH_SECONDS,
    }
    return ",".join(f"{name}={number}" for name, number in numbers.items())


async def _wait_gone(process: trio.Process) -> None:
    """Wait for the keeper, whose leash is let go, and close our ends of the pipes. Bounded by the limits."""
    with trio.move_on_after(limits.KEEPER_END_SECONDS):
        await process.wait()
    if process.returncode is None:
        log.error("the keeper of a command did not end and is killed", pid=process.pid)
        process.kill()
        await process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        assert pipe is not None
        await pipe.aclose()


def _receive_report(leash: socket.socket) -> bytes:
    """What the keeper, which is gone by now, has left for us; nothing if it was killed."""
    try:
        return leash.recv(64)
    except BlockingIOError:  # killed in the moment between fork and exec, when the command holds the leash too
        return b""


def _exit_code(report: bytes, command: Command) -> int:
    """The exit code from the keeper's one line, or the exception that it means."""
    match report.decode().split():
        case ["exit", code]:
            return int(code)
        case ["chdir", number]:
            raise DirectoryUnusable(f"cannot work in {command.directory}: {os.strerror(int(number))}")
        case ["exec", number]:
            raise refusal(command.argv[0], command.directory, int(number))
        case ["limit", "memory_bytes"]:
            raise LimitExceeded(
                f"stopped: took more than {command.limits.memory_mib} MiB of memory (limits.memory_mib)"
            )
        case ["limit", _]:
            raise LimitExceeded(f"stopped: had more than {command.limits.processes} processes (limits.processes)")
        case _:
            raise KeeperLost(f"the keeper of {command.argv[0]} is gone without a report")


def refusal(program: str, directory: Path, number: int) -> ProcessError:
    """What it means that the system did not execute `program`, for the error `number`."""
    return _refusal_kind(number)(f"cannot execute {program}: {refusal_text(program, directory, number)}")


def _refusal_kind(number: int) -> type[ProcessError]:
    match number:
        case errno.ENOENT | errno.ENOTDIR:
            return ProgramMissing
        case errno.EACCES | errno.EPERM | errno.ENOEXEC | errno.ELOOP | errno.EISDIR:
            return ProgramNotExecutable
        case errno.ETXTBSY:
            return _TextBusy
        case _:
            return StartFailed


async def _feed(stdin: trio.abc.SendStream, data: bytes) -> None:
    """Write the input and close it. A command that does not read it is no error."""
    async with stdin:
        with suppress(trio.BrokenResourceError):
            await stdin.send_all(data)


@attrs.define(eq=False)
class _Reading:
    """The output of one command while it runs."""

    _on_line: OnLine | None
    _output: Excerpt = attrs.field(
        factory=lambda: Excerpt(limits.KEPT_OUTPUT_HEAD_BYTES, limits.KEPT_OUTPUT_TAIL_BYTES)
    )
    _errors: Excerpt = attrs.field(factory=lambda: Excerpt(0, limits.KEPT_ERRORS_BYTES))
    _lines: LineSplitter = attrs.field(factory=lambda: LineSplitter(limits.MAX_LINE_BYTES))
    _read_bytes: int = 0
    _patience_seconds: float = math.inf
    _waiting: set[trio.CancelScope] = attrs.field(factory=set)

    async def read_output(self, stdout: trio.abc.ReceiveStream) -> None:
        while chunk := await self._next(stdout):
            self._output.add(chunk)
            await self._deliver(self._lines.feed(chunk))
        await self._deliver(self._lines.close())
        if self._lines.skipped_lines:
            log.warning("overlong lines of a command were skipped", lines=self._lines.skipped_lines)

    async def read_errors(self, stderr: trio.abc.ReceiveStream) -> None:
        while chunk := await self._next(stderr):
            self._errors.add(chunk)

    def expect_end(self) -> None:
        """The command is gone: what it printed is in the pipes already, so from now on no read may wait for long.

        Only the waiting is bounded. What was read is still delivered to a slow `on_line`, or a finished turn would
        seem cut.
        """
        self._patience_seconds = limits.DRAIN_SECONDS
        for scope in self._waiting:
            scope.deadline = trio.current_time() + limits.DRAIN_SECONDS

    def ending(self, exit_code: int) -> Ending:
        return Ending(exit_code, self._output.text(), self._output.truncated, self._errors.text())

    async def _next(self, stream: trio.abc.ReceiveStream) -> bytes:
        """The next bytes; none at the end, or when the command is gone and nothing comes."""
        with trio.move_on_after(self._patience_seconds) as waiting:
            self._waiting.add(waiting)
            try:
                chunk = await stream.receive_some()
            finally:
                self._waiting.remove(waiting)
        if waiting.cancelled_caught:
            return b""
        self._read_bytes += len(chunk)
        if self._read_bytes > limits.MAX_OUTPUT_BYTES:
            raise OutputFlood(f"printed more than {limits.MAX_OUTPUT_BYTES} bytes and was stopped")
        return bytes(chunk)

    async def _deliver(self, lines: Iterator[bytes]) -> None:
        if self._on_line is None:  # and then nothing is cut into lines: a flood of short ones would cost seconds
            return
        for line in lines:
            await self._on_line(line)
