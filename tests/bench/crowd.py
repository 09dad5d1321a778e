"""Many attachments: a room of 1,000 of which 20 do not read, bursts of 100 and of 1,000, and 5,000 that are idle.

The generator of the 20 is stopped, so their sockets stay open and nobody takes anything from them or answers PING.
"""

import signal
from collections.abc import Sequence
from typing import Any, Final

from tests.bench.measurement import Load, Measurement
from tests.bench.processes import Generator, open_generator
from tests.bench.servers import Target, new_directory, open_server
from tests.bench.settings import Settings

ANY_SERVER: Final = False
# That connect at the same moment while the idle ones come: how fast they come is measured before.
AT_ONCE: Final = 500


async def run(settings: Settings) -> Sequence[Measurement]:
    with new_directory() as directory:
        async with open_server(directory, members=0) as target:
            bursts = await _bursts(target, settings)
    with new_directory() as directory:
        async with open_server(directory, members=0, public=True) as target:
            room = await _room(target, settings)
    with new_directory() as directory:
        async with open_server(directory, members=0) as target:
            idle = await _idle(target, settings)
    return [*room, *bursts, idle]


async def _room(target: Target, settings: Settings) -> Sequence[Measurement]:
    """One message at a time, until all that read have it; without the others, and with them."""
    reading = settings.crowd - settings.stuck
    async with open_generator("attachments") as readers, open_generator("attachments") as others:
        await _attach(readers, target, 0, reading)
        base = (await _one_by_one(readers, target, settings, reading)).measurement(
            f"{reading} in a room, one message to all", "deliveries"
        )
        await _attach(others, target, reading, settings.stuck)
        others.send_signal(signal.SIGSTOP)
        found = await _one_by_one(readers, target, settings, reading)
        others.send_signal(signal.SIGCONT)
    return base, found.measurement(f"the same beside {settings.stuck} that do not read", "deliveries").compared(base)


async def _one_by_one(readers: Generator, target: Target, settings: Settings, reading: int) -> Load:
    before, times = target.cpu_seconds(), settings.single_posts
    reply = await readers.ask("one_by_one", **target.address, request=target.post, times=times)
    return Load(
        times * reading,
        reply["seconds"],
        tuple(reply["latencies_ms"]),
        target.cpu_seconds() - before,
        reply["cpu_seconds"],
    )


async def _bursts(target: Target, settings: Settings) -> Sequence[Measurement]:
    await _burst(target, settings.few_attachments)  # a server that has just started is slower
    few = (await _burst(target, settings.few_attachments)).measurement(
        f"burst of {settings.few_attachments}", "handshakes"
    )
    many = (await _burst(target, settings.attachments)).measurement(f"burst of {settings.attachments}", "handshakes")
    return few, many.compared(few)


async def _burst(target: Target, count: int) -> Load:
    async with open_generator("attachments") as attachments:
        before = target.cpu_seconds()
        reply = await _attach(attachments, target, 0, count)
        await attachments.ask("hold", seconds=1.0)  # their presence is written meanwhile, and counts
        cpu_seconds = target.cpu_seconds() - before
        await attachments.ask("detach")
        await attachments.ask("hold", seconds=1.0)  # their leaving does not
    return Load(count, reply["seconds"], tuple(reply["latencies_ms"]), cpu_seconds, reply["cpu_seconds"])


async def _idle(target: Target, settings: Settings) -> Measurement:
    async with open_generator("attachments") as attachments:
        await _attach(attachments, target, settings.idle_attachments, 1)
        empty = target.memory_kib()
        for first in range(0, settings.idle_attachments, AT_ONCE):
            await _attach(attachments, target, first, min(AT_ONCE, settings.idle_attachments - first))
        await attachments.ask("hold", seconds=settings.idle_seconds)
        before = target.cpu_seconds()
        held = await attachments.ask("hold", seconds=settings.idle_seconds)
        cpu_seconds = target.cpu_seconds() - before
        full = target.memory_kib()
        await attachments.ask("detach")
        await attachments.ask("hold", seconds=settings.idle_seconds)  # so that the server can end in time
    count = settings.idle_attachments
    load = Load(
        round((count + 1) * held["seconds"]),
        held["seconds"],
        server_cpu_seconds=cpu_seconds,
        load_cpu_seconds=held["cpu_seconds"],
    )
    return load.measurement(f"{count} idle", "seconds attached", kib_each=(full - empty) / count)


async def _attach(attachments: Generator, target: Target, first: int, count: int) -> dict[str, Any]:
    return await attachments.ask(
        "attach",
        **target.address,
        headers=target.attach_headers,
        network_id=target.network_id,
        first=first,
        count=count,
    )
