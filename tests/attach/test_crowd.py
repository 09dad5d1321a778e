"""Many attachments at once: a few that do not read, a burst that connects, and what one more of them costs.

Nothing here looks at a clock: work is counted in steps of the scheduler, and memory in bytes. How long it takes stands
in the benchmarks `crowd` and `attach`.
"""

import gc
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
import trio
import trio.testing
from trio.testing import MockClock

from moltnet.app import App
from moltnet.config.settings import AuthMode, MoltnetConfig
from moltnet.protocol import limits
from tests.fakes.attach_client import AttachClient, MemoryWire, attach, open_wire
from tests.fakes.credentials import agent_token, static
from tests.fakes.network import network_config, open_test_app, post, room, room_message

OPERATOR: Final = static("admin write")
NAMES: Final = tuple(f"agent-{number}" for number in range(1000))
STUCK: Final = NAMES[:20]


def crowded(names: tuple[str, ...] = NAMES, sqlite_path: Path | None = None) -> MoltnetConfig:
    return network_config(mode=AuthMode.BEARER, rooms=[room("general", "poster", *names)], sqlite_path=sqlite_path)


async def say(app: App, texts: list[str]) -> None:
    for text in texts:
        await post(app, room_message(text, sender="poster"), OPERATOR)


@attrs.define(eq=False)
class Crowd:
    """Attachments by name, each with a wire of its own. Made by `gathering`."""

    app: App
    _nursery: trio.Nursery
    wires: dict[str, MemoryWire] = attrs.field(factory=dict)
    clients: dict[str, AttachClient] = attrs.field(factory=dict)

    async def attach(self, *names: str, frames: int = 64, cursor: str = "") -> None:
        """All at once; `frames` is how much of the server's a peer holds that does not read."""
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(self._attach, name, frames, cursor)

    async def hear(self, name: str, count: int, into: dict[str, list[str]]) -> None:
        into[name] = await self.clients[name].next_texts(count)

    async def _attach(self, name: str, frames: int, cursor: str) -> None:
        self.wires[name] = await self._nursery.start(self._hold, name, frames)
        self.clients[name] = await attach(self.wires[name], name, cursor=cursor)

    async def _hold(self, name: str, frames: int, task_status: trio.TaskStatus[MemoryWire]) -> None:
        async with open_wire(self.app, agent_token(name), frames=frames) as wire:
            task_status.started(wire)
            await trio.sleep_forever()


@asynccontextmanager
async def gathering(config: MoltnetConfig) -> AsyncIterator[Crowd]:
    async with open_test_app(config) as app, trio.open_nursery() as nursery:
        yield Crowd(app, nursery)
        nursery.cancel_scope.cancel()


async def test_of_a_thousand_in_a_room_twenty_do_not_read_and_nobody_misses_anything(
    autojump_clock: MockClock,
) -> None:
    texts = [f"text {number}" for number in range(12)]
    reading = [name for name in NAMES if name not in STUCK]
    heard: dict[str, list[str]] = {}
    async with gathering(crowded()) as crowd:
        await crowd.attach(*reading)
        await crowd.attach(*STUCK, frames=4)
        cursors = {name: crowd.clients[name].ready.cursor for name in STUCK}
        async with trio.open_nursery() as nursery:
            for name in reading:
                nursery.start_soon(crowd.hear, name, len(texts), heard)
            began = trio.current_time()
            await say(crowd.app, texts)
        # The clock stands still while anybody can go on: nobody has waited for the twenty.
        assert trio.current_time() == began
        assert all(heard[name] == texts for name in reading)
        for name in STUCK:
            await crowd.wires[name].ended.wait()
        assert trio.current_time() - began <= limits.READ_IDLE_SECONDS + limits.CLOSE_SECONDS
        for name in STUCK:
            await crowd.attach(name, cursor=cursors[name])
            await crowd.hear(name, len(texts), heard)
        assert all(heard[name] == texts for name in STUCK)


async def test_readers_that_stop_cost_no_memory_however_much_is_said(tmp_path: Path) -> None:
    """20 that do not read, and 200 messages of 20 KiB, which is 80 MiB for them all."""
    texts = [f"{number} {'x' * 20_000}" for number in range(200)]

    async def grown(stuck: int, path: Path) -> int:
        names = NAMES[: stuck + 1]
        heard: dict[str, list[str]] = {}
        async with gathering(crowded(names, path)) as crowd:
            await crowd.attach(names[-1])
            await crowd.attach(*names[:-1], frames=1)
            gc.collect()
            tracemalloc.start()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(crowd.hear, names[-1], len(texts), heard)
                await say(crowd.app, texts)
            assert heard[names[-1]] == texts
            gc.collect()
            size, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return size

    without, with_stuck = await grown(0, tmp_path / "a.db"), await grown(20, tmp_path / "b.db")
    # One frame that is being written, for each; the ring and the shared frames are there in both.
    assert with_stuck - without < 20 * 3 * 20_000


@attrs.define(eq=False)
class Steps(trio.abc.Instrument):
    """Counts how often a task is run."""

    taken: int = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.taken += 1


async def steps_of_burst(count: int) -> float:
    """Steps for each of so many that connect at once, until the last report of it has been written."""
    async with gathering(crowded()) as crowd:
        await trio.testing.wait_all_tasks_blocked()
        steps = Steps()
        trio.lowlevel.add_instrument(steps)
        await crowd.attach(*NAMES[:count])
        await trio.testing.wait_all_tasks_blocked()
        trio.lowlevel.remove_instrument(steps)
        assert len(crowd.app.gateway.registry) == count
        return steps.taken / count


async def test_a_burst_of_a_thousand_costs_each_what_a_burst_of_a_hundred_does(autojump_clock: MockClock) -> None:
    few, many = await steps_of_burst(100), await steps_of_burst(1000)
    assert many < 1.5 * few


async def test_one_more_costs_the_same_beside_a_thousand_as_beside_ten(autojump_clock: MockClock) -> None:
    """That it came is told to those who observe, and nobody else is woken by it."""
    taken = []
    for present in (10, 999):
        async with gathering(crowded()) as crowd:
            await crowd.attach(*NAMES[:present])
            await trio.testing.wait_all_tasks_blocked()
            steps = Steps()
            trio.lowlevel.add_instrument(steps)
            await crowd.attach(NAMES[-1])
            await trio.testing.wait_all_tasks_blocked()
            trio.lowlevel.remove_instrument(steps)
            taken.append(steps.taken)
    assert taken[1] < 1.5 * taken[0]


async def test_what_others_are_told_of_a_burst_does_not_grow_with_it(autojump_clock: MockClock) -> None:
    """The reference sends every coming and going to every attachment: a million frames for a thousand."""
    async with gathering(crowded()) as crowd:
        await crowd.attach(*NAMES[:300])
        await trio.testing.wait_all_tasks_blocked()
        heard: dict[str, list[tuple[str, str]]] = {}

        async def listen(name: str) -> None:
            events = await crowd.clients[name].quiet_events()
            heard[name] = [(event.type, event.agent.agent_id) for event in events if event.agent]

        async with trio.open_nursery() as nursery:
            for name in NAMES[:300]:
                nursery.start_soon(listen, name)
        assert heard == {name: [("agent.connected", name)] for name in NAMES[:300]}
