"""``POST /v1/messages``, every message durable, from 1, 8 and 64 keep-alive clients; pages of history; both at once."""

import tempfile
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio

from tests.bench.benchmark import Benchmark, Case
from tests.bench.ceilings.sqlite import blocks, sqlite_alone
from tests.bench.contestants import BARE_ASGI, RAW_SOCKET, SQLITE_ALONE, Contestant
from tests.bench.measurement import Load
from tests.bench.processes import Generator, open_generator
from tests.bench.rows.stages import Called, open_called
from tests.bench.servers import DISK
from tests.bench.settings import Settings

PAGE_CLIENTS: Final = (1, 8)
FILLERS: Final = 16
# Commits of one turn of SQLite alone.
COMMITS: Final = 100


@attrs.frozen
class _Alone:
    """SQLite in this process, a new database for each turn."""

    directory: str
    settings: Settings

    async def commits(self, clients: int) -> Load:
        """Each with as many messages as there would be clients waiting."""
        commits = max(2, min(COMMITS, self.settings.stored_messages // clients))
        with tempfile.TemporaryDirectory(dir=self.directory) as inner:
            return sqlite_alone(Path(inner, "alone.db"), blocks(clients * commits, clients))


@asynccontextmanager
async def _open_posts(contestant: Contestant, settings: Settings) -> AsyncIterator[Called | _Alone]:
    if contestant is SQLITE_ALONE:
        DISK.mkdir(exist_ok=True)
        yield _Alone(str(DISK), settings)
    else:
        async with open_called(contestant, settings) as stage:
            yield stage


async def _post(stage: Called | _Alone, clients: int) -> Load:
    if isinstance(stage, _Alone):
        return await stage.commits(clients)
    return await stage.call(stage.target.post, clients, seconds=stage.settings.load_seconds)


def _posts(settings: Settings) -> Sequence[Case[Called | _Alone]]:
    return [Case(f"send ×{clients}", "messages", partial(_post, clients=clients)) for clients in settings.clients]


SEND: Final = Benchmark(
    "send", "durable messages by HTTP", _open_posts, _posts, ceilings=(BARE_ASGI, RAW_SOCKET, SQLITE_ALONE)
)


@asynccontextmanager
async def _open_history(contestant: Contestant, settings: Settings) -> AsyncIterator[Called]:
    async with open_called(contestant, settings) as stage:
        await stage.call(stage.target.post, FILLERS, amount=settings.history_messages)
        yield stage


async def _page(stage: Called, clients: int) -> Load:
    return await stage.call(stage.target.page, clients, seconds=stage.settings.load_seconds)


def _pages(settings: Settings) -> Sequence[Case[Called]]:
    return [Case(f"history ×{clients}", "pages", partial(_page, clients=clients)) for clients in PAGE_CLIENTS]


HISTORY: Final = Benchmark(
    "history", "pages of the newest 100 messages", _open_history, _pages, ceilings=(BARE_ASGI, RAW_SOCKET)
)


@attrs.frozen
class _Mixed(Called):
    """``readers`` are clients in a process of their own. What they did waits for its own case."""

    readers: Generator
    pages: deque[Load] = attrs.field(factory=deque)
    together: deque[Load] = attrs.field(factory=deque)


@asynccontextmanager
async def _open_mixed(contestant: Contestant, settings: Settings) -> AsyncIterator[_Mixed]:
    async with _open_history(contestant, settings) as stage, open_generator("callers") as readers:
        yield _Mixed(stage.target, settings, stage.callers, readers)


async def _write_and_read(stage: _Mixed) -> Load:
    """The messages. Whose work the server's CPU time was can't be told, so only both together have it."""
    target, settings = stage.target, stage.settings
    reader = Called(target, settings, stage.readers)
    loads: dict[str, Load] = {}

    async def write() -> None:
        loads["write"] = await stage.call(target.post, settings.writers, seconds=settings.load_seconds)

    before = target.cpu_seconds()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        loads["read"] = await reader.call(target.page, settings.page_readers, seconds=settings.load_seconds)
    cpu_seconds = target.cpu_seconds() - before
    written, read = (attrs.evolve(loads[name], server_cpu_seconds=float("nan")) for name in ("write", "read"))
    stage.pages.append(read)
    stage.together.append(
        Load(
            written.amount + read.amount,
            max(written.seconds, read.seconds),
            (),
            cpu_seconds,
            written.load_cpu_seconds + read.load_cpu_seconds,
        )
    )
    return written


async def _what_was_read(stage: _Mixed) -> Load:
    return stage.pages.popleft()


async def _both(stage: _Mixed) -> Load:
    return stage.together.popleft()


def _mixed(settings: Settings) -> Sequence[Case[_Mixed]]:
    name = f"{settings.writers} writers + {settings.page_readers} readers"
    return [
        Case(f"{name}, written", "messages", _write_and_read),
        Case(f"{name}, read", "pages", _what_was_read),
        Case(f"{name}, both", "requests", _both),
    ]


MIXED: Final = Benchmark("mixed", "writers beside readers of history", _open_mixed, _mixed)
