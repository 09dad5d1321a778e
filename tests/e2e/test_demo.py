"""`moltnet demo` as people run it: a process, in a pipe or on a terminal, that ends by itself or by Ctrl-C."""

import fcntl
import os
import pty
import re
import signal
import subprocess
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import attrs
import pytest
import trio

from moltnet.cli.demo_script import IMPROVISED, SCENES, Scene
from moltnet.client.api import open_client
from tests.e2e.running import MOLTNET, PATIENCE_SECONDS, POLL_SECONDS, human_message

pytestmark = pytest.mark.slow

INTERRUPT_KEY = b"\x03"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@attrs.define(eq=False)
class Demo:
    """A running demo. Its temporary directory is `temporary`, which is also the mark of all its processes."""

    process: trio.Process
    temporary: Path
    _keyboard: trio.abc.SendStream | None
    _shown: bytes = attrs.field(default=b"", init=False)
    _more: trio.Event = attrs.field(factory=trio.Event, init=False)
    _closed: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Nobody has the output open any more."""

    @property
    def shown(self) -> str:
        """What it has written so far, to both outputs."""
        return self._shown.decode().replace("\r\n", "\n")

    async def read(self, output: trio.abc.ReceiveStream) -> None:
        with suppress(trio.BrokenResourceError):  # a terminal's way to say that nobody writes to it any more
            async for chunk in output:
                self._shown += chunk
                self._more.set()
                self._more = trio.Event()
        self._closed.set()

    async def wait_shown(self, text: str) -> None:
        with trio.fail_after(PATIENCE_SECONDS):
            while text not in self.shown:
                assert self.process.returncode is None, f"it ended before it showed {text!r}:\n{self.shown}"
                await self._more.wait()

    async def wait_agent(self) -> None:
        """Wait until the process of an agent runs."""
        with trio.fail_after(PATIENCE_SECONDS):
            while not any("demo_agent" in command for command in self.processes()):
                await trio.sleep(POLL_SECONDS)

    async def press(self, key: bytes) -> None:
        assert self._keyboard is not None
        await self._keyboard.send_all(key)

    async def wait_exit(self) -> int:
        """Wait for its end and for the last of its output; its exit code."""
        with trio.fail_after(PATIENCE_SECONDS):
            await self._closed.wait()
            return await self.process.wait()

    def processes(self) -> list[str]:
        """The command lines of the demo and of everything that it has started."""
        mark = f"TMPDIR={self.temporary}".encode()
        found = []
        for directory in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it ended while we looked
                if mark in (directory / "environ").read_bytes().split(b"\0"):
                    found.append((directory / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return found

    def assert_nothing_left(self) -> None:
        assert "ERROR" not in self.shown
        assert self.processes() == []
        assert list(self.temporary.iterdir()) == []
        assert list(self.temporary.parent.iterdir()) == [self.temporary]


@asynccontextmanager
async def open_demo(
    tmp_path: Path, *arguments: str, terminal: bool = False, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Demo]:
    """Run `moltnet demo ARGUMENTS` in an empty directory, on a terminal of its own or with both outputs in one pipe."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    ours, theirs = pty.openpty() if terminal else os.pipe()

    def prepare() -> None:
        # A shell's background job ignores Ctrl-C, and passes that on.
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        if terminal:
            fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    process = await trio.lowlevel.open_process(
        [str(MOLTNET), "demo", *arguments],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm-256color", "TMPDIR": str(temporary)}
        | dict(environment or {}),
        stdin=theirs if terminal else subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=prepare,
    )
    os.close(theirs)
    try:
        async with trio.lowlevel.FdStream(ours) as output, trio.open_nursery() as nursery:
            demo = Demo(process, temporary, output if terminal else None)
            nursery.start_soon(demo.read, output)
            yield demo
            await demo.wait_exit()
            nursery.cancel_scope.cancel(reason="the test is over")
    finally:
        with trio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.wait()


def said(shown: str) -> list[tuple[str, str]]:
    """Who said what, from the lines of a demo in a pipe."""
    return re.findall(r"^\d\d:\d\d:\d\d  (\w+) +(.+)$", shown, re.MULTILINE)


def script(*scenes: Scene) -> list[tuple[str, str]]:
    return [
        line
        for scene in scenes
        for line in (("you", scene.question), *((line.speaker, line.text) for line in scene.lines))
    ]


