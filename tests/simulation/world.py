"""One simulated world: networks, those who use them, what breaks, and the calm afterwards in which all is settled.

run_seed
└── World.run                one trio.run on a virtual clock
    ├── servers              each a life after another (`hosts`)
    ├── callers              senders, attachments, streams, people who read back, an operator (`actors`)
    └── storm                kills, cuts, half-closes, stuck readers (`chaos`)
"""

import gc
import logging
import os
import random
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs
import pytest
import trio

from moltnet.storage.store import StorageError
from tests.simulation import seams
from tests.simulation.actors import AttachedAgent, Streaming
from tests.simulation.chaos import Chaos
from tests.simulation.descriptors import open_doors
from tests.simulation.judge import Judge, LogWatch, PromiseBroken, relayed_once
from tests.simulation.networks import NETWORKS, STABLE, SimNetwork, build_network, build_node
from tests.simulation.nodes import NodeHost
from tests.simulation.plan import Plan
from tests.simulation.stores import faulty_connect
from tests.simulation.trace import Trace
from tests.simulation.truth import Steps
from tests.simulation.wires import Wires, host_name

# In the calm: longer than every backoff, silence and patience that may be left over from the storm.
SETTLE_SECONDS: Final = 1200.0
LOOK_SECONDS: Final = 0.5
# A run takes 20,000 to 100,000.
MOST_STEPS: Final = 300_000
# Until a server that has just begun has begun with everything.
SETTLED_SECONDS: Final = 0.5
# What a server has beside its connections ends with them, a little later; idle connections of partners after a minute.
LINGER_SECONDS: Final = 90.0


@attrs.frozen
class Result:
    """What became of a seed. `broken` is empty if every promise held."""

    seed: int
    digest: str
    events: int
    broken: tuple[str, ...]
    counts: dict[str, int]
    lines: tuple[str, ...]

    def raise_if_broken(self) -> None:
        if self.broken:
            raise PromiseBroken(f"seed {self.seed}: {self.broken[0]}\n{again(self.seed)}")


def again(seed: int) -> str:
    """How a seed is run alone."""
    return f"make sim SEEDS={seed}-{seed}    or    python -m tests.simulation --seed {seed} --trace"


def run_seed(seed: int, *, plan: Plan | None = None, wires: bool = False) -> Result:
    """Run the world of a seed from its beginning to its end. Nothing of it is left behind."""
    trace = Trace(wires)
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=_fast_directory()) as directory:
        world = World(Plan.of(seed) if plan is None else plan, trace, Path(directory))
        with seams.deterministic(seed), world.installed():
            try:
                seams.run_virtually(world.run, seams.StepLimit(MOST_STEPS, world.run_away))
            except Exception as error:  # a bug of the simulation, or one of the product that nobody has caught
                if not world.judge.broken:
                    world.judge.broken.append(f"the run crashed: {_describe(error)}")
    judge = world.judge
    del world
    gc.collect()
    return Result(seed, trace.digest, trace.events, tuple(judge.broken), dict(judge.counts), tuple(trace.lines))


