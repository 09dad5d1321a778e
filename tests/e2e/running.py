"""Programs of ours as a user runs them: started, waited for, stopped, killed; nothing survives the block."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import attrs
import trio

from moltnet.client.api import MoltnetClient, open_client
from moltnet.client.errors import ClientError, ServerAnswered
from moltnet.protocol.ids import RoomId
from moltnet.protocol.messages import HUMAN, Actor, Part, PartKind, SendMessageRequest, Target, TargetKind
from moltnet.protocol.pages import PageRequest
from tests.fakes.ports import free_port

MOLTNET = Path(sys.executable).parent / "moltnet"
# Generous: these bound a test that hangs, they are never what a passing test waits for.
PATIENCE_SECONDS = 90.0
POLL_SECONDS = 0.02


@attrs.define(eq=False)
class Program:
    """A running program and the file that its output goes to."""

    process: trio.Process
    log_path: Path

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait for its exit code."""
        self.process.send_signal(number)
        with trio.fail_after(PATIENCE_SECONDS):
            return await self.process.wait()

    async def kill(self) -> None:
        await self.stop(signal.SIGKILL)

    async def wait_log(self, text: str, times: int = 1) -> None:
        """Wait until the program has written `text` so often."""
        with trio.fail_after(PATIENCE_SECONDS):
            while self.log().count(text) < times:
                assert self.process.returncode is None, f"it ended before it wrote {text!r}:\n{self.log()}"
                await trio.sleep(POLL_SECONDS)


@asynccontextmanager
async def running(
    *arguments: str | Path,
    directory: Path,
    log_path: Path,
    environment: Mapping[str, str] | None = None,
    program: Path = MOLTNET,
) -> AsyncIterator[Program]:
    """Run `moltnet ARGUMENTS` in `directory`; killed, if it still runs, when the block is left."""
    with log_path.open("ab") as log:
        process = await trio.lowlevel.open_process(
            [str(program), *map(str, arguments)],
            cwd=directory,
            env={**os.environ, "PATH": f"{MOLTNET.parent}:{os.environ['PATH']}", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield Program(process, log_path)
    finally:
        with trio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.wait()


@attrs.frozen
class Server:
    """A configured network that can be started again and again on the same port and database."""

    directory: Path
    url: str
    environment: Mapping[str, str] = attrs.field(factory=dict)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[Program]:
        """Run it until the block is left; it is ready when the block begins."""
        log_path = self.directory / "server.log"
        async with running(
            "start", directory=self.directory, log_path=log_path, environment=self.environment
        ) as program:
            await self.wait_ready(program)
            yield program

    async def wait_ready(self, program: Program) -> None:
        with trio.fail_after(PATIENCE_SECONDS):
            while True:
                try:
                    async with open_client(self.url) as client:
                        await client.network()
                    return
                except ServerAnswered:
                    return  # it answers, if only that it wants a token
                except ClientError:
                    assert program.process.returncode is None, f"the server ended:\n{program.log()}"
                    await trio.sleep(POLL_SECONDS)

    def client(self, token: str | None = None) -> AbstractAsyncContextManager[MoltnetClient]:
        return open_client(self.url, token)


def open_network(directory: Path, members: Sequence[str]) -> Server:
    """Write the config file of a network in mode none with one room, `general`."""
    directory.mkdir(parents=True)
    port = free_port()
    (directory / "Moltnet").write_text(
        f"""\
version: moltnet.v1
network: {{id: lab, name: Lab}}
server: {{listen_addr: "127.0.0.1:{port}"}}
auth: {{mode: none}}
storage: {{kind: sqlite, sqlite: {{path: data/moltnet.db}}}}
rooms:
  - {{id: general, name: General, members: [{", ".join(members)}]}}
"""
    )
    return Server(directory, f"http://127.0.0.1:{port}")


def human_message(text: str, *, room: str = "general", message_id: str = "") -> SendMessageRequest:
    return SendMessageRequest(
        id=message_id,
        target=Target(kind=TargetKind.ROOM, room_id=RoomId(room)),
        sender=Actor(type=HUMAN, id="ada"),
        parts=(Part(kind=PartKind.TEXT, text=text),),
    )


async def say(server: Server, text: str) -> None:
    """Post to the room `general` as a human."""
    async with server.client() as client:
        await client.send(human_message(text))


async def room_texts(server: Server, room: str = "general") -> list[tuple[str, str]]:
    """Who said what in a room, oldest first."""
    async with server.client() as client:
        page = await client.messages(Target(kind=TargetKind.ROOM, room_id=RoomId(room)), PageRequest(limit=500))
    return [(message.sender.id, message.parts[0].text) for message in page.messages]


async def wait_texts(server: Server, count: int, patience_seconds: float = PATIENCE_SECONDS) -> list[tuple[str, str]]:
    """Wait until the room `general` holds so many messages; all of them."""
    with trio.fail_after(patience_seconds):
        while len(texts := await room_texts(server)) < count:
            await trio.sleep(POLL_SECONDS)
    return texts
