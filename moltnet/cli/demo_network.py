"""What the demo runs: a network on a free port of this machine, and a node with the two agents.

Both are the real ones, made from settings instead of configuration files. What is said lives in ``demo_script``, who
tells it in ``demo_story``.
"""

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import trio

from moltnet.app import open_app
from moltnet.cli.demo_script import AGENTS
from moltnet.cli.demo_story import Fact, TurnBegan, TurnFailed
from moltnet.config.settings import (
    FileStorage,
    MoltnetConfig,
    NetworkSettings,
    RoomSettings,
    ServerSettings,
    StorageKind,
    StorageSettings,
)
from moltnet.config.urls import LOOPBACK_HOST, ListenAddress, derived_origins
from moltnet.config.wake import WakePolicy, WakeRule
from moltnet.protocol.ids import AgentId, NetworkId, RoomId
from moltnet.serving import open_sockets, serve

NETWORK: Final = NetworkId("demo")
ROOM: Final = RoomId("lounge")
# How long an agent may be told to think. Longer, and the audience leaves.
MAX_PACE_SECONDS: Final = 20.0
# A program that hangs must not hold the demo.
TURN_SECONDS: Final = MAX_PACE_SECONDS + 20.0


@asynccontextmanager
async def open_network(directory: Path) -> AsyncIterator[str]:
    """Serve a network whose database lies in ``directory``; yields its URL. Leaving the block drains it."""
    sockets = open_sockets(ListenAddress(LOOPBACK_HOST, 0))
    address = ListenAddress(LOOPBACK_HOST, sockets[0].getsockname()[1])
    config = MoltnetConfig(
        network=NetworkSettings(NETWORK, "Moltnet demo"),
        # The console may post from a page that this very server has served.
        server=ServerSettings(listen_addr=address, allowed_origins=derived_origins(address)),
        storage=StorageSettings(StorageKind.SQLITE, FileStorage(directory / "network" / "moltnet.db")),
        rooms=(RoomSettings(ROOM, "Lounge", tuple(sorted(AGENTS))),),
    )
    stop = trio.Event()
    async with open_app(config) as app, trio.open_nursery() as nursery:
        await nursery.start(partial(serve, app, sockets, stop=stop))
        yield f"http://{address}"
        stop.set()


@asynccontextmanager
async def open_node(
    directory: Path, url: str, pace_seconds: float, tell: Callable[[Fact], None]
) -> AsyncIterator[None]:
    """Run a node with all agents of the demo, whose workspaces and state lie in ``directory``; ``tell`` hears of turns.

    Leaving the block lets turns end; cancelled, or left by an exception, it cuts them. No process of an agent outlives
    the block either way.
    """
    from bridge.config import (
        AgentSettings,
        AttachmentConfig,
        RoomBinding,
        RuntimeConfig,
        RuntimeKind,
        ServerLink,
    )
    from bridge.loop import run_attachment
    from bridge.runtimes.registry import open_runtime
    from bridge.runtimes.runtime import Runtime, Turn
    from bridge.runtimes.runtime import TurnFailed as TurnUnfinished
    from node.config import NodeConfig
    from node.supervisor import run_node

    def attachment(agent_id: str) -> AttachmentConfig:
        workspace = directory / "agents" / agent_id
        workspace.mkdir(parents=True)
        return AttachmentConfig(
            agent=AgentSettings(AgentId(agent_id), agent_id.title()),
            server=ServerLink(url, NETWORK),
            runtime=RuntimeConfig(
                RuntimeKind.COMMAND,
                # -P: the workspace is the agent's own, and no place to import from.
                command=(sys.executable, "-P", "-m", "moltnet.cli.demo_agent", str(pace_seconds)),
                turn_seconds=TURN_SECONDS,
                workspace_path=workspace,
            ),
            rooms=(RoomBinding(ROOM, WakeRule(WakePolicy.MENTIONS)),),
            state_dir=directory / "node" / agent_id,
        )

    class WatchedRuntime:
        """The agent's runtime, with somebody looking on."""

        def __init__(self, runtime: Runtime, agent_id: str) -> None:
            self._runtime = runtime
            self._agent_id = agent_id

        async def run_turn(self, turn: Turn) -> None:
            tell(TurnBegan(self._agent_id, turn.message_id, trio.current_time()))
            try:
                await self._runtime.run_turn(turn)
            except TurnUnfinished as failure:
                tell(TurnFailed(self._agent_id, failure.reason))
                raise

    @asynccontextmanager
    async def open_watched(config: AttachmentConfig) -> AsyncIterator[Runtime]:
        async with open_runtime(config) as runtime:
            yield WatchedRuntime(runtime, config.agent.id)

    config = NodeConfig(tuple(map(attachment, AGENTS)), source=directory, state_path=directory / "node")
    drain = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(
            partial(
                run_node,
                config,
                drain=drain,
                environ=os.environ,
                run_attachment=partial(run_attachment, open_runtime=open_watched),
            )
        )
        yield
        drain.set()
