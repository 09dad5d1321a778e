"""Messages to many readers: attachments that ACK every event, some of which do not read, and event streams.

The attachments that do not read belong to a generator that is stopped: their sockets stay open, nobody takes anything
from them, and nobody answers PING.
"""

import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import attrs

from tests.bench.benchmark import Benchmark, Case
from tests.bench.contestants import BARE_ASGI, RAW_SOCKET, Contestant
from tests.bench.measurement import Load
from tests.bench.processes import Generator, open_generator
from tests.bench.rows.stages import Called, agents, open_served
from tests.bench.settings import Settings

POSTERS: Final = 8
TRIAL_MESSAGES: Final = 24
MAX_MESSAGES: Final = 4000


@attrs.frozen
class _Read(Called):
    """A server, clients that post, and ``readers`` of what they post."""

    readers: Generator
    count: int

    async def burst(self) -> Load:
        """Of about so long, going by a short one before it: until every reader has everything."""
        trial = await self._burst(TRIAL_MESSAGES)
        messages = int(TRIAL_MESSAGES * self.settings.load_seconds / trial.seconds)
        return await self._burst(min(max(messages, TRIAL_MESSAGES), MAX_MESSAGES))

    async def _burst(self, messages: int) -> Load:
        target = self.target
        before = target.cpu_seconds()
        posted = await self.callers.ask("call", **target.address, request=target.post, clients=POSTERS, amount=messages)
        # They have been reading all the time.
        read = await self.readers.ask("expect", messages=messages)
        cpu_seconds = target.cpu_seconds() - before
        return Load(
            read["amount"],
            (read["ended_ns"] - posted["started_ns"]) / 1e9,
            read["latencies_ms"],
            cpu_seconds,
            max(posted["cpu_seconds"], read["cpu_seconds"]),
        )

    async def one_by_one(self, posts: int) -> Load:
        """One message at a time, the next when the last reader has it. A latency is that of one delivery."""
        target = self.target
        before = target.cpu_seconds()
        reply = await self.readers.ask("one_by_one", **target.address, request=target.post, times=posts)
        cpu_seconds = target.cpu_seconds() - before
        return Load(posts * self.count, reply["seconds"], reply["delivery_ms"], cpu_seconds, reply["cpu_seconds"])


@asynccontextmanager
async def _open_attached(contestant: Contestant, settings: Settings, *, count: int) -> AsyncIterator[_Read]:
    # In a file, a room has at most 256 members; everybody reads one that is public.
    is_small = count <= 200
    async with (
        open_served(contestant, settings, members=count if is_small else 0, public=not is_small) as target,
        open_generator("callers") as callers,
        open_generator("attachments") as readers,
    ):
        await readers.ask("attach", **agents(target, count), at_once=100)
        await readers.ask("hold", seconds=settings.idle_seconds)  # until it is known everywhere who is here
        yield _Read(target, settings, callers, readers, count)


@asynccontextmanager
async def _open_few(contestant: Contestant, settings: Settings) -> AsyncIterator[_Read]:
    async with _open_attached(contestant, settings, count=settings.readers) as stage:
        yield stage


@asynccontextmanager
async def _open_many(contestant: Contestant, settings: Settings) -> AsyncIterator[_Read]:
    async with _open_attached(contestant, settings, count=settings.crowd) as stage:
        yield stage


@asynccontextmanager
async def _open_beside_stuck(contestant: Contestant, settings: Settings) -> AsyncIterator[_Read]:
    async with _open_few(contestant, settings) as stage, open_generator("attachments") as stuck:
        await stuck.ask("attach", **agents(stage.target, settings.stuck, first=settings.readers))
        await stuck.ask("hold", seconds=settings.idle_seconds / 2)
        stuck.send_signal(signal.SIGSTOP)
        yield stage
        stuck.send_signal(signal.SIGCONT)


async def _burst(stage: _Read) -> Load:
    return await stage.burst()


async def _one_by_one(stage: _Read, posts: int) -> Load:
    return await stage.one_by_one(posts)


def _few(settings: Settings) -> Sequence[Case[_Read]]:
    name = f"{settings.readers} attachments"
    return [
        Case(f"{name}, burst", "deliveries", _burst),
        Case(f"{name}, one post at a time", "deliveries", partial(_one_by_one, posts=settings.single_posts)),
    ]


def _many(settings: Settings) -> Sequence[Case[_Read]]:
    name = f"{settings.crowd:,} attachments"
    return [
        Case(f"{name}, burst", "deliveries", _burst),
        Case(f"{name}, one post at a time", "deliveries", partial(_one_by_one, posts=settings.crowd_posts)),
    ]


def _beside_stuck(settings: Settings) -> Sequence[Case[_Read]]:
    name = f"{settings.readers} attachments beside {settings.stuck} that do not read"
    return [Case(f"{name}, burst", "deliveries", _burst)]


@asynccontextmanager
async def _open_streams(contestant: Contestant, settings: Settings) -> AsyncIterator[_Read]:
    async with (
        open_served(contestant, settings) as target,
        open_generator("callers") as callers,
        open_generator("subscribers") as readers,
    ):
        await readers.ask("subscribe", **target.address, requests=target.streams(settings.readers))
        yield _Read(target, settings, callers, readers, settings.readers)


def _streams(settings: Settings) -> Sequence[Case[_Read]]:
    return [Case(f"{settings.readers} event streams, burst", "deliveries", _burst)]


FEW: Final = Benchmark("fanout", "one room, attachments that ACK", _open_few, _few, ceilings=(BARE_ASGI, RAW_SOCKET))
MANY: Final = Benchmark("crowd", "one room, many attachments that ACK", _open_many, _many, ceilings=(RAW_SOCKET,))
STUCK: Final = Benchmark("stuck", "attachments beside some that do not read", _open_beside_stuck, _beside_stuck)
SSE: Final = Benchmark("sse", "event streams", _open_streams, _streams, ceilings=(BARE_ASGI, RAW_SOCKET))
