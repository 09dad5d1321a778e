"""Nodes for tests: configurations without files, and children that do what a test tells them."""

from collections import deque
from collections.abc import Mapping
from pathlib import Path

import attrs
import trio

from bridge.config import AttachmentConfig
from bridge.desk import Desk
from bridge.status import AttachmentStatus
from moltnet.protocol.ids import AgentId
from node.config import NodeConfig
from tests.fakes.attachments import attachment_config


@attrs.define(eq=False)
class Children:
    """In the place of `run_attachment`. Each start of an agent takes the next of its `ends`; without one it runs until
    the drain. An end is what the child raises after that many seconds."""

    ends: dict[str, deque[tuple[float, Exception]]] = attrs.field(factory=dict)
    starts: dict[str, list[float]] = attrs.field(factory=dict)
    running: set[str] = attrs.field(factory=set)

    def fail(self, agent_id: str, error: Exception, after_seconds: float = 0.0, times: int = 1) -> None:
        self.ends.setdefault(agent_id, deque()).extend([(after_seconds, error)] * times)

    async def run(
        self,
        config: AttachmentConfig,
        *,
        drain: trio.Event,
        status: AttachmentStatus,
        environ: Mapping[str, str],
        node_slots: trio.CapacityLimiter,
        desk: Desk,
    ) -> None:
        agent_id = config.agent.id
        self.starts.setdefault(agent_id, []).append(trio.current_time())
        ends = self.ends.get(agent_id)
        self.running.add(agent_id)
        try:
            if ends:
                after_seconds, error = ends.popleft()
                await trio.sleep(after_seconds)
                raise type(error)(*error.args)
            status.attached()
            await drain.wait()
        finally:
            self.running.remove(agent_id)


def node_config(directory: Path, *agent_ids: str) -> NodeConfig:
    attachments = []
    for agent_id in agent_ids:
        (directory / agent_id).mkdir()
        config = attachment_config(directory / agent_id)
        attachments.append(attrs.evolve(config, agent=attrs.evolve(config.agent, id=AgentId(agent_id))))
    return NodeConfig(tuple(attachments), directory / "MoltnetNode", directory / "state")
