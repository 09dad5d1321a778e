"""Which processes of a test are still there. A mark in their environment tells: a new session does not hide one."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import attrs
import trio

from bridge.process import Command

MARK_NAME = "MOLTNET_TEST_MARK"

GONE_SECONDS = 30.0
"""How long a test waits for processes that are on their way out; only a failing test waits so long."""


@attrs.frozen
class ProcessWatch:
    """The processes that carry one mark. Give `environment` to the first of them; what it starts inherits it."""

    mark: str

    @property
    def environment(self) -> Mapping[str, str]:
        return {MARK_NAME: self.mark, "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}

    def running(self) -> list[str]:
        """Their command lines; none for what has exited."""
        wanted = f"{MARK_NAME}={self.mark}".encode()
        found = []
        for directory in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it ended while we looked
                if wanted in (directory / "environ").read_bytes().split(b"\0"):
                    found.append((directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        return found

    async def wait_gone(self) -> None:
        """Wait until none is left. Raises `TooSlowError`."""
        with trio.fail_after(GONE_SECONDS):
            while self.running():  # noqa: ASYNC110 - the kernel tells only parents, and we are not theirs
                await trio.sleep(0.01)


def shell_command(script: str, watch: ProcessWatch, stdin: bytes = b"") -> Command:
    """A shell script as a command under watch, in the root directory."""
    return Command(("/bin/sh", "-c", script), Path("/"), watch.environment, stdin)


@contextmanager
def watch_processes() -> Iterator[ProcessWatch]:
    """A watch; afterwards none of its processes may be left, no child of ours unreaped and no descriptor open."""
    before, began = _descriptors(), _ticks_now()
    watch = ProcessWatch(uuid4().hex)
    yield watch
    assert watch.running() == []
    assert [child for child in _unreaped() if _started(child) >= began] == []
    assert _descriptors() == before


def _descriptors() -> set[str]:
    return {f"{fd} {_target(fd)}" for fd in os.listdir("/proc/self/fd") if _target(fd) is not None}


def _target(descriptor: str) -> str | None:
    try:
        return str(Path("/proc/self/fd", descriptor).readlink())
    except OSError:  # the one that listed them
        return None


def _unreaped() -> list[str]:
    found: list[str] = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # a thread that ended while we looked
            found += (task / "children").read_text().split()
    return found


def _ticks_now() -> int:
    return int(float(Path("/proc/uptime").read_text().split()[0]) * os.sysconf("SC_CLK_TCK"))


def _started(process: str) -> int:
    """When, in ticks since the machine started; a database of the test run was there before any watch.

    Told from its own entry: the kernel leaves out of a list of children whom it likes while one of them ends.
    """
    try:
        return int(Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[19])
    except OSError:  # it has ended, and been reaped, since it was listed
        return -1