@attrs.define(eq=False)
class World:
    """All that there is in one run."""

    plan: Plan
    trace: Trace
    directory: Path
    judge: Judge = attrs.field(init=False)
    wires: Wires = attrs.field(init=False)
    steps: Steps = attrs.field(factory=Steps)
    networks: list[SimNetwork] = attrs.field(factory=list)
    nodes: list[NodeHost] = attrs.field(factory=list)
    _idle_tasks: int = 0

    def __attrs_post_init__(self) -> None:
        self.judge = Judge(self.trace, is_dead=self._is_dead)
        self.wires = Wires(self.rng("wires"), self.trace)

    def run_away(self, how: str) -> None:
        self.judge.break_off(f"guarantee 6: the run does not end: {how}; {'; '.join(waiting_tasks())}")

    def rng(self, whose: str) -> random.Random:
        """Chance of one part: what others draw does not change it."""
        return random.Random(f"{whose} {self.plan.seed}")

    @contextmanager
    def installed(self) -> Iterator[None]:
        """The process-wide doors to sockets, databases and logs lead into this world."""
        watch = LogWatch(self.judge, lambda text: text.replace(str(self.directory), "~"))
        root = logging.getLogger()
        with pytest.MonkeyPatch.context() as patch:
            open_doors(self.wires, patch)
            patch.setattr(sqlite3, "connect", faulty_connect(sqlite3.connect))
            # Code that builds URLs of routes, which nobody asks for: most of what it takes to start a server.
            patch.setattr("werkzeug.routing.rules.Rule._compile_builder", _compile_nothing)
            # Only ours: what a host logs that was killed counts for nobody.
            patch.setattr(root, "handlers", [watch])
            level = root.level
            root.setLevel(logging.INFO)
            try:
                yield
            finally:
                root.setLevel(level)

    async def run(self) -> None:
        self.wires.install()
        async with trio.open_nursery() as everything:
            self.judge.end = lambda: everything.cancel_scope.cancel(reason="a promise is broken")
            self._build()
            baseline = trio.lowlevel.current_statistics().tasks_living
            async with trio.open_nursery() as living:
                for network in self.networks:
                    living.start_soon(network.host.run)
                for network in self.networks:
                    await network.host.wait_up()
                await trio.sleep(SETTLED_SECONDS)
                self._idle_tasks = trio.lowlevel.current_statistics().tasks_living
                async with trio.open_nursery() as noding:
                    for node in self.nodes:
                        noding.start_soon(node.run)
                        await node.wait_ready()
                    await self._live_through_the_storm()
                    for node in self.nodes:
                        node.retired = True
                        await node.ask_to_stop()
                await self._check_histories()
                await self._check_idle()
                for network in self.networks:
                    network.host.retired = True
                    network.host.ask_to_stop()
            self._check_empty(baseline)

    async def _live_through_the_storm(self) -> None:
        servers = [network.host for network in self.networks]
        chaos = Chaos(self.plan, self.wires, servers, self.nodes, self.trace, self.rng("chaos"))
        async with trio.open_nursery() as calling:
            for network in self.networks:
                for caller in network.callers:
                    calling.start_soon(caller.run)
            with trio.move_on_after(self.plan.storm_seconds):
                await chaos.run()
                await trio.sleep_forever()
            chaos.calm()
            await self._settle()

    def _build(self) -> None:
        names = NETWORKS[: self.plan.networks]
        for name in names:
            self.networks.append(build_network(self, name, [other for other in names if other != name]))
        if self.plan.node_agents:
            self.nodes.append(build_node(self, self.networks[0]))

    async def _settle(self) -> None:
        """In the calm everything that was begun comes to its end, and nothing new is begun."""
        for network in self.networks:
            for caller in (*network.senders, *network.reading, *network.operators):
                caller.quiet.set()
        waiting = ""
        with trio.move_on_after(SETTLE_SECONDS) as settling:
            for network in self.networks:
                await network.host.wait_up()
            while waiting := await self._unsettled():  # noqa: ASYNC110 - many parts, which know nothing of each other
                await trio.sleep(LOOK_SECONDS)
        if settling.cancelled_caught:
            self.judge.break_off(f"not settled {SETTLE_SECONDS:g} s after the storm: {waiting or 'no server'}")
            await trio.lowlevel.checkpoint()
        for network in self.networks:
            for reader in network.readers:
                reader.done.set()
        self._check_relays()

    async def _unsettled(self) -> str:
        for node in self.nodes:
            if left := node.unsettled():
                return f"guarantee 8: {left}"
        for network in self.networks:
            for reader in network.readers:
                if left := _not_received(reader):
                    return f"guarantee 3: {left}"
            life = network.host.life
            if life is None or life.app is None:
                return f"{network.host.name} is away"
            try:
                depths = await life.app.context.store.outbox_depths()
            except StorageError as error:
                return f"the store of {network.host.name} fails in the calm: {error}"
            for depth in depths:
                if depth.waiting or depth.dead:
                    left = f"{depth.waiting} messages wait, {depth.dead} were given up"
                    return f"guarantee 4: {left} at {network.host.name} for {depth.pairing_id}"
        return ""

    def _check_relays(self) -> None:
        for here in self.networks:
            for there in self.networks:
                if here is not there:
                    for conversation in (("room", STABLE), ("thread", f"of-{here.host.name}")):
                        relayed_once(self.judge, here.truth, there.truth, conversation)

    async def _check_histories(self) -> None:
        for network in self.networks:
            for reading in network.reading:
                async with reading.client() as client:
                    for target in reading.targets:
                        await reading.read(client, target)
        host_name.set("outside")

    async def _check_idle(self) -> None:
        """6: with its callers gone, a server is what it was before they came."""
        await trio.sleep(LINGER_SECONDS)
        for network in self.networks:
            name, life = network.host.name, network.host.life
            app = None if life is None else life.app
            if app is None:
                self.judge.break_off(f"{name} is not up in the calm")
                return
            partners = {other.host.name for other in self.networks}
            left = [
                each
                for each in self.wires.open.values()
                if each.host == name and each.peer is not None and each.peer.host not in partners
            ]
            self.judge.demand(not left, 6, f"{name} holds {len(left)} connections of callers who are gone")
            self.judge.demand(app.context.journal.waiting == 0, 6, f"{name} has commands that wait")
            self.judge.demand(len(app.gateway.registry) == 0, 6, f"{name} has attachments of nobody")
        if all(each.peer is None for each in self.wires.open.values()):
            tasks = trio.lowlevel.current_statistics().tasks_living
            self.judge.demand(
                tasks <= self._idle_tasks, 6, f"{tasks} tasks live with nobody there, {self._idle_tasks} before anybody"
            )

    def _check_empty(self, baseline: int) -> None:
        """6: at the end nothing is left."""
        tasks = trio.lowlevel.current_statistics().tasks_living
        self.judge.demand(tasks == baseline, 6, f"{tasks} tasks live at the end, {baseline} did at the beginning")
        self.judge.demand(not self.wires.open, 6, f"sockets are open at the end: {sorted(self.wires.open)}")

    def _is_dead(self, host: str) -> bool:
        for network in self.networks:
            if host == network.host.name:
                return network.host.life is None or network.host.life.dead
        return any(host == node.name and node.is_dead for node in self.nodes)


