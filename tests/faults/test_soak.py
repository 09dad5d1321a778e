"""Steady load with churn for a while, and nothing grows: not memory, not descriptors, not tasks, not latency.

Two paired servers, a node that stays and one that comes and goes, people and agents who speak, readers that stay and
readers that come and go, each a program or a connection of its own. A minute here; `make soak HOURS=8` for longer.
Memory means what is resident, so what a leak of a kilobyte a message comes to shows within an hour.
"""

import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Final

import attrs
import pytest
import trio

from tests.e2e.killed_server import history
from tests.e2e.running import Program
from tests.fakes.network import room_message, secret_of
from tests.faults.trends import Allowance, Trend, trend_of
from tests.faults.world import CUT, World

SECONDS: Final = float(os.environ.get("MOLTNET_SOAK_SECONDS", "60"))
SEED: Final = int(os.environ.get("MOLTNET_SOAK_SEED", "7"))
SAMPLE_SECONDS: Final = max(0.5, SECONDS / 1200)
AGENTS: Final = 4
GUESTS: Final = 2
SPEAKERS: Final = 3
PAUSE_SECONDS: Final = float(os.environ.get("MOLTNET_SOAK_PAUSE_SECONDS", "0.5"))
"""Of each speaker between two messages, on average."""
NODE_LIFE_SECONDS: Final = max(8.0, SECONDS / 60)
READER_LIFE_SECONDS: Final = 2.0
# A minute fills caches that an hour does not notice; whatever really leaks grows with the time.
ALLOWED: Final = {
    "MiB": Allowance(part=0.1, floor=12.0),
    "descriptors": Allowance(part=0.1, floor=4.0),
    "tasks": Allowance(part=0.1, floor=6.0),
    "latency ms": Allowance(part=1.0, floor=50.0),
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS * 2 + 240)]


@attrs.define(eq=False)
class Samples:
    """What was measured, by the name of what it is."""

    kept: dict[str, list[tuple[float, float]]] = attrs.field(factory=dict)

    def add(self, name: str, value: float) -> None:
        self.kept.setdefault(name, []).append((trio.current_time(), value))

    def trends(self) -> list[Trend]:
        return [
            trend_of(name, samples, ALLOWED[name.partition(": ")[2]]) for name, samples in sorted(self.kept.items())
        ]


@attrs.define(eq=False)
class Soak:
    home: World
    away: World
    chance: random.Random = attrs.field(factory=lambda: random.Random(SEED))
    samples: Samples = attrs.field(factory=Samples)
    began: dict[str, float] = attrs.field(factory=dict)
    accepted: list[str] = attrs.field(factory=list)
    latencies: list[float] = attrs.field(factory=list)
    over: trio.Event = attrs.field(factory=trio.Event)
    lives: int = 0

    async def speak(self, name: str) -> None:
        """Somebody who mentions an agent each time."""
        number = 0
        while not self.over.is_set():
            number += 1
            message_id = f"{name}-{number}"
            text = f"@a{self.chance.randrange(AGENTS)} this is {message_id} " + "x" * self.chance.randrange(2000)
            request = room_message(text, sender=name, message_id=message_id)
            self.began[message_id] = trio.current_time()
            answer = await self.home.client.post("/v1/messages", request)
            assert answer.status == 202, answer.body
            self.accepted.append(message_id)
            await trio.sleep(self.chance.expovariate(1 / PAUSE_SECONDS))

    async def read(self, life_seconds: float) -> None:
        """Who comes, listens, and goes again."""
        while not self.over.is_set():
            with trio.move_on_after(self.chance.uniform(0.5, 1.5) * life_seconds), suppress(*CUT):
                async with self.home.client.stream_events() as source:
                    while await source.next_event() is not None:
                        pass

    async def clock_arrivals(self) -> None:
        """How long it takes until the reader that stays has a message."""
        seen = 0
        while True:
            await trio.sleep(0.01)
            while seen < len(self.home.seen):
                began = self.began.get(self.home.seen[seen])
                seen += 1
                if began is not None:
                    self.latencies.append(trio.current_time() - began)

    async def come_and_go(self, guest: World) -> None:
        """A node that is started and stopped again and again."""
        while not self.over.is_set():
            async with guest.run_node() as node:
                await node.wait_log(" attached ", (self.lives + 1) * GUESTS)  # one log for all of its lives
                with trio.move_on_after(self.chance.uniform(0.5, 1.5) * NODE_LIFE_SECONDS):
                    await self.over.wait()
                assert await node.stop() == 0
            self.lives += 1

    async def measure(self, programs: dict[str, Program]) -> None:
        while not self.over.is_set():
            await trio.sleep(SAMPLE_SECONDS)
            if self.over.is_set():
                return  # they may have ended by now
            for name, program in programs.items():
                self.samples.add(f"{name}: MiB", resident_mib(program.process.pid))
                self.samples.add(f"{name}: descriptors", float(len(os.listdir(f"/proc/{program.process.pid}/fd"))))
            for name, world in (("server", self.home), ("paired server", self.away)):
                self.samples.add(f"{name}: tasks", await tasks_of(world))
            if self.latencies:
                self.samples.add("messages: latency ms", 1000 * median(self.latencies))
                self.latencies.clear()


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def tasks_of(world: World) -> float:
    text = (await world.client.get("/metrics")).body.decode()
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith("moltnet_trio_tasks "))


