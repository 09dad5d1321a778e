"""An agent comes back with its cursor after 3,000 messages that it missed: until it has received and ACKed all of them.

First from the server's memory, then, after a restart, from the database.
"""

from collections.abc import Sequence
from typing import Final

from tests.bench.bursts import POSTERS
from tests.bench.measurement import Load, Measurement
from tests.bench.processes import open_generator
from tests.bench.servers import Target, new_directory, open_server
from tests.bench.settings import Settings

ANY_SERVER: Final = False
TIMES: Final = 3


async def run(settings: Settings) -> Sequence[Measurement]:
    with new_directory() as directory:
        async with open_server(directory, members=1) as target:
            cursor = await _miss(target, settings.missed_messages)
            from_memory = await _resumed(target, cursor, settings.missed_messages)
        async with open_server(directory, members=1) as target:
            from_database = await _resumed(target, cursor, settings.missed_messages)
    base = from_memory.measurement(f"resume of {settings.missed_messages} events", "events")
    return [base, from_database.measurement("the same after a restart", "events").compared(base)]


async def _miss(target: Target, messages: int) -> str:
    """Attach, see one message, leave; then ``messages`` are posted. Returns the cursor."""
    async with open_generator("callers") as callers, open_generator("attachments") as attachments:
        await attachments.ask("attach", **_agent(target), cursor="")
        await callers.ask("call", **target.address, request=target.post, clients=1, amount=1)
        cursor: str = (await attachments.ask("expect", messages=1))["cursor"]
        await attachments.ask("detach")
        await callers.ask("call", **target.address, request=target.post, clients=POSTERS, amount=messages)
    return cursor


async def _resumed(target: Target, cursor: str, messages: int) -> Load:
    """Several times, one after the other. A latency is that of one whole resume."""
    total = Load()
    for _ in range(TIMES):
        async with open_generator("attachments") as attachments:
            before = target.cpu_seconds()
            attached = await attachments.ask("attach", **_agent(target), cursor=cursor)
            read = await attachments.ask("expect", messages=messages)
            cpu_seconds = target.cpu_seconds() - before
        seconds = (read["ended_ns"] - attached["started_ns"]) / 1e9
        total += Load(
            messages,
            seconds,
            (seconds * 1000,),
            cpu_seconds,
            attached["cpu_seconds"] + read["cpu_seconds"],
        )
    return total


def _agent(target: Target) -> dict[str, object]:
    return {
        **target.address,
        "headers": target.attach_headers,
        "network_id": target.network_id,
        "first": 0,
        "count": 1,
    }
