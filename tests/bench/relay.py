"""A backlog of messages for a paired network that comes back: how fast it drains, beside plain posts to that network.

Two servers of ours, each a process on a SQLite file of its own. The first fills up while the second does not run; then
both run. In one room messages go one after the other, as from one client; of many rooms eight go at once.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import trio

from moltnet.client.api import open_client
from tests.bench.measurement import Load, Measurement
from tests.bench.processes import Generator, open_generator
from tests.bench.send import call
from tests.bench.servers import Target, new_directory, open_configured, server_config
from tests.bench.settings import Settings
from tests.fakes.ports import free_port

ANY_SERVER: Final = False
# Rooms, clients that do the same by plain posts, and which part of the messages: one after the other takes long.
BACKLOGS: Final = ((1, 1, 0.2), (16, 8, 1.0))
FILLERS: Final = 16
_POLL_SECONDS: Final = 0.05
_PATIENCE_SECONDS: Final = 300.0
_TOKEN: Final = "bench-pair-0123456789abcdef"


async def run(settings: Settings) -> Sequence[Measurement]:
    results = []
    for rooms, clients, part in BACKLOGS:
        amount = max(rooms, round(settings.relayed_messages * part))
        with new_directory() as here, new_directory() as there:
            port = free_port()
            sender, receiver = configs(rooms, port)
            async with open_generator("callers") as callers:
                async with open_configured(here, sender) as source:
                    await fill(callers, source, rooms, amount)
                async with open_configured(there, receiver) as target:
                    post = attrs.evolve(target, room_id="room-0").post
                    await call(callers, target, post, clients, settings.load_seconds / 4)
                    plain = await call(callers, target, post, clients, settings.load_seconds / 2)
                    before = target.cpu_seconds()
                    async with open_configured(here, sender) as source:
                        drained = await drain(source, amount)
                    cpu_seconds = target.cpu_seconds() - before
                    # Before and after: what else the machine does changes meanwhile.
                    plain += await call(callers, target, post, clients, settings.load_seconds / 2)
            posted = plain.measurement(f"send ×{clients}", "messages")
            name = f"backlog of {rooms} room{'s' * (rooms > 1)}"
            load = attrs.evolve(drained, server_cpu_seconds=cpu_seconds)
            results += [posted, load.measurement(name, "messages").compared(posted)]
    return results


def configs(rooms: int, port: int) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Those of a network that relays, and of the one that it relays to, on ``port``."""
    declared = [{"id": f"room-{number}", "members": ["poster", "bench:poster"]} for number in range(rooms)]
    sender, receiver = server_config(0), server_config(0)
    pairing = {
        "id": "there",
        "remote_network_id": "there",
        "remote_base_url": f"http://127.0.0.1:{port}",
        "token": _TOKEN,
    }
    sender |= {"rooms": declared, "pairings": [pairing]}
    receiver |= {"rooms": declared, "network": {"id": "there", "name": "There"}}
    receiver["server"] |= {"listen_addr": f"127.0.0.1:{port}"}
    receiver["auth"]["tokens"].append({"id": "bench", "value": _TOKEN, "scopes": ["pair"], "network": "bench"})
    return sender, receiver


async def fill(callers: Generator, source: Target, rooms: int, amount: int) -> None:
    """Let so many messages wait, as many in each room."""
    for number in range(rooms):
        request = attrs.evolve(source, room_id=f"room-{number}").post
        share = amount // rooms + (number < amount % rooms)
        await callers.ask("call", **source.address, request=request, clients=min(FILLERS, share), amount=share)


async def drain(source: Target, amount: int) -> Load:
    """Wait until nothing waits any more. The load is the sending server's, beginning with what is first seen to go."""
    async with open_client(source.url, source.read_token) as client:
        began, cpu_seconds, left, most = trio.current_time(), source.cpu_seconds(), amount, amount
        with trio.fail_after(_PATIENCE_SECONDS):
            while left:
                if left == amount:
                    began, cpu_seconds = trio.current_time(), source.cpu_seconds()
                left = (await client.relay_queues()).queues[0].waiting
                await trio.sleep(_POLL_SECONDS)
        seconds = trio.current_time() - began
    return Load(most, seconds, (seconds * 1000,), load_cpu_seconds=source.cpu_seconds() - cpu_seconds)
