"""One room and 100 attachments that ACK every event: a burst of messages, then one message at a time.

The ceiling is a bare ASGI application on the same Hypercorn that sends each message as a frame to each attachment.
"""

from collections.abc import Sequence
from typing import Final

from tests.bench.bursts import burst
from tests.bench.measurement import Load, Measurement
from tests.bench.processes import open_generator
from tests.bench.servers import Target, open_bare, open_target
from tests.bench.settings import Settings

ANY_SERVER: Final = True


async def run(settings: Settings) -> Sequence[Measurement]:
    async with open_target(settings) as target, open_bare() as bare:
        of_bare = await _measured(bare, settings, "bare ASGI")
        of_target = await _measured(target, settings, f"{settings.readers} attachments")
    pairs = zip(of_bare, of_target, strict=True)
    return [each for ceiling, found in pairs for each in (ceiling, found.compared(ceiling))]


async def _measured(target: Target, settings: Settings, name: str) -> Sequence[Measurement]:
    before_all = target.memory_kib()
    async with open_generator("callers") as callers, open_generator("attachments") as attachments:
        await attachments.ask(
            "attach",
            **target.address,
            headers=target.attach_headers,
            network_id=target.network_id,
            first=0,
            count=settings.readers,
        )
        together = await burst(callers, attachments, target, settings.load_seconds)
        kib_each = (target.memory_kib() - before_all) / settings.readers
        before = target.cpu_seconds()
        single = await attachments.ask("one_by_one", **target.address, request=target.post, times=settings.single_posts)
        cpu_seconds = target.cpu_seconds() - before
    one_to_all = Load(
        settings.single_posts * settings.readers,
        single["seconds"],
        tuple(single["latencies_ms"]),
        cpu_seconds,
        single["cpu_seconds"],
    )
    return (
        # The server keeps the newest messages too, so this is a little more than what an attachment takes.
        together.measurement(f"{name}, burst", "deliveries", kib_each=kib_each),
        one_to_all.measurement(f"{name}, one message to all", "deliveries"),
    )
