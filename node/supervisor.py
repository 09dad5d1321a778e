"""Many attachments in one process, each on its own: restart, back off, park, stop.

The tasks of a node::

    run_until_signalled                  first signal: drain; second: cancel (`bridge.signals`)
    ├── _listen
    └── run_node                         ends when all children have drained
        ├── supervise alpha              a cancel scope of its own, and everything of the agent under it
        │   └── run_attachment           (`bridge.loop` draws on from here)
        ├── supervise beta
        └── …

A child that fails is started again, one that is refused is parked and looks again later; its siblings do not notice.
What they share is the number of turns that may run at once.
"""

from collections.abc import Awaitable, Iterator, Mapping
from typing import Protocol

import attrs
import trio

from bridge import limits
from bridge.config import AttachmentConfig
from bridge.errors import AttachRefused, StateInUse
from bridge.loop import run_attachment
from bridge.runtimes.runtime import RuntimeMisconfigured
from bridge.status import AttachmentStatus
from moltnet.backoff import backoff_delays
from moltnet.log import describe_error, get_logger
from node.config import NodeConfig
from node.notices import node_notices

log = get_logger("node")


class RunAttachment(Protocol):
    """See `bridge.loop.run_attachment`."""

    def __call__(
        self,
        config: AttachmentConfig,
        *,
        drain: trio.Event,
        status: AttachmentStatus,
        environ: Mapping[str, str],
        node_slots: trio.CapacityLimiter,
    ) -> Awaitable[None]: ...


@attrs.define(eq=False)
class Node:
    """The attachments of a running node, by agent id."""

    _environ: Mapping[str, str]
    _drain: trio.Event
    _run: RunAttachment
    statuses: dict[str, AttachmentStatus] = attrs.field(factory=dict, init=False)
    _scopes: dict[str, trio.CancelScope] = attrs.field(factory=dict, init=False)
    _slots: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(limits.TURNS_PER_NODE), init=False)

    async def supervise(self, config: AttachmentConfig) -> None:
        """Keep one attachment running until the drain, or until `stop`. Only cancellation gets out of here."""
        agent_id = config.agent.id
        status = self.statuses[agent_id] = AttachmentStatus(agent_id, config.server.network_id)
        try:
            with trio.CancelScope() as self._scopes[agent_id]:
                await self._keep_running(config, status)
        except Exception:  # of a child that fails while it is stopped; cancelled and failed together, it is a group
            log.exception("attachment failed while it was stopped", agent_id=agent_id)
        status.stopped()

    async def _keep_running(self, config: AttachmentConfig, status: AttachmentStatus) -> None:
        delays = _restart_delays()
        while not self._drain.is_set():
            began = trio.current_time()
            try:
                await self._run(config, drain=self._drain, status=status, environ=self._environ, node_slots=self._slots)
                return
            except (AttachRefused, RuntimeMisconfigured) as refusal:
                status.parked(refusal.reason, limits.PARKED_SECONDS)
                delay_seconds = limits.PARKED_SECONDS
            except StateInUse as taken:
                delay_seconds = next(delays)
                status.taken(str(taken), delay_seconds)
            except Exception as error:
                if trio.current_time() - began >= limits.HEALTHY_SECONDS:
                    delays = _restart_delays()
                delay_seconds = next(delays)
                status.backing_off(describe_error(error), delay_seconds)
                log.exception("attachment failed", agent_id=config.agent.id, retry_seconds=round(delay_seconds, 1))
            with trio.move_on_after(delay_seconds):
                await self._drain.wait()

    def stop(self, agent_id: str, reason: str) -> None:
        """End one attachment now; its siblings go on. `KeyError` if there is none."""
        self._scopes.pop(agent_id).cancel(reason=reason)


async def run_node(
    config: NodeConfig,
    *,
    drain: trio.Event,
    environ: Mapping[str, str],
    run_attachment: RunAttachment = run_attachment,
    task_status: trio.TaskStatus[Node] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run all attachments of a node until `drain` is set and they have ended. Without any, just wait for the drain.

    `task_status` gets the node when every attachment has its task; whether one is attached is in its status.
    """
    node = Node(environ, drain, run_attachment)
    log.info("node starting", attachments=len(config.attachments), config=str(config.source))
    for notice in node_notices(config, environ):
        log.warning(notice)
    async with trio.open_nursery() as nursery:
        for attachment in config.attachments:
            nursery.start_soon(node.supervise, attachment, name=f"supervise {attachment.agent.id}")
        task_status.started(node)
        await drain.wait()
    log.info("node stopped")


def _restart_delays() -> Iterator[float]:
    return backoff_delays(base_seconds=limits.RECONNECT_BASE_SECONDS, cap_seconds=limits.RECONNECT_CAP_SECONDS)
