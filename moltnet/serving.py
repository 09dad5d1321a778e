"""Our own runner: listening sockets, a nursery of connections, signals, and a polite end in bounded time.

    serve
    ├── _cut_the_stuck            closes sockets, the last resort
    ├── _look_after               ends what is overdue on the fast lane
    └── connections               one task each: `moltnet.lane.connection` first, then `moltnet.http.connection`
        └── trio.serve_listeners  ends first

Plain ``hypercorn -k trio moltnet.asgi:app`` serves the same application. What only this runner adds: an error on one
connection ends no other, attachments and streams are told goodbye before connections are cut, and a peer that stops
reading holds nothing up.
"""

import gc
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from functools import partial

import trio
from hypercorn.config import Config

from moltnet.app import App
from moltnet.asgi import NetworkAsgi
from moltnet.config.urls import ListenAddress
from moltnet.core.errors import Refused
from moltnet.http.client_address import connection_source
from moltnet.http.connection import Connections
from moltnet.journal import JournalClosed
from moltnet.lane.connection import Lane
from moltnet.lane.switch import is_wanted
from moltnet.log import get_logger
from moltnet.protocol import limits
from moltnet.reload import reload
from moltnet.storage.store import StorageError
from moltnet.systemd import ServiceManager

log = get_logger("server")

# Accepted connections that wait for us; a burst of a thousand attachments must not be refused by the kernel.
BACKLOG = 2048
# What we wrote lies in the kernel, where only the kernel can see that the peer's host is gone. By default it takes
# a quarter of an hour to.
TCP_USER_TIMEOUT_MS = 10_000
# From the goodbye to cancelling what still runs. Longer than the close frame of an attachment may take.
GRACEFUL_SECONDS = 2 * limits.CLOSE_SECONDS
KEEP_ALIVE_SECONDS = 60
# A client may send its whole day through one connection.
KEEP_ALIVE_REQUESTS = 1_000_000_000
_STDIN = 0


class CannotListen(Exception):
    """The address is in use, or not ours to use."""


def allow_many_connections() -> int:
    """Raise this process's limit of open files as far as the system lets us; returns what it then is.

    Each connection takes one. The usual soft limit of 1024 protects programs that use ``select``, which we don't.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # some systems say "no limit" and do not mean it
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return allowed


def settle_memory() -> None:
    """To be called once a server is made: what exists now lives as long as the process.

    Fewer passes of the garbage collector over all that is alive keep its pauses short.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def open_sockets(address: ListenAddress, *, shared: bool = False) -> list[socket.socket]:
    """Bound, listening sockets. An empty host means all addresses; ``shared``: others of ours may listen there too.

    Raises ``CannotListen``.
    """
    wanted = _families(address)
    sockets: list[socket.socket] = []
    port = address.port
    try:
        for family, where in wanted:
            sock = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TCP_USER_TIMEOUT_MS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
            sock.bind((where, port))
            # Port 0 lets the kernel choose; the next family then takes the same port.
            port = sock.getsockname()[1]
            sock.listen(BACKLOG)
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise CannotListen(f"can't listen on {address}: {error.strerror or error}") from error
    return sockets


def _families(address: ListenAddress) -> Sequence[tuple[socket.AddressFamily, str]]:
    if not address.host:
        every: list[tuple[socket.AddressFamily, str]] = [(socket.AF_INET, "0.0.0.0")]
        return [*every, (socket.AF_INET6, "::")] if socket.has_dualstack_ipv6() else every
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise CannotListen(f"can't listen on {address}: {error.strerror or error}") from error
    return list(dict.fromkeys((family, str(where[0])) for family, _, _, _, where in found))


def _hypercorn_config() -> Config:
    config = Config()
    config.keep_alive_timeout = KEEP_ALIVE_SECONDS
    config.keep_alive_max_requests = KEEP_ALIVE_REQUESTS
    config.websocket_max_message_size = limits.MAX_FRAME_BYTES
    config.include_server_header = False
    config.errorlog = None  # what it would write there, `moltnet.http.connection` tells our own log
    return config


