"""What one operation of a real server costs: steps of Python in its event loop and of SQLite, CPU time of all threads.

The server runs in this process, so that its steps can be counted; whoever asks it runs in another one.
"""

import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs

from moltnet.app import App
from moltnet.config.server_limits import NO_LIMITS
from moltnet.config.settings import AuthMode, NetworkSettings
from moltnet.storage.sql.sqlite import SqliteStore, open_sqlite
from tests.bench.processes import Generator, open_generator
from tests.bench.servers import Target
from tests.fakes.network import network_config, open_test_server, secret_of, token
from tests.scale.counting import Count, python_steps, sqlite_steps
from tests.storage.examples import NETWORK

Do = Callable[[], Awaitable[int]]
REPEATS: Final = 3


@attrs.frozen
class Cost:
    """Of one operation."""

    python_steps: int
    sqlite_steps: int
    cpu_us: float = math.nan


@attrs.frozen
class Counted:
    """A server in this process, on SQLite in mode bearer, with clients and agents in others."""

    app: App
    store: SqliteStore
    target: Target
    callers: Generator
    agents: Generator
    in_sqlite: Count

    async def call(self, request: str, amount: int = 1) -> int:
        """One request after the other on a new connection. Returns how many."""
        await self.callers.ask("call", **self.target.address, request=request, clients=1, amount=amount)
        return amount

    async def steps(self, do: Do) -> tuple[int, int]:
        """Of Python and of SQLite, for one of what ``do`` does and says how many they were.

        The least of several counts, so that what happens now and then is left out.
        """
        await do()  # what is made once, is made here
        python, sqlite = [], []
        for _ in range(REPEATS):
            before = self.in_sqlite.steps
            with python_steps() as in_python:
                amount = await do()
            python.append(in_python.steps // amount)
            sqlite.append((self.in_sqlite.steps - before) // amount)
        return min(python), min(sqlite)

    async def cpu_us(self, do: Do, seconds: float) -> float:
        """The CPU time of one, if it is done for so many seconds."""
        await do()
        began, before, amount = time.monotonic(), time.process_time(), 0
        while time.monotonic() < began + seconds:
            amount += await do()
        return (time.process_time() - before) / amount * 1e6


@asynccontextmanager
async def open_counted(path: Path, *, counting: bool) -> AsyncIterator[Counted]:
    """On the database at ``path``, which is of the network of `tests.storage.examples`.

    Counting SQLite's steps takes long, so CPU time is measured without. Connections are told to count before anybody
    uses them: who is told while it works waits for Python, which waits for it.
    """
    tokens = (token("poster", "write", "alpha"), token("reader", "observe admin"), token("agents", "attach"))
    config = network_config(mode=AuthMode.BEARER, tokens=tokens, rooms=(), limits=NO_LIMITS)
    config = attrs.evolve(config, network=NetworkSettings(NETWORK, "Net A"))
    async with open_sqlite(path, NETWORK) as store:
        assert isinstance(store, SqliteStore)
        database = store.database
        with sqlite_steps([*database.readers, database.writer] if counting else ()) as in_sqlite:
            async with (
                open_test_server(config, store=store) as server,
                open_generator("callers") as callers,
                open_generator("attachments") as agents,
            ):
                write, read, attach = map(secret_of, ("poster", "reader", "agents"))
                target = Target(server.url, NETWORK, "general", write, read, attach, sender="alpha")
                yield Counted(server.app, store, target, callers, agents, in_sqlite)
