"""Writing presence and wake reports to the log, in order, without making an attachment wait for the disk.

An attachment that ends can't wait for anything, so it leaves its reports here; a service commits them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from moltnet.journal import Journal, JournalClosed
from moltnet.log import get_logger
from moltnet.metrics import AttachMetrics
from moltnet.protocol import limits
from moltnet.protocol.events import Event
from moltnet.storage.commands import RecordEvents
from moltnet.storage.store import StorageError

log = get_logger("attach")


@attrs.define(eq=False)
class Reports:
    """Events on their way to the journal. ``dropped`` counts those that found the queue full."""

    _send: trio.MemorySendChannel[Event]
    metrics: AttachMetrics
    dropped: int = attrs.field(init=False, default=0)

    @property
    def waiting(self) -> int:
        """How many reports wait for the journal."""
        return self._send.statistics().current_buffer_used

    def add(self, event: Event) -> None:
        """Never waits. With a full queue, which takes a disk that stalls for long, the report is dropped, counted."""
        try:
            self._send.send_nowait(event)
        except (trio.WouldBlock, trio.ClosedResourceError, trio.BrokenResourceError):
            self.dropped += 1
            self.metrics.events_dropped.inc()
            log.warning("report dropped", type=event.type, dropped=self.dropped)


@asynccontextmanager
async def open_reports(journal: Journal, metrics: AttachMetrics | None = None) -> AsyncIterator[Reports]:
    """Run the service. Leaving the block writes what waits, then ends it."""
    metrics = metrics or AttachMetrics.on()
    send, receive = trio.open_memory_channel[Event](limits.MAX_QUEUED_REPORTS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_write, receive, journal, metrics)
        with send:
            yield Reports(send, metrics)


async def _write(events: trio.MemoryReceiveChannel[Event], journal: Journal, metrics: AttachMetrics) -> None:
    # Ends because the channel closes, so that the last goodbyes are written too.
    with trio.CancelScope(shield=True):
        async for first in events:
            batch = [first]
            while len(batch) < limits.MAX_BATCH_COMMANDS:
                try:
                    batch.append(events.receive_nowait())
                except (trio.WouldBlock, trio.EndOfChannel):
                    break
            try:
                await journal.commit(RecordEvents(tuple(batch)))
            except (StorageError, JournalClosed) as error:
                metrics.events_dropped.inc(len(batch))
                log.warning("reports lost", reports=len(batch), reason=str(error))
