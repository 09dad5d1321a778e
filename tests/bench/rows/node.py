"""A node with 200 attachments, each with a program that is never started.

How long it takes until all are attached, what they hold and take in the node, what an event costs that wakes nobody.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from tests.bench.benchmark import Benchmark, Case
from tests.bench.contestants import Contestant, Started
from tests.bench.measurement import Load
from tests.bench.processes import open_generator, running
from tests.bench.rows.stages import Called, Served
from tests.bench.servers import ServerEnded, Target, new_directory, setup_for, write_private
from tests.bench.settings import Settings

POSTS: Final = 20
PATIENCE_SECONDS: Final = 60.0
SETTLE_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.02


@attrs.frozen
class _Noded(Served):
    """A server, and a node as the contestant's own command runs one: its ``pid``, and how long it took."""

    node: Target
    attached_seconds: float
    attached_cpu_seconds: float


@asynccontextmanager
async def _open(contestant: Contestant, settings: Settings) -> AsyncIterator[_Noded]:
    assert isinstance(contestant, Started)
    count = settings.node_attachments
    with new_directory() as here, new_directory() as there:
        async with contestant.open(there, setup_for(settings, members=count)) as target:
            path, log_path = Path(here, "MoltnetNode"), Path(here, "node.log")
            write_private(path, _config(target, here, count))
            # Nothing else waits for this disk.
            with log_path.open("wb") as log:  # noqa: ASYNC230
                began = trio.current_time()
                async with running(
                    contestant.node_command, patience_seconds=15, cwd=here, stdout=log, stderr=log,
                    env=contestant.inherited(),
                ) as process:  # fmt: skip
                    node = attrs.evolve(target, pid=process.pid)
                    with trio.move_on_after(PATIENCE_SECONDS) as waiting:
                        while await _connected(target) < count:
                            if process.returncode is not None:
                                raise ServerEnded(log_path.read_text())  # noqa: ASYNC240
                            await trio.sleep(_POLL_SECONDS)
                    if waiting.cancelled_caught:
                        raise ServerEnded(f"the node attached nobody: {log_path.read_text()[-500:]}")  # noqa: ASYNC240
                    yield _Noded(target, settings, node, trio.current_time() - began, node.cpu_seconds())


def _config(target: Target, directory: str, count: int) -> dict[str, Any]:
    attachments = []
    for number in range(count):
        workspace = Path(directory, f"agent-{number}").resolve()
        workspace.mkdir()
        attachments.append(
            {
                "agent": {"id": f"agent-{number}", "name": f"Agent {number}"},
                "runtime": {"kind": "codex", "command": "/bin/true", "workspace_path": str(workspace)},
                "rooms": [{"id": "general", "wake": "mentions"}],
            }
        )
    moltnet = {
        "base_url": target.url,
        "network_id": target.network_id,
        "auth_mode": "bearer",
        "token": target.attach_token,
    }
    return {"version": "moltnet.node.v1", "moltnet": moltnet, "attachments": attachments}


async def _connected(target: Target) -> int:
    """How many agents the server has attachments of."""
    request = target.get("/v1/agents?limit=500")
    stream = await trio.open_tcp_stream(str(target.address["host"]), int(target.address["port"]))
    async with stream:
        await stream.send_all(request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").encode())
        answer = b"".join([part async for part in stream])
    return answer.count(b'"connected":true')


async def _attached(stage: _Noded) -> Load:
    """Counted when the stage was opened. The CPU time and the memory are the node's."""
    count = stage.settings.node_attachments
    await trio.sleep(SETTLE_SECONDS)
    return Load(
        count,
        stage.attached_seconds,
        (stage.attached_seconds * 1000,),
        stage.attached_cpu_seconds,
        0.0,
        stage.node.memory_kib() / count,
    )


async def _idle(stage: _Noded) -> Load:
    seconds = stage.settings.idle_seconds * 2
    before = stage.node.cpu_seconds()
    await trio.sleep(seconds)
    cpu_seconds = stage.node.cpu_seconds() - before
    return Load(max(1, round(stage.settings.node_attachments * seconds)), seconds, (), cpu_seconds, 0.0)


async def _ignored(stage: _Noded) -> Load:
    """Posts one after the other, and then so long as everybody needs to see that it is none of its business."""
    before = stage.node.cpu_seconds()
    async with open_generator("callers") as callers:
        load = await Called(stage.target, stage.settings, callers).call(stage.target.post, 1, amount=POSTS)
    await trio.sleep(SETTLE_SECONDS)
    cpu_seconds = stage.node.cpu_seconds() - before
    return attrs.evolve(
        load, amount=POSTS * stage.settings.node_attachments, server_cpu_seconds=cpu_seconds, latencies_ms=()
    )


def _cases(settings: Settings) -> Sequence[Case[_Noded]]:
    name = f"node with {settings.node_attachments} attachments"
    return [
        Case(f"{name}, all attached", "attachments", _attached, turns=1),
        Case(f"{name}, idle", "seconds attached", _idle),
        Case(f"{name}, events that wake nobody", "events", _ignored),
    ]


NODE: Final = Benchmark("node", "a node with many attachments", _open, _cases, needs_start=True)
