"""One worker of a crew: a server like any other, whose sockets, and storage perhaps, another process holds.

Started by ``moltnet.workers.crew`` as ``python -m moltnet.workers.worker NUMBER LINK SOCKET…``, with descriptors that
it inherits. It reads the configuration itself, as ``moltnet start`` does.
"""

import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import structlog
import trio

from moltnet.app import App, configured_store, open_app_on
from moltnet.config.problems import ConfigError
from moltnet.config.server import load_server_config
from moltnet.config.settings import MoltnetConfig, StorageKind
from moltnet.http.metrics import own_metrics
from moltnet.log import configure, get_logger, leaves_of
from moltnet.serving import allow_many_connections, reload_on_hangup, serve, settle_memory, stop_on_signals
from moltnet.storage.hosted.guest import open_guest
from moltnet.storage.hosted.link import Link
from moltnet.storage.store import StorageError, Store
from moltnet.systemd import ServiceManager

log = get_logger("workers")

CONFIG_PROBLEMS = 2
STORAGE_PROBLEMS = 1


@attrs.frozen(eq=False)
class CrewPeers:
    """What ``App.peers`` promises: the crew tells the others."""

    link: Link

    def reload(self) -> None:
        self.link.tell("reloaded")

    async def metrics(self, own: str) -> str:
        text: str = await self.link.call("all_metrics", own)
        return text


async def run_worker(config: MoltnetConfig, link: Link, sockets: Sequence[socket.socket]) -> None:
    """Serve until a signal comes, or the crew is gone. Raises a group with ``StorageError``."""
    allow_many_connections()
    load = partial(load_server_config, config.source, os.environ, Path.cwd())
    link.answers = {"alive": _alive}
    async with stop_on_signals() as stop, trio.open_nursery() as nursery:
        nursery.start_soon(_stop_without_crew, link, stop)
        async with _open_store(config, link) as store, open_app_on(store, config, load=load) as app:
            app.peers = CrewPeers(link)
            link.answers = {**link.answers, "metrics": partial(_metrics, app)}
            settle_memory()
            async with trio.open_nursery() as serving:
                await serving.start(reload_on_hangup, app, stop, ServiceManager())
                await serving.start(partial(_serve, app, sockets, stop, serving))
                link.tell("ready")
        nursery.cancel_scope.cancel(reason="the server has stopped")


async def _serve(
    app: App,
    sockets: Sequence[socket.socket],
    stop: trio.Event,
    serving: trio.Nursery,
    *,
    task_status: trio.TaskStatus[list[str]],
) -> None:
    await serve(app, sockets, stop=stop, task_status=task_status)
    serving.cancel_scope.cancel(reason="the server has stopped")


async def _stop_without_crew(link: Link, stop: trio.Event) -> None:
    await link.run()
    if not stop.is_set():
        log.warning("the process that keeps this worker is gone")
    stop.set()


async def _alive() -> None:
    """The answer is all that is asked for."""
    await trio.lowlevel.checkpoint()


async def _metrics(app: App) -> str:
    text, _ = await own_metrics(app)
    return text.decode()


@asynccontextmanager
async def _open_store(config: MoltnetConfig, link: Link) -> AsyncIterator[Store]:
    if config.storage.kind is StorageKind.POSTGRES:
        async with configured_store(config) as store:
            yield store
    else:
        async with open_guest(link, config.network.id) as guest:
            yield guest


async def _run(config: MoltnetConfig, link_descriptor: int, sockets: Sequence[socket.socket]) -> None:
    ours = trio.socket.from_stdlib_socket(socket.socket(fileno=link_descriptor))
    await run_worker(config, Link(trio.SocketStream(ours)), sockets)


def main(arguments: Sequence[str]) -> int:
    """The program. Returns its exit code."""
    number, link_descriptor, *descriptors = map(int, arguments)
    structlog.contextvars.bind_contextvars(worker=number)
    try:
        config = load_server_config(None, os.environ, Path.cwd())
    except ConfigError as error:
        print(error, file=sys.stderr)
        return CONFIG_PROBLEMS
    configure(format=config.log.format.value, level=config.log.level.value)
    sockets = [socket.socket(fileno=descriptor) for descriptor in descriptors]
    code = 0
    try:
        trio.run(_run, config, link_descriptor, sockets)
    except* StorageError as group:
        for failure in leaves_of(group):
            print(f"moltnet: {failure}", file=sys.stderr)
        code = STORAGE_PROBLEMS
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