def _not_received(reader: AttachedAgent | Streaming) -> str:
    session = reader.session
    if session is None or session.last_seq < 0:
        # A stream that had no event yet is live from now on.
        return "" if isinstance(reader, Streaming) or not reader.truth.log else f"{reader.name} has no place"
    for record in reader.truth.log[session.last_seq :]:
        if session.must_see(record):
            return f"{reader.name} has not received event {record.seq}, {record.type} {record.id}"
    return ""


def _compile_nothing(_rule: object, append_unknown: bool = True) -> Callable[..., None]:
    return lambda *_args: None


def waiting_tasks() -> list[str]:
    """Where every task waits; tasks that wait at one place are counted."""
    places: Counter[str] = Counter()
    todo = [trio.lowlevel.current_root_task()]
    while todo:
        task = todo.pop()
        if task is None:
            continue
        todo += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
        frames = [
            f"{Path(frame.f_code.co_filename).name}:{line}"
            for frame, line in task.iter_await_frames()
            if "/trio/" not in frame.f_code.co_filename
        ]
        places[f"{task.name.rpartition('.')[2]} at {' > '.join(frames[-3:])}"] += 1
    return sorted(f"{count} {place}" for place, count in places.items())


def _describe(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_describe(each) for each in error.exceptions)
    frames = error.__traceback__
    while frames is not None and frames.tb_next is not None:
        frames = frames.tb_next
    where = "" if frames is None else f" at {Path(frames.tb_frame.f_code.co_filename).name}:{frames.tb_lineno}"
    return f"{type(error).__name__}: {error}{where}"


def _fast_directory() -> str | None:
    """Memory, where the system has it: what is synced there costs nothing."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
