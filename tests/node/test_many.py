"""Many attachments on one node for a while, and everything around them breaks: programs, connections, the server.

Some seconds with 30 attachments in `make test`; `make soak-node` runs it with 200 for ten minutes. What happens is
drawn from a seed; when it meets what is never the same twice.
"""

import gc
import logging
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import pytest
import trio
import trio.testing

from bridge import limits
from bridge.config import AttachmentConfig, BrakeSettings, RoomBinding, WakePolicy, WakeRule
from bridge.loop import run_attachment
from bridge.runtimes.registry import open_runtime
from bridge.runtimes.runtime import Runtime, Turn
from bridge.status import AttachmentState
from moltnet.app import open_app
from moltnet.client.api import open_client
from moltnet.client.errors import ServerUnreachable
from moltnet.config.settings import (
    FileStorage,
    MoltnetConfig,
    NetworkSettings,
    RoomSettings,
    StorageKind,
    StorageSettings,
)
from moltnet.config.urls import ListenAddress
from moltnet.protocol.ids import AgentId, NetworkId, RoomId
from moltnet.protocol.messages import HUMAN, Actor, Part, PartKind, SendMessageRequest, Target, TargetKind
from moltnet.serving import open_sockets, serve
from node.config import NodeConfig
from node.control import Operation, Request, serve_control, socket_path
from node.control_client import ask
from node.supervisor import Node, run_node
from tests.fakes.attachments import attachment_config
from tests.fakes.process_watch import MARK_NAME, watch_processes
from tests.fakes.tcp_proxy import Proxy, open_proxy

ATTACHMENTS: Final = int(os.environ.get("MOLTNET_SOAK_ATTACHMENTS", "30"))
SECONDS: Final = float(os.environ.get("MOLTNET_SOAK_SECONDS", "10"))
SEED: Final = int(os.environ.get("MOLTNET_SOAK_SEED", "7"))
IS_SOAK: Final = SECONDS >= 60
STORMS: Final = max(2, round(SECONDS / 200))
ROOMS: Final = 6
MESSAGES_PER_SECOND: Final = 6.0
# Where nothing runs, nothing is killed.
KILLS_PER_SECOND: Final = 8.0
# Each of these lets all of them connect again, and so many need some time for it.
CUT_EVERY_SECONDS: Final = 30.0 if IS_SOAK else 2.0
RESTART_EVERY_SECONDS: Final = 60.0 if IS_SOAK else 4.0
# Everything that was said has to be done some time after the last fault. Only a failing test waits so long.
PATIENCE_SECONDS: Final = 600.0 if IS_SOAK else 120.0
# What there may be more of at the end than after the first storm: the last turns of agents that had fewer before, and
# whatever is just being made. A connection that is kept keeps dozens.
MAX_NEW_OBJECTS: Final = ATTACHMENTS * (limits.PAST_TURNS + 2)
OF_THE_NODE: Final = ("bridge", "node", "trio_websocket", "wsproto")
# A connection that is kept, or a turn that does not end, has more of each; all of them at once more than a hundred.
MAX_NEW_TASKS: Final = 20
MAX_NEW_DESCRIPTORS: Final = 20
# Server and node are one process here: caches of databases, threads, what an allocator does not give back.
MAX_GROWTH_MIB: Final = 64.0


@attrs.define(eq=False)
class Tally:
    """Which agent was told what, and which turns with it were finished."""

    wanted: set[tuple[str, str]] = attrs.field(factory=set)
    finished: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    cut: int = 0
    killed: int = 0
    said: int = 0

    @asynccontextmanager
    async def open_watched(self, config: AttachmentConfig) -> AsyncIterator[Runtime]:
        """The real runtime, and whoever counts its turns."""
        async with open_runtime(config) as runtime:
            yield _Watched(runtime, config.agent.id, self)


@attrs.define(eq=False)
class _Watched:
    _runtime: Runtime
    _agent_id: str
    _tally: Tally

    async def run_turn(self, turn: Turn) -> None:
        try:
            await self._runtime.run_turn(turn)
        except Exception:
            self._tally.cut += 1
            raise
        for line in turn.prompt.splitlines():
            if line.startswith("Message ID: "):
                self._tally.finished[self._agent_id, line.removeprefix("Message ID: ")] += 1


def network(directory: Path, agents: list[str]) -> MoltnetConfig:
    return MoltnetConfig(
        network=NetworkSettings(NetworkId("net"), "Net"),
        storage=StorageSettings(StorageKind.SQLITE, FileStorage(directory / "moltnet.db")),
        rooms=tuple(RoomSettings(RoomId(f"room-{number}"), "Room", tuple(agents)) for number in range(ROOMS)),
    )


