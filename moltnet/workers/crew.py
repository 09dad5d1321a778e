"""The process that keeps the workers: their sockets, their storage, their lives.

    run_crew
    ├── Host.run                 commits for all workers, where a storage has room for one process only
    ├── on_hangup                SIGHUP → every worker
    └── Worker.run               one for each: a process, the link to it, again after it has died

Each worker has listening sockets of its own on the one address, and this process holds them too: the kernel spreads
connections over them, and who comes while a worker is started again waits for it. Workers are led by signals, as a
server is, and by the link, whose end tells a worker that this process is gone.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from functools import partial
from itertools import chain
from typing import Final, Protocol

import attrs
import trio

from moltnet.app import configured_store
from moltnet.backoff import backoff_delays
from moltnet.config.settings import MoltnetConfig, StorageKind
from moltnet.config.urls import ListenAddress
from moltnet.log import get_logger
from moltnet.serving import allow_many_connections, on_hangup, open_sockets, stop_on_signals, url_of
from moltnet.storage.hosted.host import Host
from moltnet.storage.hosted.link import Answer, Hear, Link, LinkLost
from moltnet.systemd import SOCKET_VARIABLE, WATCHDOG_PID_VARIABLE, WATCHDOG_VARIABLE, ServiceManager
from moltnet.workers.metrics import merged_metrics

log = get_logger("workers")

MAX_WORKERS: Final = 64
# From SIGTERM to SIGKILL: longer than a server takes to say goodbye to everybody.
STOP_SECONDS: Final = 15.0
RESTART_BASE_SECONDS: Final = 0.5
RESTART_CAP_SECONDS: Final = 30.0
# A worker that has lived for so long was well: the next one is started at once.
WELL_AFTER_SECONDS: Final = 60.0
# How often a worker is asked whether it lives, and how long it may take to say so. Connections that the kernel has
# given to one that is stuck wait until it is killed.
ALIVE_EVERY_SECONDS: Final = 5.0
ALIVE_SECONDS: Final = 30.0
# A worker that does not say in time what it counts is left out.
METRICS_SECONDS: Final = 5.0
_PROGRAM: Final = "moltnet.workers.worker"
_OF_THE_SERVICE: Final = frozenset({SOCKET_VARIABLE, WATCHDOG_VARIABLE, WATCHDOG_PID_VARIABLE})

Announce = Callable[[Sequence[str]], None]


class WorkerFailed(Exception):
    """A worker ended before it served anybody, and has said why. ``code`` is its exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"a worker could not start (exit code {code})")
        self.code = code


@attrs.define(eq=False)
class Crew:
    """All workers of one server. ``host`` has the storage open, unless it takes several processes by itself."""

    workers: Sequence["Worker"]
    host: Host | None
    environ: Mapping[str, str]
    stopping: trio.Event

    def reload(self, but: "Worker | None" = None) -> None:
        """Have them read the config file again."""
        for worker in self.workers:
            if worker is not but:
                worker.signal(signal.SIGHUP)

    async def hang_up(self) -> None:
        """The same, on a signal to this process."""
        await trio.lowlevel.checkpoint()
        self.reload()

    async def metrics(self, asking: "Worker", own: str) -> str:
        """What they count, as one text."""
        texts = {str(asking.number): own}

        async def ask(worker: Worker) -> None:
            with trio.move_on_after(METRICS_SECONDS):
                if (text := await worker.metrics()) is not None:
                    texts[str(worker.number)] = text

        async with trio.open_nursery() as nursery:
            for worker in self.workers:
                if worker is not asking:
                    nursery.start_soon(ask, worker)
        return await trio.to_thread.run_sync(merged_metrics, {name: texts[name] for name in sorted(texts, key=int)})


@attrs.define(eq=False)
class Worker:
    """One worker: the process that it is now, and the one that comes after it."""

    number: int
    sockets: Sequence[socket.socket]
    _process: trio.Process | None = attrs.field(init=False, default=None)
    _link: Link | None = attrs.field(init=False, default=None)

    async def run(self, crew: Crew, *, task_status: trio.TaskStatus[None]) -> None:
        """Until the crew stops. Started as soon as it serves. Raises ``WorkerFailed`` if it never does."""
        delays = backoff_delays(base_seconds=RESTART_BASE_SECONDS, cap_seconds=RESTART_CAP_SECONDS)
        served = trio.Event()

        def ready() -> None:
            if not served.is_set():
                served.set()
                task_status.started()

        while True:
            began_at = trio.current_time()
            code = await self._live(crew, ready)
            if crew.stopping.is_set():
                ready()  # nobody need wait for it any more
                return
            if not served.is_set():
                raise WorkerFailed(code)
            if trio.current_time() - began_at > WELL_AFTER_SECONDS:
                delays = backoff_delays(base_seconds=RESTART_BASE_SECONDS, cap_seconds=RESTART_CAP_SECONDS)
            wait_seconds = next(delays)
            log.warning(
                "a worker has died", worker=self.number, exit_code=code, again_in_seconds=round(wait_seconds, 1)
            )
            with trio.move_on_after(wait_seconds):
                await crew.stopping.wait()
                return

    def signal(self, number: signal.Signals) -> None:
        """Does nothing between two processes: the next one reads everything anew."""
        if self._process is not None:
            self._process.send_signal(number)

    async def metrics(self) -> str | None:
        """What it counts, if it lives."""
        if self._link is None:
            return None
        try:
            text: str = await self._link.call("metrics")
        except LinkLost:
            return None
        return text

    async def _live(self, crew: Crew, ready: Callable[[], None]) -> int:
        """One process from its start to its end; its exit code."""
        ours, theirs = socket.socketpair()
        with theirs:
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
            process = await self._start(crew, theirs)
        self._link = link = Link(stream)
        answers: dict[str, Answer] = {"all_metrics": partial(crew.metrics, self)}
        hears: dict[str, Hear] = {"ready": ready, "reloaded": partial(crew.reload, but=self)}
        async with trio.open_nursery() as nursery:
            self._process = process
            try:
                with _hosted(crew.host, link) as (store_answers, store_hears):
                    link.answers, link.hears = {**store_answers, **answers}, {**store_hears, **hears}
                    nursery.start_soon(link.run)
                    nursery.start_soon(_end, process, crew.stopping)
                    nursery.start_soon(end_if_stuck, link, process)
                    return await process.wait()
            finally:
                self._process = self._link = None
                nursery.cancel_scope.cancel(reason="the worker has ended")
                with trio.CancelScope(shield=True):
                    if process.returncode is None:
                        process.kill()
                        await process.wait()

    async def _start(self, crew: Crew, theirs: socket.socket) -> trio.Process:
        descriptors = [sock.fileno() for sock in self.sockets]
        return await trio.lowlevel.open_process(
            [sys.executable, "-m", _PROGRAM, str(self.number), str(theirs.fileno()), *map(str, descriptors)],
            env=crew.environ,
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(), *descriptors),
            # Ctrl-C in a terminal is for us, who tell the workers.
            process_group=0,
        )