async def test_the_demo_shows_a_conversation_and_leaves_nothing(tmp_path: Path) -> None:
    async with open_demo(tmp_path, "--pace", "0") as demo:
        assert await demo.wait_exit() == 0
    assert said(demo.shown) == script(SCENES[0])
    assert "·      luna was woken" in demo.shown
    assert re.search(r"·      atlas answered in \d+\.\d s\n", demo.shown)
    assert "\x1b" not in demo.shown
    assert demo.shown.index("make run") > demo.shown.index(SCENES[0].lines[-1].text)
    demo.assert_nothing_left()


async def test_every_round_is_another_question(tmp_path: Path) -> None:
    async with open_demo(tmp_path, "--pace", "0", "--rounds", "2") as demo:
        assert await demo.wait_exit() == 0
    assert said(demo.shown) == script(*SCENES[:2])
    demo.assert_nothing_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_in_the_middle_of_a_turn_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    async with open_demo(tmp_path, "--pace", "20") as demo:
        await demo.wait_agent()
        demo.process.send_signal(number)
        assert await demo.wait_exit() == 128 + number
    assert said(demo.shown) == [("you", SCENES[0].question)]
    assert demo.shown.endswith("Stopped; nothing is left behind.\n")
    demo.assert_nothing_left()


async def test_two_signals_leave_no_more_than_one(tmp_path: Path) -> None:
    async with open_demo(tmp_path, "--pace", "20") as demo:
        await demo.wait_agent()
        demo.process.send_signal(signal.SIGINT)
        demo.process.send_signal(signal.SIGTERM)
        assert await demo.wait_exit() == 130
    demo.assert_nothing_left()


async def test_a_signal_before_anything_is_said_leaves_nothing(tmp_path: Path) -> None:
    async with open_demo(tmp_path) as demo:
        await demo.wait_shown("A Moltnet network")
        demo.process.send_signal(signal.SIGINT)
        assert await demo.wait_exit() == 130
    assert said(demo.shown) == []
    demo.assert_nothing_left()


async def test_ctrl_c_on_a_terminal_leaves_nothing(tmp_path: Path) -> None:
    async with open_demo(tmp_path, "--pace", "20", terminal=True) as demo:
        await demo.wait_agent()
        await demo.press(INTERRUPT_KEY)
        assert await demo.wait_exit() == 130
    assert COLOUR.search(demo.shown)
    assert COLOUR.sub("", demo.shown).endswith("^C\nStopped; nothing is left behind.\n")
    demo.assert_nothing_left()


async def test_a_terminal_without_colours_gets_none(tmp_path: Path) -> None:
    async with open_demo(tmp_path, "--pace", "0", terminal=True, environment={"NO_COLOR": "1"}) as demo:
        assert await demo.wait_exit() == 0
    assert "\x1b" not in demo.shown
    # Wrapped: a terminal has an end to its lines.
    assert max(map(len, demo.shown.splitlines())) <= 80
    assert len(said(demo.shown)) == len(script(SCENES[0]))
    demo.assert_nothing_left()


async def test_with_keep_it_stays_and_the_agents_answer_whoever_writes(tmp_path: Path) -> None:
    async with open_demo(tmp_path, "--pace", "0", "--keep") as demo:
        await demo.wait_shown("stays until Ctrl-C")
        found = re.search(r"(http://127\.0\.0\.1:\d+)/console/", demo.shown)
        assert found is not None
        async with open_client(found[1]) as client:
            assert "<title>Moltnet Console</title>" in await client.text("/console/", max_bytes=100_000)
            await client.send(human_message("@atlas are you real? \x1b[31m", room="lounge"))
        await demo.wait_shown(IMPROVISED)
        demo.process.send_signal(signal.SIGINT)
        assert await demo.wait_exit() == 0
    assert said(demo.shown)[-2:] == [("ada", "@atlas are you real? \\x1b[31m"), ("atlas", IMPROVISED)]
    demo.assert_nothing_left()


async def test_a_reader_that_goes_away_ends_the_demo(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    ours, theirs = os.pipe()
    os.close(ours)
    process = await trio.run_process(
        [str(MOLTNET), "demo", "--pace", "0"],
        env={"PATH": os.environ["PATH"], "TMPDIR": str(temporary)},
        stdout=theirs,
        capture_stderr=True,
        check=False,
    )
    os.close(theirs)
    assert (process.returncode, process.stderr) == (0, b"")
    assert list(temporary.iterdir()) == []


async def test_impossible_rounds_are_refused(tmp_path: Path) -> None:
    async with open_demo(tmp_path, "--rounds", "0") as demo:
        assert await demo.wait_exit() == 2
    assert "--rounds" in demo.shown
