"""A burst of attach handshakes, up to 1000 at once, and what an idle attachment costs in memory and in CPU time.

The ceiling is a bare ASGI application on the same Hypercorn: it upgrades, says HELLO and READY, and never sends PING.
"""

from collections.abc import Sequence
from typing import Final

from tests.bench.measurement import Load, Measurement
from tests.bench.processes import open_generator
from tests.bench.servers import Target, open_bare, open_target
from tests.bench.settings import Settings

ANY_SERVER: Final = True
WARM_UP: Final = 10


async def run(settings: Settings) -> Sequence[Measurement]:
    async with open_target(settings) as target, open_bare() as bare:
        ceiling, bare_idle = await _measured(bare, settings, "bare ASGI")
        burst, idle = await _measured(target, settings, "attach")
    return [ceiling, burst.compared(ceiling), bare_idle, idle]


async def _measured(target: Target, settings: Settings, name: str) -> tuple[Measurement, Measurement]:
    """The handshakes, then the attachments while nothing happens but their signs of life."""
    count = settings.attachments
    async with open_generator("attachments") as attachments:

        async def attach(first: int, agents: int) -> Load:
            before = target.cpu_seconds()
            reply = await attachments.ask(
                "attach",
                **target.address,
                headers=target.attach_headers,
                network_id=target.network_id,
                first=first,
                count=agents,
            )
            cpu_seconds = target.cpu_seconds() - before
            return Load(agents, reply["seconds"], tuple(reply["latencies_ms"]), cpu_seconds, reply["cpu_seconds"])

        await attach(count, WARM_UP)
        empty = target.memory_kib()
        burst = await attach(0, count)
        await attachments.ask("hold", seconds=settings.idle_seconds / 2)  # their presence is written meanwhile
        before = target.cpu_seconds()
        held = await attachments.ask("hold", seconds=settings.idle_seconds)
        cpu_seconds = target.cpu_seconds() - before
        full = target.memory_kib()
    # Not a rate to compare: of interest are its costs.
    idle = Load(
        round((count + WARM_UP) * held["seconds"]),
        held["seconds"],
        server_cpu_seconds=cpu_seconds,
        load_cpu_seconds=held["cpu_seconds"],
    )
    return (
        burst.measurement(f"{name}, burst of {count}", "handshakes"),
        idle.measurement(f"{name}, idle", "seconds attached", kib_each=(full - empty) / count),
    )
