"""A server as a process that can be started, asked to stop, and killed at any moment, and that comes back."""

import random
import sqlite3
from collections.abc import Callable

import attrs
import trio

from moltnet.app import App, open_app_on
from moltnet.config.settings import MoltnetConfig
from moltnet.log import leaves_of
from moltnet.serving import serve
from moltnet.storage.store import StorageError
from tests.simulation import seams
from tests.simulation.judge import Judge
from tests.simulation.stores import Disk, disk_failure, store_failure
from tests.simulation.trace import Trace
from tests.simulation.wires import Wires, host_name

PORT = 80
# A drain takes at most two times two seconds for attachments and connections, the last commits, and the disk's pauses.
STOP_SECONDS = 60.0


@attrs.define
class DiskWeather:
    """How the disk of a server is. Chances are for each operation, or each statement."""

    slowest_seconds: float = 0.0
    stall_chance: float = 0.0
    stall_seconds: float = 0.0
    failure_chance: float = 0.0
    full_chance: float = 0.0
    crash_chance: float = 0.0


@attrs.define(eq=False)
class Life:
    """One process: from a start to a stop or a kill. It is what the store asks for faults."""

    host: "ServerHost"
    number: int
    dead: bool = False
    stop: trio.Event = attrs.field(factory=trio.Event)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    app: App | None = None
    ready: bool = False

    async def before(self, what: str) -> None:
        weather, rng = self.host.weather, self.host.rng
        if rng.random() < weather.stall_chance:
            self.host.trace.note("stall", self.host.name, what)
            await self._pause(rng.uniform(0, weather.stall_seconds))
        else:
            await self._pause(rng.uniform(0, weather.slowest_seconds))
        if self.dead:
            raise StorageError("the process is dead")
        self._crash_perhaps(f"before {what}", StorageError("the process is dead"))
        if rng.random() < weather.failure_chance:
            full = rng.random() < weather.full_chance
            self.host.trace.note("store fails", self.host.name, what, "full" if full else "")
            raise store_failure(full)

    def at_statement(self, text: str) -> None:
        weather, rng = self.host.weather, self.host.rng
        name = " ".join(text.split()[:3])
        if text == "committed":  # too late to fail, not too late to die
            if not self.dead:
                self._crash_perhaps("after commit", StorageError("the process is dead"))
            return
        if self.dead:
            raise disk_failure(full=False)
        self._crash_perhaps(name, disk_failure(full=False))
        if rng.random() < weather.failure_chance:
            full = rng.random() < weather.full_chance
            self.host.trace.note("statement fails", self.host.name, name)
            raise disk_failure(full)

    async def thread(self) -> None:
        await trio.sleep(0 if self.dead else self.host.rng.uniform(0, self.host.weather.slowest_seconds))

    async def _pause(self, seconds: float) -> None:
        # A commit is not interrupted by cancellation; the death of the process ends everything.
        if seconds and not self.dead:
            await trio.sleep(seconds)
        else:
            await trio.lowlevel.checkpoint()

    def _crash_perhaps(self, where: str, error: Exception) -> None:
        if self.host.rng.random() < self.host.weather.crash_chance:
            self.host.kill(where)
            raise error


@attrs.define(eq=False)
class ServerHost:
    """A network's server, one life after another, on one disk."""

    name: str
    config: MoltnetConfig
    disk: Disk
    wires: Wires
    trace: Trace
    judge: Judge
    rng: random.Random
    weather: DiskWeather = attrs.field(factory=DiskWeather)
    life: Life | None = None
    lives: int = 0
    kills: int = 0
    retired: bool = False
    """Stays down after its next stop."""
    on_up: Callable[[], None] = lambda: None
    _changed: trio.Event = attrs.field(factory=trio.Event)

    @property
    def url(self) -> str:
        return f"http://{self.name}.sim:{PORT}"

    @property
    def is_up(self) -> bool:
        return self.life is not None and self.life.ready and not self.life.dead

    async def wait_up(self) -> None:
        while not self.is_up:
            await self._changed.wait()

    async def run(self) -> None:
        """Live again and again, until it is retired."""
        while not self.retired:
            self.lives += 1
            self.life = Life(self, self.lives)
            await self._live(self.life)
            self.life = None
            self._note_change()
            if not self.retired:
                # Mostly back at once; sometimes away for as long as it takes others to give up for a while.
                await trio.sleep(self.rng.uniform(0.05, 15.0 if self.rng.random() < 0.2 else 2.0))

    async def _live(self, life: Life) -> None:
        host_name.set(self.name)
        self.trace.note("starts", self.name, life.number)
        try:
            with life.scope, seams.work_of(life.thread):
                await self._serve(life)
        except* (StorageError, sqlite3.Error) as group:
            reasons = "; ".join(sorted({str(leaf) for leaf in leaves_of(group)}))
            self.trace.note("could not run", self.name, self.disk.shorten(reasons))
        finally:
            life.dead = True
        self.trace.note("ended", self.name, life.number)

    async def _serve(self, life: Life) -> None:
        async with self.disk.open(life) as store, open_app_on(store, self.config) as app:
            life.app = app
            listener = self.wires.listener(f"{self.name}.sim", PORT)
            listener.host = self.name
            async with trio.open_nursery() as nursery:

                async def run(task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED) -> None:
                    await serve(app, [listener], stop=life.stop, task_status=task_status)  # type: ignore[list-item]
                    nursery.cancel_scope.cancel()

                await nursery.start(run)
                life.ready = True
                self._note_change()
                await life.stop.wait()
                began = trio.current_time()
                with trio.move_on_after(STOP_SECONDS) as stopping:
                    await trio.sleep_forever()
                if stopping.cancelled_caught and not life.dead:
                    self.judge.break_off(
                        f"guarantee 6: {self.name} has not stopped after {trio.current_time() - began:g} s"
                    )
        if not life.dead:
            self.judge.demand(
                not [each for each in self.wires.open.values() if each.host == self.name and each.peer is not None],
                6,
                f"{self.name} has stopped and left connections open",
            )

    def kill(self, where: str) -> None:
        """As SIGKILL does: what is not on disk or with a peer at this moment never will be."""
        life = self.life
        if life is None or life.dead:
            return
        self.trace.note("killed", self.name, life.number, where)
        self.kills += 1
        life.dead = True
        self.disk.crash()
        self.wires.kill(self.name)
        life.scope.cancel(reason="killed")
        self._note_change()

    def ask_to_stop(self) -> None:
        """As SIGTERM does."""
        if self.life is not None:
            self.trace.note("asked to stop", self.name)
            self.life.stop.set()
            if not self.life.ready:
                self.life.scope.cancel(reason="asked to stop while it starts")

    def _note_change(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()
