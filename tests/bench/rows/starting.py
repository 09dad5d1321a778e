"""From the start of the process to the first answer, and what memory it holds: at first, and after many messages."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import attrs
import trio

from tests.bench.benchmark import Benchmark, Case
from tests.bench.contestants import Contestant
from tests.bench.measurement import Load
from tests.bench.processes import open_generator
from tests.bench.rows.stages import Called, open_served
from tests.bench.servers import new_directory, setup_for
from tests.bench.settings import Settings

CLIENTS: Final = 64
SETTLE_SECONDS: Final = 1.0
MOST_SECONDS: Final = 900.0


@attrs.frozen
class _Stopped:
    contestant: Contestant
    settings: Settings


@asynccontextmanager
async def _open_stopped(contestant: Contestant, settings: Settings) -> AsyncIterator[_Stopped]:
    yield _Stopped(contestant, settings)


async def _start(stage: _Stopped) -> Load:
    """Of a new network."""
    with new_directory() as directory:
        async with stage.contestant.open(directory, setup_for(stage.settings)) as target:
            cpu_seconds, seconds = target.cpu_seconds(), target.start_seconds
            await trio.sleep(SETTLE_SECONDS)
            memory_kib = target.memory_kib()
    return Load(1, seconds, (seconds * 1000,), cpu_seconds, kib_each=memory_kib)


def _starts(settings: Settings) -> Sequence[Case[_Stopped]]:
    return [Case("cold start, and memory then", "starts", _start, turns=settings.starts)]


@asynccontextmanager
async def _open_called(contestant: Contestant, settings: Settings) -> AsyncIterator[Called]:
    async with open_served(contestant, settings) as target, open_generator("callers") as callers:
        yield Called(target, settings, callers)


async def _remember(stage: Called) -> Load:
    load = await stage.call(stage.target.post, CLIENTS, amount=stage.settings.remembered_messages, seconds=MOST_SECONDS)
    await trio.sleep(SETTLE_SECONDS)
    return attrs.evolve(load, kib_each=stage.target.memory_kib())


def _memory(settings: Settings) -> Sequence[Case[Called]]:
    return [Case(f"memory after {settings.remembered_messages:,} messages", "messages", _remember, turns=1)]


START: Final = Benchmark("start", "a cold start", _open_stopped, _starts, needs_start=True)
MEMORY: Final = Benchmark("memory", "memory after many messages", _open_called, _memory, needs_start=True)
