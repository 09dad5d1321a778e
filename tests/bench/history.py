"""Pages of the newest 100 messages of a room, from 1 and 8 keep-alive clients.

The ceiling is a constant page of a bare ASGI application on the same Hypercorn; the two take turns.
"""

from collections.abc import Sequence
from typing import Final

from tests.bench.measurement import Load, Measurement
from tests.bench.processes import open_generator
from tests.bench.send import TURNS, call
from tests.bench.servers import open_bare, open_target
from tests.bench.settings import Settings

ANY_SERVER: Final = True
CLIENTS: Final = (1, 8)


async def run(settings: Settings) -> Sequence[Measurement]:
    results = []
    async with open_target(settings) as target, open_bare() as bare, open_generator("callers") as callers:
        await callers.ask("call", **target.address, request=target.post, clients=16, amount=settings.history_messages)
        for clients in CLIENTS:
            loads = {target: Load(), bare: Load()}
            for _ in range(TURNS):
                for each in loads:
                    loads[each] += await call(callers, each, each.page, clients, settings.load_seconds / TURNS)
            ceiling = loads[bare].measurement(f"bare ASGI ×{clients}", "pages")
            results += [ceiling, loads[target].measurement(f"history ×{clients}", "pages").compared(ceiling)]
    return results
