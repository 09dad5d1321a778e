"""What breaks while it storms: servers are killed and stopped, connections cut, half-closed and held up."""

import random
from collections.abc import Awaitable, Callable, Sequence

import attrs
import trio

from tests.simulation.hosts import DiskWeather, ServerHost
from tests.simulation.nodes import NodeHost
from tests.simulation.plan import Plan
from tests.simulation.trace import Trace
from tests.simulation.wires import Wires


@attrs.define(eq=False)
class Chaos:
    """Runs until it is cancelled; `calm` then takes back what it has done to disks and wires."""

    plan: Plan
    wires: Wires
    servers: Sequence[ServerHost]
    nodes: Sequence[NodeHost]
    trace: Trace
    rng: random.Random

    async def run(self) -> None:
        self.wires.weather = self.plan.weather
        for server in self.servers:
            server.weather = self.plan.disk
        for node in self.nodes:
            node.programs.trouble = self.plan.turn_trouble
        every: list[tuple[float, Callable[[], Awaitable[None]]]] = [
            (self.plan.kill_every_seconds, self._kill),
            (self.plan.stop_every_seconds, self._stop),
            (self.plan.cut_every_seconds, self._trouble),
        ]
        async with trio.open_nursery() as nursery:
            for seconds, what in every:
                if seconds:
                    nursery.start_soon(self._again_and_again, seconds, what)

    async def _again_and_again(self, seconds: float, what: Callable[[], Awaitable[None]]) -> None:
        while True:
            await trio.sleep(self.rng.uniform(0, 2 * seconds))
            await what()

    async def _kill(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.nodes and self.rng.random() < 0.4:
            self.rng.choice(self.nodes).kill()
        else:
            self.rng.choice(self.servers).kill("at any moment")

    async def _stop(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.nodes and self.rng.random() < 0.3:
            await self.rng.choice(self.nodes).ask_to_stop()
        else:
            self.rng.choice(self.servers).ask_to_stop()

    async def _trouble(self) -> None:
        await trio.lowlevel.checkpoint()
        connections = self.wires.connections()
        if not connections:
            return
        end = self.rng.choice(connections)
        if self.rng.random() < 0.5 and end.peer is not None:
            end = end.peer
        assert end.inbox is not None
        what = self.rng.choice(("cut", "half-close", "hold", "hold", "silence"))
        self.trace.note("trouble", what, end.inbox.name)
        match what:
            case "cut":
                self.wires.cut(end)
            case "half-close":
                # What a client says ends only with its own will: a request that is cut short would be its fault.
                client = end if end.peer is None or end.number < end.peer.number else end.peer
                self.wires.half_close(client)
            case "hold":
                self.wires.hold(end, self.rng.uniform(0, 6))
            case "silence":
                # Nothing arrives any more, in both directions; the system gives up one day.
                seconds = self.rng.uniform(5, 30)
                for each in (end, end.peer):
                    if each is not None:
                        self.wires.hold(each, seconds)
                        if each.inbox is not None:
                            each.inbox.break_off(trio.current_time() + seconds)

    def calm(self) -> None:
        self.trace.note("calm")
        self.wires.weather = attrs.evolve(self.plan.weather, longest_seconds=0.01)
        for server in self.servers:
            server.weather = DiskWeather()
        for node in self.nodes:
            node.programs.trouble = 0.0
