"""Processes that run one attachment against a server, one after another on the same state."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from bridge.config import AttachmentConfig
from bridge.desk import Desk
from bridge.ledger import FILE_NAME, LedgerFile
from bridge.loop import run_attachment
from bridge.status import AttachmentState, AttachmentStatus
from moltnet.protocol.codec import decode
from tests.fakes.runtime import FakeRuntime


@attrs.define(eq=False)
class Status(AttachmentStatus):
    """Also remembers how long it was to wait, each time."""

    delays: list[float] = attrs.field(factory=list)
    _changed: trio.Event = attrs.field(factory=trio.Event)

    def backing_off(self, reason: str, delay_seconds: float) -> None:
        self.delays.append(delay_seconds)
        super().backing_off(reason, delay_seconds)
        self._note_change()

    def attached(self) -> None:
        super().attached()
        self._note_change()

    async def wait_backed_off(self, times: int) -> None:
        while len(self.delays) < times:
            await self._changed.wait()

    async def wait_attached(self) -> None:
        while self.state is not AttachmentState.ATTACHED:
            await self._changed.wait()

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@attrs.define(eq=False)
class Life:
    """One process that runs the attachment."""

    config: AttachmentConfig
    runtime: FakeRuntime
    environ: dict[str, str]
    expected: type[Exception] | None
    desk: Desk | None = None
    drain: trio.Event = attrs.field(factory=trio.Event)
    status: Status = attrs.field(factory=lambda: Status("agent-1", "net"))
    ended: trio.Event = attrs.field(factory=trio.Event)
    error: Exception | None = None

    async def run(self) -> None:
        try:
            await run_attachment(
                self.config,
                drain=self.drain,
                status=self.status,
                environ=self.environ,
                node_slots=trio.CapacityLimiter(8),
                open_runtime=self.runtime.open,
                desk=self.desk,
            )
        except Exception as error:
            if self.expected is None or not isinstance(error, self.expected):
                raise
            self.error = error
        finally:
            self.ended.set()


@asynccontextmanager
async def living(
    config: AttachmentConfig,
    runtime: FakeRuntime | None = None,
    environ: dict[str, str] | None = None,
    *,
    expected: type[Exception] | None = None,
    desk: Desk | None = None,
    status: Status | None = None,
) -> AsyncIterator[Life]:
    """Leaving the block ends the process without asking it; an exception that is not `expected` ends the test.

    With the `status` of a life before, it is a run of the same process.
    """
    life = Life(config, runtime or FakeRuntime(), {} if environ is None else environ, expected, desk)
    life.status = life.status if status is None else status
    async with trio.open_nursery() as nursery:
        nursery.start_soon(life.run)
        yield life
        nursery.cancel_scope.cancel()


def ledger_of(config: AttachmentConfig) -> LedgerFile:
    return decode((config.state_dir / FILE_NAME).read_bytes(), LedgerFile)
