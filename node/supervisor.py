"""Many attachments in one process, each on its own: restart, back off, park, change, stop.

The tasks of a node::

    run_until_signalled                  first signal: drain; second: cancel (`bridge.signals`)
    ├── _listen
    └── run_node                         ends when all children have drained
        ├── child alpha                  `node.child`, and everything of the agent under it
        │   └── run_attachment           (`bridge.loop` draws on from here)
        ├── child beta
        └── …

A child that fails is started again, one that is refused is parked and looks again later; its siblings do not notice.
What they share is the number of turns that may run at once. A changed file is taken over child by child (`reload`).
"""

from collections.abc import Callable, Mapping

import attrs
import trio

from bridge.config import AttachmentConfig
from bridge.loop import run_attachment
from bridge.status import AttachmentStatus
from moltnet.config.problems import ConfigError
from moltnet.log import get_logger
from node.child import Child, RunAttachment
from node.config import NodeConfig
from node.notices import attachment_notices, node_notices

log = get_logger("node")


class ReloadRefused(Exception):
    """Nothing was changed. The text says why, a line for each problem."""


@attrs.frozen
class Reloaded:
    """What a reload did, by agent ids. `nudged` were waiting to be tried again, and are tried now."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    restarted: tuple[str, ...] = ()
    nudged: tuple[str, ...] = ()
    unchanged: int = 0
    notices: tuple[str, ...] = ()


@attrs.define(eq=False)
class Node:
    """The attachments of a running node. Its children run in the nursery that is given."""

    config: NodeConfig
    drain: trio.Event
    slots: trio.CapacityLimiter
    _environ: Mapping[str, str]
    _run: RunAttachment
    _load: Callable[[], NodeConfig] | None
    _nursery: trio.Nursery
    children: dict[str, Child] = attrs.field(factory=dict, init=False)
    """By agent id, in the order of the file; those that were removed and still drain among them."""
    _reloading: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    @property
    def statuses(self) -> dict[str, AttachmentStatus]:
        return {agent_id: child.status for agent_id, child in self.children.items()}

    def start(self, config: AttachmentConfig) -> None:
        """Begin with an attachment whose agent has none."""
        child = self.children[config.agent.id] = Child(config, self._run, self._environ, self.slots)
        self._nursery.start_soon(self._supervise, child, name=f"child {config.agent.id}")

    async def _supervise(self, child: Child) -> None:
        await child.supervise()
        if child.wanted is None:
            del self.children[child.config.agent.id]

    async def reload(self) -> Reloaded:
        """Read the file again and go on with it: add, remove and restart what changed, try again what waits.

        Returns when that has begun; running turns may end first. Raises `ReloadRefused`, and then nothing was changed.
        """
        async with self._reloading:
            if self._load is None:
                raise ReloadRefused("this node has no file to read again")
            try:
                config = await trio.to_thread.run_sync(self._load)
            except ConfigError as error:
                log.warning("reload refused", reason="the file has problems", problems=str(error).splitlines())
                raise ReloadRefused(f"nothing was changed, the file has problems:\n{error}") from None
            if config.state_path != self.config.state_path:
                log.warning("reload refused", reason="a restart is needed", changed=["state_path"])
                raise ReloadRefused("nothing was changed, because this needs a restart: state_path")
            # Children may end while we look at the tokens of the others.
            present = tuple(self.children.items())
            renewed = {agent_id for agent_id, child in present if await child.has_new_token()}
            # After the drain has begun nobody would end what begins now.
            if self.drain.is_set():
                raise ReloadRefused("nothing was changed, the node is stopping")
            done = self._adopt(config, renewed)
        log.info("reloaded", **attrs.asdict(done, filter=attrs.filters.exclude("notices")))
        for notice in done.notices:
            log.warning(notice)
        return done

    def _adopt(self, config: NodeConfig, renewed: set[str]) -> Reloaded:
        """Go on with `config`, in one step. `renewed` are children whose token is another one now."""
        before = {agent_id: child.wanted for agent_id, child in self.children.items() if child.wanted is not None}
        wanted: dict[str, AttachmentConfig] = {attachment.agent.id: attachment for attachment in config.attachments}
        added = tuple(agent_id for agent_id in wanted if agent_id not in before)
        removed = tuple(agent_id for agent_id in before if agent_id not in wanted)
        waiting = {agent_id for agent_id in before if self.children[agent_id].status.retry_at is not None}
        restarted = tuple(
            agent_id
            for agent_id, attachment in wanted.items()
            if agent_id in before and (before[agent_id] != attachment or agent_id in renewed - waiting)
        )
        self.config, self.slots.total_tokens = config, config.parallel_turns
        for agent_id in (*added, *restarted):
            if agent_id in self.children:
                self.children[agent_id].want(wanted[agent_id])
            else:
                self.start(wanted[agent_id])
        for agent_id in removed:
            self.children[agent_id].want(None)
        nudged = tuple(agent_id for agent_id in wanted if agent_id in waiting and agent_id not in restarted)
        for agent_id in nudged:
            self.children[agent_id].nudge()
        return Reloaded(
            added,
            removed,
            restarted,
            nudged,
            unchanged=len(wanted) - len(added) - len(restarted) - len(nudged),
            notices=tuple(
                f"{agent_id}: {notice}"
                for agent_id in (*added, *restarted)
                for notice in attachment_notices(wanted[agent_id], self._environ)
            ),
        )


async def run_node(
    config: NodeConfig,
    *,
    drain: trio.Event,
    environ: Mapping[str, str],
    run_attachment: RunAttachment = run_attachment,
    load: Callable[[], NodeConfig] | None = None,
    task_status: trio.TaskStatus[Node] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run all attachments of a node until `drain` is set and they have ended. Without any, just wait for the drain.

    `load` reads the file again, for a reload. `task_status` gets the node when every attachment has its task; whether
    one is attached is in its status.
    """
    log.info("node starting", attachments=len(config.attachments), config=str(config.source))
    for notice in node_notices(config, environ):
        log.warning(notice)
    slots = trio.CapacityLimiter(config.parallel_turns)
    async with trio.open_nursery() as nursery:
        node = Node(config, drain, slots, environ, run_attachment, load, nursery)
        for attachment in config.attachments:
            node.start(attachment)
        task_status.started(node)
        await drain.wait()
        for child in node.children.values():
            child.end()
    log.info("node stopped")