async def serve(
    app: App,
    sockets: Sequence[socket.socket],
    *,
    stop: trio.Event,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until ``stop`` is set, then drain: no new connections, goodbye to readers, end of what still runs.

    Starts with the URLs it listens on. From ``stop`` it takes at most ``GRACEFUL_SECONDS`` and then ``CLOSE_SECONDS``.
    Cancelled, it ends without the first of these two.
    """
    listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(sock)) for sock in sockets]
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors != resource.RLIM_INFINITY:
        app.admission.fit(descriptors)

    def admit(peer: str) -> AbstractContextManager[bool]:
        return app.admission.connection(connection_source(peer, app.config.server.trusted_proxies))

    asgi, config = NetworkAsgi(app), _hypercorn_config()
    connections = Connections(asgi, config, admit)
    lane = Lane(asgi.front, config, connections.backlog, lambda: connections.is_draining)
    if is_wanted(os.environ):
        connections.connect = lane.connect
    async with trio.open_nursery() as serving:
        ended = trio.Event()
        serving.start_soon(_cut_the_stuck, connections, ended)
        serving.start_soon(_look_after, lane, ended)
        try:
            async with trio.open_nursery() as connected:
                async with trio.open_nursery() as listening:
                    accept = partial(trio.serve_listeners, connections.serve, listeners, handler_nursery=connected)
                    await listening.start(accept)
                    task_status.started([url_of(sock) for sock in sockets])
                    await stop.wait()
                    listening.cancel_scope.cancel(reason="the server stops")
                log.info("draining", attachments=len(app.gateway.registry), connections=len(connections))
                serving.cancel_scope.deadline = trio.current_time() + GRACEFUL_SECONDS
                app.drain()
                await connections.drain()
        finally:
            ended.set()


async def _look_after(lane: Lane, ended: trio.Event) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lane.look_after)
        await ended.wait()
        nursery.cancel_scope.cancel(reason="there are no connections left")


async def _cut_the_stuck(connections: Connections, ended: trio.Event) -> None:
    """Once all is cancelled, close the sockets of connections that do not end: a peer that takes nothing holds them."""
    try:
        await ended.wait()
    finally:
        with trio.move_on_after(limits.CLOSE_SECONDS, shield=True):
            await ended.wait()
        connections.cut()


def url_of(sock: socket.socket) -> str:
    """The address of a listening socket, as a client names it."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@asynccontextmanager
async def stop_on_signals() -> AsyncIterator[trio.Event]:
    """An event that SIGINT or SIGTERM sets. A second signal cancels the block."""
    stop = trio.Event()
    async with trio.open_nursery() as nursery:

        async def watch(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                task_status.started()
                async for _ in signals:
                    if stop.is_set():
                        nursery.cancel_scope.cancel(reason="second signal")
                    stop.set()

        await nursery.start(watch)
        yield stop
        nursery.cancel_scope.cancel(reason="the block is done")


async def tell_service_manager(app: App, manager: ServiceManager, stop: trio.Event) -> None:
    """Say that we serve, then that we live, and from ``stop`` on that we are about to end. Ends when cancelled."""
    manager.ready(_standing(app))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(manager.keep_watchdog)
        await stop.wait()
        manager.stopping()


def _standing(app: App) -> str:
    return f"serving {app.config.network.id}"


async def reload_on_hangup(
    app: App,
    stop: trio.Event,
    manager: ServiceManager,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Reload at every SIGHUP. What is wrong with the file goes to the log and changes nothing. Ends when cancelled."""

    async def take_over() -> None:
        try:
            await reload(app)
        except Refused:
            pass  # logged, and everything is as it was
        except (StorageError, JournalClosed) as error:
            log.warning("reload failed, nothing has changed", reason=str(error))

    await on_hangup(take_over, stop, manager, _standing(app), task_status=task_status)


async def on_hangup(
    act: Callable[[], Awaitable[None]],
    stop: trio.Event,
    manager: ServiceManager,
    standing: str,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Do something at every SIGHUP, and tell the service manager. Ends when cancelled.

    The same signal tells that the terminal was closed in which we run: then ``stop`` is set, as people expect it.
    """
    had_terminal = os.isatty(_STDIN)
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            if had_terminal and not os.isatty(_STDIN):
                stop.set()
                return
            manager.reloading()
            try:
                await act()
            finally:
                manager.ready(standing)
