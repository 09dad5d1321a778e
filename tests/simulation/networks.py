"""What a world is built of: one network with everybody who uses it, and the node of the first one."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import attrs

from moltnet.config.settings import AuthMode, MoltnetConfig, NetworkSettings, PairingSettings
from moltnet.protocol.ids import NetworkId, RoomId
from moltnet.protocol.messages import Target
from tests.fakes.network import network_config, room, token
from tests.simulation.actors import (
    AttachedAgent,
    Caller,
    Operator,
    ReadingBack,
    Sender,
    Streaming,
    to_direct,
    to_room,
    to_thread,
)
from tests.simulation.hosts import PORT, ServerHost
from tests.simulation.nodes import NodeHost, Programs
from tests.simulation.stores import Disk
from tests.simulation.truth import Reader, Truth

if TYPE_CHECKING:
    from tests.simulation.world import World

NETWORKS: Final = ("lab", "far", "third")
AGENTS: Final = ("alpha", "beta", "gamma")
WORKERS: Final = ("worker-1", "worker-2", "worker-3")
STABLE, CHANGING, CLOSED = "general", "changing", "closed"


@attrs.define(eq=False)
class SimNetwork:
    """One network of a world."""

    host: ServerHost
    truth: Truth
    senders: list[Sender] = attrs.field(factory=list)
    attached: list[AttachedAgent] = attrs.field(factory=list)
    streaming: list[Streaming] = attrs.field(factory=list)
    reading: list[ReadingBack] = attrs.field(factory=list)
    operators: list[Operator] = attrs.field(factory=list)

    @property
    def callers(self) -> Sequence[Caller]:
        return [*self.senders, *self.attached, *self.streaming, *self.reading, *self.operators]

    @property
    def readers(self) -> Sequence[AttachedAgent | Streaming]:
        return [*self.attached, *self.streaming]


def build_network(world: "World", name: str, partners: Sequence[str]) -> SimNetwork:
    plan = world.plan
    directory = None
    if plan.sqlite:
        directory = world.directory / name
        directory.mkdir()
    network_id = NetworkId(name)
    truth = Truth(network_id, world.steps)
    disk = Disk(network_id, directory, truth)
    config = _config(network_id, partners, plan.window)
    host = ServerHost(name, config, disk, world.wires, world.trace, world.judge, world.rng(f"host {name}"))
    world.wires.address_of(f"{name}.sim")
    network = SimNetwork(host, truth)
    direct = to_direct("dm-1", "alpha", "beta")
    common = (host, truth, world.judge)
    for number in range(plan.senders):
        agent = AGENTS[number]
        targets: list[Target] = [to_room(STABLE), to_room(STABLE), to_thread(STABLE, f"of-{name}", "")]
        targets += [direct] if agent in direct.participant_ids else []
        sender = Sender(agent, *common, world.rng(f"{name} sender {number}"), agent, targets=targets)
        sender.forbidden = [to_room(CHANGING), to_room(CLOSED)]
        sender.mentions = [*(each for each in AGENTS if each != agent), *WORKERS[: plan.node_agents]]
        network.senders.append(sender)
    for number in range(plan.attached):
        rng = world.rng(f"{name} attached {number}")
        attached = AttachedAgent(AGENTS[number], *common, rng, AGENTS[number], window=plan.window)
        attached.slowness_seconds = rng.choice((0.0, 0.1, 2.0))
        network.attached.append(attached)
    for number in range(plan.streaming):
        rng = world.rng(f"{name} streaming {number}")
        as_whom = ("observer", "gamma")[number]
        reader = Reader(as_whom, frozenset() if number == 0 else frozenset({"gamma"}), observes=number == 0)
        stream = Streaming(as_whom, *common, rng, reader=reader)
        stream.slowness_seconds = rng.choice((0.0, 0.0, 0.5))
        network.streaming.append(stream)
    everything = [to_room(STABLE), direct]
    network.reading.append(ReadingBack("observer", *common, world.rng(f"{name} reading"), targets=everything))
    if plan.churn:
        rng = world.rng(f"{name} operator")
        network.operators.append(Operator("ops", *common, rng, room_ids=[CHANGING], agent_ids=["beta", "gamma"]))
        closed = [to_room(CHANGING), to_room(CLOSED)]
        network.senders.append(Sender("ops", *common, world.rng(f"{name} ops"), "alpha", targets=closed))
    return network


def build_node(world: "World", network: SimNetwork) -> NodeHost:
    directory = world.directory / "node"
    directory.mkdir()
    rng = world.rng("node")
    programs = Programs(
        network.host,
        network.truth,
        world.judge,
        world.trace,
        world.rng("programs"),
        STABLE,
        rng.choice((0.0, 1.0, 8.0)),
    )
    world.judge.hear = programs.hear
    agents = WORKERS[: world.plan.node_agents]
    node = NodeHost("node.sim", agents, directory, programs, world.wires, world.trace, world.judge, rng)
    node.slowest_disk_seconds = rng.choice((0.0, 0.02, 0.5))
    return node


def _config(network_id: NetworkId, partners: Iterable[str], window: int) -> MoltnetConfig:
    agents = (*AGENTS, *WORKERS)
    pair_tokens = (attrs.evolve(token(f"of-{each}", "pair"), network=NetworkId(each)) for each in partners)
    visitors = [f"{partner}:{agent}" for partner in partners for agent in agents]
    config = network_config(
        mode=AuthMode.BEARER,
        tokens=[
            *(token(each, "write attach", each) for each in agents),
            token("observer", "observe"),
            token("ops", "observe write admin"),
            *pair_tokens,
        ],
        rooms=[room(STABLE, *agents, *visitors), room(CHANGING, "alpha"), room(CLOSED, "nobody")],
        delivery_window=window,
    )
    return attrs.evolve(
        config,
        network=NetworkSettings(network_id, network_id.title()),
        pairings=tuple(_pairing(network_id, partner) for partner in partners),
    )


def _pairing(own_id: str, partner: str) -> PairingSettings:
    return PairingSettings(
        f"to_{partner}",
        f"http://{partner}.sim:{PORT}",
        partner,
        token=token(f"of-{own_id}", "pair").value,
        rooms=frozenset({RoomId(STABLE)}),
        allow_private_address=True,
    )
