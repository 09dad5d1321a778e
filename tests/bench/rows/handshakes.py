"""Handshakes, from connecting to READY: 1,000 at once, and how many of 5,000 in a minute; what attachments hold."""

import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import attrs

from tests.bench.benchmark import Benchmark, Case
from tests.bench.contestants import BARE_ASGI, Contestant
from tests.bench.measurement import Load
from tests.bench.processes import Generator, open_generator
from tests.bench.rows.stages import Served, agents, open_served
from tests.bench.settings import Settings

WARM_UP: Final = 10
# Of the 5,000, how many are on their way at a time.
AT_ONCE: Final = 1000


@attrs.frozen
class _Bursts(Served):
    """Each time other agents come: those before may not have been missed yet."""

    firsts: Iterator[int]


@asynccontextmanager
async def _open(contestant: Contestant, settings: Settings) -> AsyncIterator[_Bursts]:
    async with open_served(contestant, settings) as target, open_generator("attachments") as attachments:
        await attachments.ask("attach", **agents(target, WARM_UP))
        yield _Bursts(target, settings, itertools.count(WARM_UP, settings.handshakes))


async def _burst(stage: _Bursts) -> Load:
    """Their presence is written in the moments after, and counts; their leaving does not."""
    target, settings = stage.target, stage.settings
    async with open_generator("attachments") as attachments:
        before = target.cpu_seconds()
        reply = await attachments.ask("attach", **agents(target, settings.handshakes, first=next(stage.firsts)))
        await attachments.ask("hold", seconds=settings.idle_seconds)
        cpu_seconds = target.cpu_seconds() - before
        await attachments.ask("detach")
        await attachments.ask("hold", seconds=settings.idle_seconds)
    return Load(reply["amount"], reply["seconds"], reply["latencies_ms"], cpu_seconds, reply["cpu_seconds"])


def _cases(settings: Settings) -> Sequence[Case[_Bursts]]:
    return [Case(f"{settings.handshakes:,} handshakes at once", "handshakes", _burst)]


@attrs.frozen
class _Idle(Served):
    attachments: Generator


@asynccontextmanager
async def _open_idle(contestant: Contestant, settings: Settings) -> AsyncIterator[_Idle]:
    async with open_served(contestant, settings) as target, open_generator("attachments") as attachments:
        # What the first of all makes does not count.
        await attachments.ask("attach", **agents(target, WARM_UP, first=settings.many_handshakes))
        yield _Idle(target, settings, attachments)


async def _reached(stage: _Idle) -> Load:
    """So many of them, and the memory that each holds when all has settled."""
    target, settings = stage.target, stage.settings
    empty, before = target.memory_kib(), target.cpu_seconds()
    reply = await stage.attachments.ask(
        "attach",
        **agents(target, settings.many_handshakes),
        at_once=AT_ONCE,
        seconds=settings.handshake_seconds,
    )
    await stage.attachments.ask("hold", seconds=settings.idle_seconds * 2)
    cpu_seconds = target.cpu_seconds() - before
    return Load(
        reply["amount"],
        reply["seconds"],
        reply["latencies_ms"],
        cpu_seconds,
        reply["cpu_seconds"],
        kib_each=(target.memory_kib() - empty) / reply["amount"],
    )


async def _held(stage: _Idle) -> Load:
    """What they cost while nothing happens but signs of life. The unit is a second of one of them."""
    before = stage.target.cpu_seconds()
    held = await stage.attachments.ask("hold", seconds=stage.settings.idle_seconds * 2)
    cpu_seconds = stage.target.cpu_seconds() - before
    return Load(
        max(1, round(held["amount"] * held["seconds"])),
        held["seconds"],
        server_cpu_seconds=cpu_seconds,
        load_cpu_seconds=held["cpu_seconds"],
    )


def _idle(settings: Settings) -> Sequence[Case[_Idle]]:
    wanted, seconds = f"{settings.many_handshakes:,}", f"{settings.handshake_seconds:g}"
    return [
        Case(f"of {wanted} handshakes in {seconds} s", "handshakes", _reached, turns=1),
        Case("idle attachments", "seconds attached", _held, turns=1),
    ]


HANDSHAKES: Final = Benchmark("attach", "a burst of handshakes", _open, _cases, ceilings=(BARE_ASGI,))
IDLE: Final = Benchmark("idle", "many attachments that come, and stay", _open_idle, _idle)
