"""Faults of the network, one scenario each: ``python -m tests.faults.inside SCENARIO DIRECTORY``, in namespaces.

`test_network` starts this with `unshare`, as the root of a network and of mounts of its own: nothing that happens here
reaches the machine. Server and node are the programs as users start them; the server is at the far end of the wire.
"""

import os
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import attrs
import trio

from tests.faults.wire import FAR, Wire, open_wire
from tests.faults.world import World

SEED: Final = int(os.environ.get("MOLTNET_FAULTS_SEED", "1"))
# Longer than both halves of an attachment wait for a sign of life.
CUT_SECONDS: Final = 13.0
SLOW_NAME_SECONDS: Final = 3.0
NAME: Final = "server.test"


async def delay_and_loss(directory: Path) -> None:
    """Each packet takes 60 ms, and every twelfth is lost: slower, and nothing else."""
    async with open_wire(SEED) as wire:
        world = far_world(directory, wire)
        async with world.run() as (server, node):
            wire.delay_seconds, wire.loss = 0.06, 1 / 12
            await world.say(20)
            await world.wait_done()
            wire.heal()
            await world.say(2)
            await world.check()
            assert wire.lost > 10, wire
            assert (await node.stop(), await server.stop()) == (0, 0)


async def cut(directory: Path) -> None:
    """Nothing passes for longer than anybody waits; people at the server's end go on meanwhile."""
    await _cut(directory, to_far=True, to_near=True)


async def cut_towards_node(directory: Path) -> None:
    """What the server says is lost, what it is told arrives."""
    await _cut(directory, to_far=False, to_near=True)


async def cut_towards_server(directory: Path) -> None:
    """What the server is told is lost, what it says arrives."""
    await _cut(directory, to_far=True, to_near=False)


async def _cut(directory: Path, *, to_far: bool, to_near: bool) -> None:
    async with open_wire(SEED) as wire:
        world = far_world(directory, wire)
        async with world.run() as (server, node):
            await world.say(3)
            await world.wait_done()
            wire.cut_to_far, wire.cut_to_near = to_far, to_near
            async with trio.open_nursery() as nursery:
                # Said again and again from here, until the network is back.
                nursery.start_soon(lambda: world.say(3))
                await say_at_the_far_end(world, wire, "far-1")
                await trio.sleep(CUT_SECONDS)
                await say_at_the_far_end(world, wire, "far-2")
                wire.heal()
            await world.say(3)
            await world.check()
            assert node.log().count("no connection, trying again") >= world.agents
            assert (await node.stop(), await server.stop()) == (0, 0)


async def slow_names(directory: Path) -> None:
    """The resolver takes seconds for each answer, and loses the first: all agents come, and a stop is prompt."""
    async with open_wire(SEED) as wire, trio.open_nursery() as nursery:
        resolver = Resolver(SLOW_NAME_SECONDS)
        await nursery.start(resolver.serve)
        hosts = directory / "resolv.conf"
        hosts.write_text("nameserver 127.0.0.1\noptions timeout:5 attempts:3\n")
        await trio.run_process(["mount", "--bind", str(hosts), "/etc/resolv.conf"])
        world = attrs.evolve(far_world(directory, wire), url_host=NAME)
        # The reader and the people of the test know the address; the node has the name.
        world.write()
        world = world.reached_at(FAR)
        async with world.run_server() as server, world.run_node() as node:
            await world.wait_attached()
            nursery.start_soon(world.read)
            await world.say(3)
            await world.wait_done()
            asked = resolver.answered
            assert asked >= 1
            wire.cut()
            await trio.sleep(CUT_SECONDS)
            resolver.delay_seconds = 3600.0
            wire.heal()
            # Nobody is told any address now, for as long as anybody cares; the node still ends when it is told to.
            await trio.sleep(2)
            with trio.fail_after(30):
                assert await node.stop() == 0
            assert world.errors("node.log") == []
            assert await server.stop() == 0
        nursery.cancel_scope.cancel()


def far_world(directory: Path, wire: Wire) -> World:
    return World(directory, host=FAR, server_under=wire.far)


async def say_at_the_far_end(world: World, wire: Wire, message_id: str) -> None:
    """As somebody whose network is not cut."""
    command = [*wire.far, sys.executable, "-m", "tests.faults.speak", world.url, message_id]
    finished = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
    assert finished.returncode == 0, finished.stderr.decode()
    world.said.append(message_id)


@attrs.define(eq=False)
class Resolver:
    """A name server of ours that knows one name, and takes its time."""

    delay_seconds: float
    answered: int = 0

    async def serve(self, task_status: trio.TaskStatus[None]) -> None:
        with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
            await listening.bind(("127.0.0.1", 53))
            task_status.started()
            asked = 0
            async with trio.open_nursery() as nursery:
                while True:
                    question, caller = await listening.recvfrom(512)
                    asked += 1
                    if asked > 1:  # the first is lost
                        nursery.start_soon(self._answer, listening, question, caller)

    async def _answer(self, listening: trio.socket.SocketType, question: bytes, caller: tuple[str, int]) -> None:
        await trio.sleep(self.delay_seconds)
        end = question.index(b"\0", 12) + 5
        kind = int.from_bytes(question[end - 4 : end - 2], "big")
        is_address = kind == 1
        head = question[:2] + struct.pack("!HHHHH", 0x8180, 1, int(is_address), 0, 0)
        record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + socket.inet_aton(FAR) if is_address else b""
        await listening.sendto(head + question[12:end] + record, caller)
        self.answered += 1


SCENARIOS: Final[Mapping[str, Callable[[Path], Awaitable[None]]]] = {
    scenario.__name__: scenario for scenario in (delay_and_loss, cut, cut_towards_node, cut_towards_server, slow_names)
}

if __name__ == "__main__":
    trio.run(SCENARIOS[sys.argv[1]], Path(sys.argv[2]))
