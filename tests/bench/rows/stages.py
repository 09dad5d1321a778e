"""What most benchmarks do before they measure: a server, and processes that make load on it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs

from tests.bench.contestants import Contestant
from tests.bench.measurement import Load
from tests.bench.processes import Generator, open_generator
from tests.bench.servers import Target, new_directory, setup_for
from tests.bench.settings import Settings


@attrs.frozen
class Served:
    """A server, and the settings of this run."""

    target: Target
    settings: Settings


@attrs.frozen
class Called(Served):
    """A server, and clients for it."""

    callers: Generator

    async def call(self, request: str, clients: int, **how_much: float) -> Load:
        """The same request again and again, from so many clients, for so many ``seconds`` or so often (``amount``)."""
        target = self.target
        before = target.cpu_seconds()
        reply = await self.callers.ask("call", **target.address, request=request, clients=clients, **how_much)
        cpu_seconds = target.cpu_seconds() - before
        return Load(reply["amount"], reply["seconds"], reply["latencies_ms"], cpu_seconds, reply["cpu_seconds"])


@asynccontextmanager
async def open_served(
    contestant: Contestant, settings: Settings, *, members: int = 0, public: bool = False
) -> AsyncIterator[Target]:
    """A server on a new network, or the one that runs already."""
    with new_directory() as directory:
        async with contestant.open(directory, setup_for(settings, members=members, public=public)) as target:
            yield target


@asynccontextmanager
async def open_called(contestant: Contestant, settings: Settings) -> AsyncIterator[Called]:
    """Warm: it has connected, compiled and cached."""
    async with open_served(contestant, settings, members=1) as target, open_generator("callers") as callers:
        stage = Called(target, settings, callers)
        await stage.call(target.post, 8, seconds=settings.load_seconds / 2)
        yield stage


def agents(target: Target, count: int, first: int = 0) -> Mapping[str, Any]:
    """What a generator must know to let agents attach."""
    return {
        **target.address,
        "headers": target.attach_headers,
        "network_id": target.network_id,
        "first": first,
        "count": count,
    }