async def _end(process: trio.Process, stopping: trio.Event) -> None:
    """Stop a worker with the crew, politely first."""
    await stopping.wait()
    process.terminate()
    await trio.sleep(STOP_SECONDS)
    log.warning("a worker did not stop in time and is killed", pid=process.pid)
    process.kill()


class Killable(Protocol):
    """A process, as far as it must be ended."""

    @property
    def pid(self) -> int: ...

    def kill(self) -> None: ...


async def end_if_stuck(link: Link, process: Killable) -> None:
    """Kill a worker that gives no sign of life, or that has lost its link to us. Ends after that."""
    with suppress(LinkLost):
        while True:
            await trio.sleep(ALIVE_EVERY_SECONDS)
            with trio.move_on_after(ALIVE_SECONDS) as waiting:
                await link.call("alive")
            if waiting.cancelled_caught:
                log.warning("a worker gives no sign of life and is killed", pid=process.pid)
                process.kill()
                return
    # It ends by itself, unless it is stuck.
    await trio.sleep(ALIVE_SECONDS)
    process.kill()


@contextmanager
def _hosted(host: Host | None, link: Link) -> Iterator[tuple[Mapping[str, Answer], Mapping[str, Hear]]]:
    if host is None:
        yield {}, {}
        return
    with host.guest(link) as names:
        yield names


async def run_crew(config: MoltnetConfig, workers: int, announce: Announce) -> None:
    """Serve with so many workers until SIGINT or SIGTERM; ``announce`` is told the URLs once all of them serve.

    Raises a group with ``CannotListen``, ``StorageError`` or ``WorkerFailed``.
    """
    allow_many_connections()
    manager = ServiceManager.of_environment(os.environ)
    environ = {name: value for name, value in os.environ.items() if name not in _OF_THE_SERVICE}
    with _socket_sets(config.server.listen_addr, workers) as sets:
        members = [Worker(number, sockets) for number, sockets in enumerate(sets, start=1)]
        async with stop_on_signals() as stopping, _open_host(config) as host, trio.open_nursery() as nursery:
            crew = Crew(members, host, environ, stopping)
            standing = f"serving {config.network.id} with {workers} workers"
            await nursery.start(on_hangup, crew.hang_up, stopping, manager, standing)
            async with trio.open_nursery() as working:
                async with trio.open_nursery() as starting:
                    for member in members:
                        starting.start_soon(working.start, partial(member.run, crew))
                urls = [url_of(sock) for sock in sets[0]]
                log.info("serving", network_id=config.network.id, urls=urls, workers=workers)
                if not stopping.is_set():
                    announce(urls)
                    manager.ready(standing)
                    nursery.start_soon(manager.keep_watchdog)
                await stopping.wait()
                manager.stopping()
            nursery.cancel_scope.cancel(reason="all workers have ended")


@contextmanager
def _socket_sets(address: ListenAddress, count: int) -> Iterator[Sequence[Sequence[socket.socket]]]:
    """Listening sockets for each worker, on one address. Raises ``CannotListen``."""
    with ExitStack() as bound:
        # Others of this user could listen there too, as we do: so it must be free of them first.
        with ExitStack() as alone:
            for sock in open_sockets(address):
                alone.enter_context(sock)
                port = sock.getsockname()[1]
        sets = [open_sockets(ListenAddress(address.host, port), shared=True) for _ in range(count)]
        for sock in chain.from_iterable(sets):
            bound.enter_context(sock)
        yield sets


@asynccontextmanager
async def _open_host(config: MoltnetConfig) -> AsyncIterator[Host | None]:
    """The storage, opened for all workers, if they can't open it themselves beside each other."""
    if config.storage.kind is StorageKind.POSTGRES:
        yield None
        return
    async with configured_store(config) as store, trio.open_nursery() as hosting:
        host = Host(config.network.id, store)
        hosting.start_soon(host.run)
        yield host
        hosting.cancel_scope.cancel(reason="all workers have ended")
