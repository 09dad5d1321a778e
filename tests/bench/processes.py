"""Processes of a benchmark, and talking with those that make load."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import orjson
import trio


class LoadFailed(Exception):
    """A load generator could not go on: because of what the server did, as a rule."""


@asynccontextmanager
async def running(
    command: Sequence[str], *, patience_seconds: float = 5.0, **options: Any
) -> AsyncIterator[trio.Process]:
    """Run a command until the block is left; then it is terminated, and killed if that does not help in time."""

    async def end(process: trio.Process) -> None:
        process.terminate()
        await trio.sleep(patience_seconds)
        process.kill()

    async with trio.open_nursery() as nursery:
        process: trio.Process = await nursery.start(
            partial(trio.run_process, command, check=False, deliver_cancel=end, **options)
        )
        yield process
        nursery.cancel_scope.cancel(reason="the block is done")


@attrs.define(eq=False)
class Generator:
    """A load generator of ``tests.bench.load``."""

    _process: trio.Process
    _received: bytes = attrs.field(init=False, default=b"")

    def send_signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def ask(self, command: str, **arguments: object) -> dict[str, Any]:
        """Have it do something, and return what it measured. Raises ``LoadFailed``."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            await stdin.send_all(orjson.dumps({"command": command, **arguments}) + b"\n")
        except trio.BrokenResourceError:
            raise LoadFailed(f"{command}: the generator is gone") from None
        while b"\n" not in self._received:
            data = await stdout.receive_some()
            if not data:
                raise LoadFailed(f"{command}: the generator gave up")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        reply: dict[str, Any] = orjson.loads(line)
        if "failure" in reply:
            raise LoadFailed(f"{command}: {reply['failure']}")
        return reply


@asynccontextmanager
async def open_generator(name: str) -> AsyncIterator[Generator]:
    """Start ``tests.bench.load.<name>`` as a process of its own."""
    command = [sys.executable, "-m", f"tests.bench.load.{name}"]
    async with running(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Generator(process)
