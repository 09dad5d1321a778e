"""``POST /v1/messages`` on SQLite, every message durable, from 1, 8 and 64 keep-alive clients.

The ceiling is a constant answer of a bare ASGI application on the same Hypercorn; the two take turns.
"""

from collections.abc import Sequence
from typing import Final

from tests.bench.measurement import Load, Measurement
from tests.bench.processes import Generator, open_generator
from tests.bench.servers import Target, open_bare, open_target
from tests.bench.settings import Settings

ANY_SERVER: Final = True
TURNS: Final = 2


async def run(settings: Settings) -> Sequence[Measurement]:
    results = []
    async with open_target(settings) as target, open_bare() as bare, open_generator("callers") as callers:
        for each in (target, bare):
            await call(callers, each, each.post, 1, settings.load_seconds / 4)  # connects, compiles and caches
        for clients in settings.clients:
            loads = {target: Load(), bare: Load()}
            for _ in range(TURNS):
                for each in loads:
                    loads[each] += await call(callers, each, each.post, clients, settings.load_seconds / TURNS)
            ceiling = loads[bare].measurement(f"bare ASGI ×{clients}", "requests")
            results += [ceiling, loads[target].measurement(f"send ×{clients}", "messages").compared(ceiling)]
    return results


async def call(callers: Generator, target: Target, request: str, clients: int, seconds: float) -> Load:
    """The same request again and again, from so many clients, for so long."""
    before = target.cpu_seconds()
    reply = await callers.ask("call", **target.address, request=request, clients=clients, seconds=seconds)
    cpu_seconds = target.cpu_seconds() - before
    return Load(
        reply["amount"],
        reply["seconds"],
        tuple(reply["latencies_ms"]),
        cpu_seconds,
        reply["cpu_seconds"],
    )
