"""Who is measured: this checkout, another one, any command that serves Moltnet, or a server that runs already.

As the command line names them:

- ``self`` — ``moltnet start`` of this checkout; ``self:NAME=VALUE,…`` with these variables in its environment
- a directory — the same of another checkout, such as a git worktree, with the packages of this environment
- ``http://…`` — a server that runs already
- ``NAME=`` before any of these heads its column
- anything else — a command that reads the file ``Moltnet`` in its directory, of the common format, and serves it
"""

import os
import re
import shlex
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

import attrs

from tests.bench.servers import Setup, Target, inherited, open_command, open_program, open_running, own_limits

_SELF: Final = re.compile(r"self(?::((?:\w+=[^,]*)(?:,\w+=[^,]*)*))?")


_NAMED: Final = re.compile(r"([\w.-]+)=(.+)")


class Contestant(Protocol):
    """A server that can be opened for a benchmark. What a `Setup` asks for is not for one that runs already."""

    @property
    def name(self) -> str: ...

    @property
    def starts(self) -> bool:
        """Whether it is started for each benchmark, and can be started again."""

    @property
    def ours(self) -> bool:
        """Whether it has what only this implementation has."""

    def named(self, name: str) -> "Contestant":
        """The same under another name."""

    def open(self, directory: str, setup: Setup) -> AbstractAsyncContextManager[Target]: ...


@attrs.frozen
class Started:
    """A command that is started in a directory of its own. ``ours`` if it knows the limits that this version has."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = {}
    ours: bool = True
    starts: bool = True

    @property
    def node_command(self) -> Sequence[str]:
        """The same program as a node: `start` stands last."""
        return (*self.command[:-1], "node", "start")

    def inherited(self) -> Mapping[str, str]:
        """The environment that it runs in."""
        return {**inherited(), **self.environment}

    def named(self, name: str) -> "Started":
        return attrs.evolve(self, name=name)

    @asynccontextmanager
    async def open(self, directory: str, setup: Setup) -> AsyncIterator[Target]:
        config = own_limits(setup.config()) if self.ours else setup.config()
        async with open_command(self.command, directory, config, self.environment) as target:
            yield target


@attrs.frozen
class Running:
    """A server that somebody else started. Its room must have no other writers."""

    name: str
    url: str
    token: str = ""
    room_id: str = "general"
    pid: int | None = None
    starts: bool = False
    ours: bool = False

    def named(self, name: str) -> "Running":
        return attrs.evolve(self, name=name)

    @asynccontextmanager
    async def open(self, directory: str, setup: Setup) -> AsyncIterator[Target]:
        async with open_running(self.url, self.token, self.room_id, self.pid) as target:
            yield target


def contestant(text: str, *, token: str = "", room_id: str = "general", pid: int | None = None) -> Contestant:
    """The one that ``text`` names, under a name of its own if it is NAME=SERVER. Raises ``ValueError``."""
    if found := _NAMED.fullmatch(text):
        return contestant(found[2], token=token, room_id=room_id, pid=pid).named(found[1])
    if found := _SELF.fullmatch(text):
        variables = dict(pair.split("=", 1) for pair in (found[1] or "").split(",") if pair)
        return Started(text, _moltnet(), {"PYTHONPATH": str(Path.cwd())} | variables)
    if text.startswith("http://"):
        return Running(text, text, token, room_id, pid)
    if not text.strip():
        raise ValueError("no server is named")
    if Path(text).is_dir():
        checkout = Path(text).resolve()
        if not (checkout / "moltnet" / "cli" / "main.py").is_file():
            raise ValueError(f"{text} is not a checkout of Moltnet")
        return Started(checkout.name, _moltnet(), {"PYTHONPATH": str(checkout)})
    command = shlex.split(text)
    program = Path(command[0])
    absolute = str(program.absolute()) if os.sep in command[0] else command[0]
    return Started(_short(text), [absolute, *command[1:]], ours=False)


def _moltnet() -> Sequence[str]:
    # Without the current directory, which is the server's own, before everything else.
    return (sys.executable, "-P", "-m", "moltnet.cli.main", "start")


def _short(text: str) -> str:
    """Without the directory of the program: what heads a column."""
    program, _, rest = text.partition(" ")
    return f"{program.rpartition('/')[2]} {rest}".strip()


@attrs.frozen
class Ceiling:
    """A program of ``tests.bench.ceilings``: what the stack can do at most. It has no rooms, tokens or storage."""

    name: str
    module: str
    starts: bool = True
    ours: bool = False

    def named(self, name: str) -> "Ceiling":
        return attrs.evolve(self, name=name)

    @asynccontextmanager
    async def open(self, directory: str, setup: Setup) -> AsyncIterator[Target]:
        async with open_program(self.module) as target:
            yield target


@attrs.frozen
class Alone:
    """Not a server, but a part of one without the rest: a benchmark that knows it measures it by itself."""

    name: str
    starts: bool = True
    ours: bool = False

    def named(self, name: str) -> "Alone":
        return attrs.evolve(self, name=name)

    @asynccontextmanager
    async def open(self, directory: str, setup: Setup) -> AsyncIterator[Target]:
        raise AssertionError(f"{self.name} is not a server")
        yield  # type: ignore[unreachable]  # what makes this a generator


BARE_ASGI: Final = Ceiling("bare ASGI", "tests.bench.ceilings.bare")
RAW_SOCKET: Final = Ceiling("raw socket", "tests.bench.ceilings.raw")
SQLITE_ALONE: Final = Alone("SQLite alone")
STORE_ALONE: Final = Alone("our store alone")
CEILINGS: Final = (BARE_ASGI, RAW_SOCKET, SQLITE_ALONE, STORE_ALONE)