def node_of(directory: Path, port: int, agents: list[str]) -> NodeConfig:
    attachments = []
    for agent_id in agents:
        (directory / agent_id).mkdir()
        command = ("/bin/sh", "-c", "cat > /dev/null; sleep 0.2")
        config = attachment_config(directory / agent_id, command=command, env=(MARK_NAME,))
        rooms = tuple(RoomBinding(RoomId(f"room-{number}"), WakeRule(WakePolicy.MENTIONS)) for number in range(ROOMS))
        attachments.append(
            attrs.evolve(
                config,
                agent=attrs.evolve(config.agent, id=AgentId(agent_id)),
                server=attrs.evolve(config.server, base_url=f"http://127.0.0.1:{port}"),
                brakes=BrakeSettings(parallel_turns=2, cooldown_seconds=0.1, turns_per_hour=limits.MAX_TURNS_PER_HOUR),
                rooms=rooms,
            )
        )
    return NodeConfig(tuple(attachments), directory / "MoltnetNode", directory / "state", parallel_turns=8)


@attrs.define(eq=False)
class Weather:
    """Whether things break now."""

    calm: trio.Event = attrs.field(factory=trio.Event)
    stormy: trio.Event = attrs.field(factory=trio.Event)

    def storm(self) -> None:
        self.calm = trio.Event()
        self.stormy.set()

    def settle(self) -> None:
        self.stormy = trio.Event()
        self.calm.set()


async def keep_serving(config: MoltnetConfig, proxy: Proxy, chance: random.Random, weather: Weather) -> None:
    """A server that is stopped and started again, on the same database, while it storms."""
    while True:
        stop = trio.Event()
        async with open_app(config) as app, trio.open_nursery() as nursery:
            sockets = open_sockets(ListenAddress("127.0.0.1", 0))
            proxy.server_port = sockets[0].getsockname()[1]
            await nursery.start(partial(serve, app, sockets, stop=stop))
            is_up = True
            while is_up:
                await weather.stormy.wait()
                with trio.move_on_after(RESTART_EVERY_SECONDS * chance.uniform(0.5, 1.5)) as time:
                    await weather.calm.wait()
                is_up = not time.cancelled_caught
            stop.set()


async def speak(room_id: RoomId, port: int, agents: list[str], tally: Tally, chance: random.Random) -> None:
    """Somebody who speaks in a room until the storm is over, and has to wait whenever nobody answers."""
    end = trio.current_time() + SECONDS / STORMS
    async with open_client(f"http://127.0.0.1:{port}", None, environ={}) as client:
        while trio.current_time() < end:
            tally.said += 1
            number = tally.said
            named = chance.sample(agents, chance.choice((1, 1, 2)))
            text = f"{number}: {' '.join(f'@{agent_id}' for agent_id in named)} are you there?"
            message_id = f"msg_{number}"
            tally.wanted |= {(agent_id, message_id) for agent_id in named}
            message = SendMessageRequest(
                id=message_id,
                target=Target(kind=TargetKind.ROOM, room_id=room_id),
                sender=Actor(type=HUMAN, id="ada"),
                parts=(Part(kind=PartKind.TEXT, text=text),),
            )
            accepted = None
            while accepted is None:
                with suppress(ServerUnreachable):  # in spite of all its tries; the same id is stored once
                    accepted = await client.send(message)
            await trio.sleep(chance.expovariate(MESSAGES_PER_SECOND / ROOMS))


async def kill_children(mark: str, tally: Tally, chance: random.Random) -> None:
    """Kill what runs for turns: keepers, which are our children, and programs, which are theirs."""
    while True:
        await trio.sleep(chance.expovariate(KILLS_PER_SECOND))
        keepers = children_of(os.getpid())
        victims = [*keepers, *(child for keeper in keepers for child in children_of(keeper))]
        chance.shuffle(victims)
        tally.killed += any(kill_marked(victim, mark) for victim in victims)


def kill_marked(pid: int, mark: str) -> bool:
    """Kill a process if it runs for our node, and not, say, a database of the test run; whether it was one."""
    with suppress(OSError):  # it has ended
        descriptor = os.pidfd_open(pid)
        try:
            # Whoever has this number now, the signal goes to who had it above.
            if f"{MARK_NAME}={mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                return True
        finally:
            os.close(descriptor)
    return False


def children_of(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):  # it has ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    return found


async def cut_connections(proxy: Proxy, chance: random.Random) -> None:
    while True:
        await trio.sleep(CUT_EVERY_SECONDS * chance.uniform(0.5, 1.5))
        proxy.cut_all()


async def storm(
    proxy: Proxy, agents: list[str], tally: Tally, chance: random.Random, weather: Weather, mark: str
) -> None:
    """Everything breaks, and people go on speaking."""
    weather.storm()
    async with trio.open_nursery() as faults:
        faults.start_soon(kill_children, mark, tally, chance)
        faults.start_soon(cut_connections, proxy, chance)
        async with trio.open_nursery() as speakers:
            for number in range(ROOMS):
                speakers.start_soon(speak, RoomId(f"room-{number}"), proxy.port, agents, tally, chance)
        faults.cancel_scope.cancel()
    weather.settle()