def pairing(of: World, to: World) -> tuple[str, str]:
    """The token of the other, and the pairing with it."""
    token = f"{to.network_id}-to-{of.network_id}"
    theirs = f"{of.network_id}-to-{to.network_id}"
    return (
        f"    - {{id: of-{to.network_id}, value: {secret_of(token)}, scopes: [pair], network: {to.network_id}}}\n",
        f"pairings:\n  - {{id: to_{to.network_id}, remote_network_id: {to.network_id}, "
        f'remote_base_url: "{to.url}", token: {secret_of(theirs)}}}\n',
    )


@asynccontextmanager
async def open_soak(directory: Path) -> AsyncIterator[tuple[Soak, dict[str, Program]]]:
    for name in ("home", "away", "guest"):
        (directory / name).mkdir()
    speakers = [f"s{number}" for number in range(SPEAKERS)]
    home = World(directory / "home", agents=AGENTS + GUESTS, wake="mentions", members=", ".join(speakers))
    away = World(directory / "away", agents=0, network_id="away", members=", ".join(f'"lab:{s}"' for s in speakers))
    home.tokens, home.more = pairing(home, away)
    away.tokens, away.more = pairing(away, home)
    for world in (home, away):
        world.write()
    guest = World(directory / "guest", port=home.port, agents=0)
    split_node_file(home, guest)
    async with AsyncExitStack() as stack:
        programs = {
            "server": await stack.enter_async_context(home.run_server()),
            "paired server": await stack.enter_async_context(away.run_server()),
            "node": await stack.enter_async_context(home.run_node()),
        }
        soak = Soak(home, away)
        nursery = await stack.enter_async_context(trio.open_nursery())
        home.agents = AGENTS
        await home.wait_attached()
        nursery.start_soon(soak.come_and_go, guest)
        yield soak, programs
        nursery.cancel_scope.cancel()


def split_node_file(home: World, guest: World) -> None:
    """The last agents get a node of their own, which comes and goes."""
    path = home.directory / "node" / "MoltnetNode"
    head, *entries = path.read_text().split("  - agent:")
    for world, those in ((home, entries[:AGENTS]), (guest, entries[AGENTS:])):
        place = world.directory / "node"
        place.mkdir(exist_ok=True)
        (place / "MoltnetNode").touch(mode=0o600)
        (place / "MoltnetNode").write_text("  - agent:".join([head, *those]))
        for number in range(AGENTS + GUESTS):
            (place / f"a{number}").mkdir(exist_ok=True)


async def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110 - other processes
            await trio.sleep(0.05)


async def test_nothing_grows_at_steady_load_with_churn(tmp_path: Path) -> None:
    async with open_soak(tmp_path) as (soak, programs), trio.open_nursery() as nursery:
        home = soak.home
        nursery.start_soon(home.read)
        for number in range(SPEAKERS):
            nursery.start_soon(soak.speak, f"s{number}")
        for _ in range(2):
            nursery.start_soon(soak.read, READER_LIFE_SECONDS)
        nursery.start_soon(soak.clock_arrivals)
        nursery.start_soon(soak.measure, programs)
        await trio.sleep(SECONDS)
        trends = soak.samples.trends()
        soak.over.set()
        await wait_until(lambda: set(soak.accepted) <= set(home.seen))
        assert len(set(home.seen)) == len(home.seen)
        await everything_arrived(soak)
        for program in (programs["node"], programs["paired server"], programs["server"]):
            assert await program.stop() == 0
        for directory in (home.directory, soak.away.directory):
            for log in directory.glob("*.log"):
                assert attrs.evolve(home, directory=directory).errors(log.name) == []
        nursery.cancel_scope.cancel()
    print(f"\n{SECONDS:g} s, {len(soak.accepted)} messages, {soak.lives} lives of a node, seed {SEED}")
    print("\n".join(f"  {trend}" for trend in trends))
    assert [str(trend) for trend in trends if not trend.is_flat] == []
    assert len(soak.accepted) > SECONDS


async def everything_arrived(soak: Soak) -> None:
    """At the paired network, and as turns of the agents that stay."""
    with trio.fail_after(120):
        while set(await history(soak.away.client, "room", "general")) < set(soak.accepted):  # noqa: ASYNC110
            await trio.sleep(0.5)
    told = set(soak.accepted)
    await wait_until(lambda: told <= set().union(*(soak.home.turns(f"a{number}") for number in range(AGENTS))))
