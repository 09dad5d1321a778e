"""100 readers of the event stream: a burst of messages.

The ceiling is a bare ASGI application on the same Hypercorn that sends each message to each stream.
"""

from collections.abc import Sequence
from typing import Final

from tests.bench.bursts import burst
from tests.bench.measurement import Measurement
from tests.bench.processes import open_generator
from tests.bench.servers import Target, open_bare, open_target
from tests.bench.settings import Settings

ANY_SERVER: Final = True


async def run(settings: Settings) -> Sequence[Measurement]:
    async with open_target(settings) as target, open_bare() as bare:
        ceiling = await _measured(bare, settings, "bare ASGI")
        found = await _measured(target, settings, f"{settings.readers} streams")
    return [ceiling, found.compared(ceiling)]


async def _measured(target: Target, settings: Settings, name: str) -> Measurement:
    async with open_generator("callers") as callers, open_generator("subscribers") as subscribers:
        await subscribers.ask("subscribe", **target.address, request=target.stream, count=settings.readers)
        load = await burst(callers, subscribers, target, settings.load_seconds)
    return load.measurement(f"{name}, burst", "deliveries")