@attrs.frozen
class Belongings:
    """What the process has in calm weather."""

    objects: int
    """Alive, of the node's own kinds."""
    resident_mib: float
    tasks: int
    descriptors: int
    processes: int

    @classmethod
    async def settled(cls) -> "Belongings":
        """As soon as nothing changes: each connection that is made asks for the rooms, beside everything else."""
        before, present = None, _count_tasks_and_descriptors()
        with trio.fail_after(PATIENCE_SECONDS):
            while before != present:
                await trio.sleep(0.5)
                before, present = present, _count_tasks_and_descriptors()
        return cls.now()

    @classmethod
    def now(cls) -> "Belongings":
        gc.collect()
        modules = (str(type(each).__module__) for each in gc.get_objects())
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(
            objects=sum(module.partition(".")[0] in OF_THE_NODE for module in modules),
            resident_mib=pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
            tasks=_count_tasks_and_descriptors()[0],
            descriptors=_count_tasks_and_descriptors()[1],
            processes=len(children_of(os.getpid())),
        )


def _count_tasks_and_descriptors() -> tuple[int, int]:
    return trio.lowlevel.current_statistics().tasks_living, len(os.listdir("/proc/self/fd"))


async def wait_until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - it comes true in many places
            await trio.sleep(0.1)


def are_attached(node: Node) -> bool:
    return all(each.state is AttachmentState.ATTACHED for each in node.statuses.values())


def is_calm(tally: Tally, node: Node) -> bool:
    """Everything is done, and everybody is there."""
    idle = not any(each.activities for each in node.statuses.values())
    return idle and are_attached(node) and tally.wanted <= set(tally.finished)


@pytest.mark.slow
async def test_nothing_is_lost_doubled_or_leaked_while_everything_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "moltnet")  # every line that is told would be kept
    # A failed turn waits 10 s for its next try, and six failures are enough; here every second one may be killed.
    monkeypatch.setattr(limits, "TURN_RETRY_BASE_SECONDS", 0.2)
    monkeypatch.setattr(limits, "TURN_RETRY_CAP_SECONDS", 1.0)
    monkeypatch.setattr(limits, "MAX_TURN_ATTEMPTS", 1000)
    if not IS_SOAK:
        monkeypatch.setattr(limits, "RECONNECT_CAP_SECONDS", 2.0)
    chance = random.Random(SEED)
    agents = [f"agent-{number}" for number in range(ATTACHMENTS)]
    tally, drain, weather = Tally(), trio.Event(), Weather()
    belongings: list[Belongings] = []
    began = trio.current_time()
    with watch_processes() as watch:
        monkeypatch.setenv(MARK_NAME, watch.mark)
        tasks_before = trio.lowlevel.current_statistics().tasks_living
        async with open_proxy(0) as proxy, trio.open_nursery() as world:
            world.start_soon(keep_serving, network(tmp_path, agents), proxy, chance, weather)
            async with trio.open_nursery() as running:
                config = node_of(tmp_path, proxy.port, agents)
                node: Node = await running.start(
                    partial(
                        run_node,
                        config,
                        drain=drain,
                        environ=watch.environment,
                        run_attachment=partial(run_attachment, open_runtime=tally.open_watched),
                    )
                )
                async with trio.open_nursery() as around:
                    await around.start(serve_control, node, node.reload)
                    # A first start begins with what is said from then on.
                    await wait_until(partial(are_attached, node))
                    print("attached", trio.current_time() - began)
                    for _ in range(STORMS):
                        await storm(proxy, agents, tally, chance, weather, watch.mark)
                        await wait_until(partial(is_calm, tally, node))
                        belongings.append(await Belongings.settled())
                        print(round(trio.current_time() - began), len(tally.wanted), tally.killed, belongings[-1])
                    report = (
                        await ask(socket_path(config.state_path, config.source), Request(Operation.STATUS))
                    ).status
                    assert report is not None
                    assert {each.state for each in report.attachments} == {AttachmentState.ATTACHED}
                    assert sum(each.given_up_messages for each in report.attachments) == 0
                    around.cancel_scope.cancel()
                drain.set()
            world.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == tasks_before
        await watch.wait_gone()
    assert tally.killed > 0
    assert tally.cut > 0
    assert len(tally.wanted) > SECONDS
    assert set(tally.finished) == tally.wanted
    assert set(tally.finished.values()) == {1}
    first, *_, last = belongings
    assert last.objects - first.objects < MAX_NEW_OBJECTS
    assert last.tasks - first.tasks < MAX_NEW_TASKS
    assert last.descriptors - first.descriptors < MAX_NEW_DESCRIPTORS
    assert {each.processes for each in belongings} == {first.processes}
    assert last.resident_mib - first.resident_mib < MAX_GROWTH_MIB
