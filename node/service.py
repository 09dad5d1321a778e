"""A node as a service: its attachments, and beside them whoever may ask it, tell it, or watch over it.

serve_node
├── run_node            ends first (`node.supervisor`)
└── around it, for as long as it takes to end:
    ├── serve_control   the control socket
    ├── _reload_at      each SIGHUP
    ├── _tell_of_stop   to the service manager
    └── keep_watchdog
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

import attrs
import trio

from moltnet.systemd import ServiceManager
from node.config import NodeConfig
from node.control import serve_control
from node.recent_logs import keep_recent_logs
from node.supervisor import Node, Reloaded, ReloadRefused, run_node


@attrs.frozen
class _Service:
    node: Node
    manager: ServiceManager

    async def reload(self) -> Reloaded:
        """See `Node.reload`; the service manager knows of it."""
        self.manager.reloading()
        try:
            return await self.node.reload()
        finally:
            self.tell_ready()

    def tell_ready(self) -> None:
        self.manager.ready(f"{len(self.node.config.attachments)} attachments")


async def serve_node(
    config: NodeConfig,
    load: Callable[[], NodeConfig],
    hangups: trio.MemoryReceiveChannel[None],
    environ: Mapping[str, str],
    drain: trio.Event,
) -> None:
    """Run a node until `drain` is set and it has ended; `load` reads its file again, `hangups` says when."""
    manager = ServiceManager.of_environment(environ)
    with keep_recent_logs() as logs:
        async with trio.open_nursery() as around:
            async with trio.open_nursery() as running:
                node: Node = await running.start(partial(run_node, config, drain=drain, environ=environ, load=load))
                service = _Service(node, manager)
                await around.start(serve_control, node, service.reload, logs)
                around.start_soon(_reload_at, hangups, service)
                around.start_soon(_tell_of_stop, drain, manager)
                around.start_soon(manager.keep_watchdog)
                service.tell_ready()
            around.cancel_scope.cancel(reason="the node has ended")


async def _reload_at(hangups: trio.MemoryReceiveChannel[None], service: _Service) -> None:
    async for _ in hangups:
        with suppress(ReloadRefused):  # logged, and everything is as it was
            await service.reload()


async def _tell_of_stop(drain: trio.Event, manager: ServiceManager) -> None:
    await drain.wait()
    manager.stopping()
