"""A backlog of messages for a paired network that comes back: how fast it drains, beside plain posts to that network.

Two servers, each a process on its own SQLite file. The first fills up while the second does not run; then both run.
In one room messages go one after the other, as from one client; of many rooms eight go at once.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import attrs
import trio

from moltnet.client.api import open_client
from tests.bench.benchmark import Benchmark, Case
from tests.bench.contestants import Contestant
from tests.bench.measurement import Load
from tests.bench.processes import open_generator
from tests.bench.rows.stages import Called
from tests.bench.servers import Setup, Target, new_directory
from tests.bench.settings import Settings
from tests.fakes.ports import free_port

# Rooms, clients that do the same by plain posts, and which part of the messages: one after the other takes long.
BACKLOGS: Final = ((1, 1, 0.2), (16, 8, 1.0))
FILLERS: Final = 16
_POLL_SECONDS: Final = 0.02
_PATIENCE_SECONDS: Final = 300.0
_TOKEN: Final = "bench-pair-0123456789abcdef"


@attrs.frozen
class _Paired:
    contestant: Contestant
    settings: Settings


@asynccontextmanager
async def _open(contestant: Contestant, settings: Settings) -> AsyncIterator[_Paired]:
    yield _Paired(contestant, settings)


async def _relay(stage: _Paired, rooms: int, part: float) -> Load:
    """The CPU time is that of both servers."""
    amount = max(rooms, round(stage.settings.relayed_messages * part))
    sender, receiver = setups(rooms)
    with new_directory() as here, new_directory() as there:
        async with stage.contestant.open(here, sender) as source, open_generator("callers") as callers:
            filler = Called(source, stage.settings, callers)
            for number in range(rooms):
                request = attrs.evolve(source, room_id=f"room-{number}").post
                share = amount // rooms + (number < amount % rooms)
                await filler.call(request, min(FILLERS, share), amount=share)
        async with (
            stage.contestant.open(there, receiver) as target,
            stage.contestant.open(here, sender) as source,
        ):
            return await drain(source, target, amount)


async def _post(stage: _Paired, rooms: int, clients: int) -> Load:
    _, receiver = setups(rooms)
    with new_directory() as there:
        async with stage.contestant.open(there, receiver) as target, open_generator("callers") as callers:
            caller = Called(target, stage.settings, callers)
            request = attrs.evolve(target, room_id="room-0").post
            await caller.call(request, clients, seconds=stage.settings.load_seconds / 4)
            return await caller.call(request, clients, seconds=stage.settings.load_seconds)


def setups(rooms: int) -> tuple[Setup, Setup]:
    """Of a network that relays, and of the one that it relays to."""
    port = free_port()
    declared = [{"id": f"room-{number}", "members": ["poster", "bench:poster"]} for number in range(rooms)]
    pairing = {
        "id": "there",
        "remote_network_id": "there",
        "remote_base_url": f"http://127.0.0.1:{port}",
        "token": _TOKEN,
    }
    auth: Mapping[str, Any] = Setup().config()["auth"]
    token = {"id": "bench", "value": _TOKEN, "scopes": ["pair"], "network": "bench"}
    receiver = {
        "rooms": declared,
        "network": {"id": "there", "name": "There"},
        "server": {"listen_addr": f"127.0.0.1:{port}"},
        "auth": {**auth, "tokens": [*auth["tokens"], token]},
    }
    return Setup(more={"rooms": declared, "pairings": [pairing]}), Setup(more=receiver)


async def drain(source: Target, receiver: Target, amount: int) -> Load:
    """Wait until nothing waits any more, beginning with what is first seen to go."""
    async with open_client(source.url, source.read_token) as client:
        began, cpu_seconds, left = trio.current_time(), _cpu_of(source, receiver), amount
        with trio.fail_after(_PATIENCE_SECONDS):
            while left:
                if left == amount:
                    began, cpu_seconds = trio.current_time(), _cpu_of(source, receiver)
                left = (await client.relay_queues()).queues[0].waiting
                await trio.sleep(_POLL_SECONDS)
        seconds = trio.current_time() - began
    return Load(amount, seconds, (seconds * 1000,), _cpu_of(source, receiver) - cpu_seconds, 0.0)


def _cpu_of(*servers: Target) -> float:
    return sum(server.cpu_seconds() for server in servers)


def _cases(settings: Settings) -> Sequence[Case[_Paired]]:
    cases = []
    for rooms, clients, part in BACKLOGS:
        name = f"relay backlog of {rooms} room{'s' * (rooms > 1)}"
        cases += [
            Case(name, "messages", partial(_relay, rooms=rooms, part=part)),
            Case(f"plain posts there ×{clients}", "messages", partial(_post, rooms=rooms, clients=clients)),
        ]
    return cases


RELAY: Final = Benchmark("relay", "a backlog for a paired network", _open, _cases, needs_start=True, only_ours=True)
