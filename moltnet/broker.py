"""Handing committed events to readers: a ring of the newest ones, and subscriptions that are cursors over the log.

A subscription holds no queue. It remembers the last event that it handed out and takes the next ones from the ring,
or from the store if it has fallen behind the ring. So a slow reader costs nothing, loses nothing, and publishing
never waits. What a reader may see is decided elsewhere (``moltnet.core.access``). Attachments are not woken one by one:
one subscription is the hub's, which moves them all along (``moltnet.fanout``).
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime

import attrs
import trio

from moltnet.metrics import BrokerMetrics
from moltnet.protocol import limits
from moltnet.protocol.codec import encode
from moltnet.protocol.events import EventType, ReplayGap
from moltnet.protocol.ids import GAP_PREFIX, NetworkId, gap_event_id
from moltnet.protocol.times import format_timestamp
from moltnet.storage.changes import event_wire
from moltnet.storage.pages import replay_page
from moltnet.storage.records import EventRecord
from moltnet.storage.store import Store


class StreamEnded(Exception):
    """The server is about to stop: there is nothing more to read here."""


@attrs.frozen
class Position:
    """Where a reader starts: after ``seq``, and the gap that it must be told of first, if there is one.

    ``cursor`` is the id of the event at ``seq``, empty if there is none or nobody asked for that place.
    """

    seq: int
    cursor: str = ""
    gap: EventRecord | None = None


@attrs.define(eq=False)
class Broker:
    """The newest events of one network. ``newest_seq`` is that of the last event published, 0 if there is none."""

    network_id: NetworkId
    store: Store
    newest_seq: int
    newest_id: str = ""
    metrics: BrokerMetrics = attrs.field(factory=BrokerMetrics.on)
    _ring: list[EventRecord] = attrs.field(init=False, factory=list)
    _ring_bytes: int = attrs.field(init=False, default=0)
    _ended: bool = attrs.field(init=False, default=False)
    _arrivals: trio.lowlevel.ParkingLot = attrs.field(init=False, factory=trio.lowlevel.ParkingLot)

    def publish(self, records: Sequence[EventRecord]) -> None:
        """Make committed events visible, in commit order. Called by the journal only."""
        if not records:
            return
        if records[0].seq != self.newest_seq + 1:
            # Something in between never came here: readers take it from the store, as they do beyond the ring.
            self._ring, self._ring_bytes = [], 0
        self._ring.extend(records)
        self._ring_bytes += sum(len(record.wire) for record in records)
        self._trim()
        self.newest_seq, self.newest_id = records[-1].seq, records[-1].id
        for record in records:
            self.metrics.published(record.type)
        self._arrivals.unpark_all()

    def subscribe(self, after_seq: int) -> "Subscription":
        """A reader of everything after ``after_seq``. It holds nothing, so it needs no closing."""
        return Subscription(self, after_seq)

    async def locate(self, cursor: str, now: datetime) -> Position:
        """Where a reader that has seen ``cursor`` goes on; an empty cursor means live events only.

        A cursor that the log does not hold (older than the retention, or never ours) starts at the oldest event and
        brings a ``stream.replay_gap``. Raises ``StorageError``.
        """
        if not cursor:
            await trio.lowlevel.checkpoint()
            return Position(self.newest_seq, self.newest_id)
        seq = await self.store.event_seq(cursor)
        if seq is not None:
            return Position(seq, cursor)
        bounds = await self.store.event_bounds()
        before_oldest = max(0, bounds.oldest_seq - 1)
        if cursor.startswith(GAP_PREFIX):
            return Position(before_oldest)
        gap = ReplayGap(requested_event_id=cursor, oldest_event_id=bounds.oldest_id, newest_event_id=bounds.newest_id)
        event_id = gap_event_id(cursor)
        wire = event_wire(
            event_id, EventType.REPLAY_GAP, self.network_id, format_timestamp(now), b'"replay_gap":' + encode(gap)
        )
        return Position(before_oldest, gap=EventRecord(0, event_id, EventType.REPLAY_GAP, wire))

    def recent_after(self, seq: int, limit: int) -> Sequence[EventRecord] | None:
        """The next events after ``seq`` from the ring, at most ``limit``; ``None`` if it no longer reaches back to it.

        No more than the store would hand out at once: a reader that stalls keeps them alive when the ring has moved on.
        """
        if seq >= self.newest_seq:
            return ()
        if not self._ring or self._ring[0].seq > seq + 1:
            return None
        start = bisect_right(self._ring, seq, key=_seq)
        return replay_page(self._ring[start : start + limit], limit)

    async def stored_after(self, seq: int, up_to: int, limit: int) -> tuple[int, Sequence[EventRecord]]:
        """What follows ``seq`` in the store, nothing beyond ``up_to``, which was published; and the place before it.

        Without any that is ``up_to``: all of it has been pruned, and will not come. Raises ``StorageError``.
        """
        self.metrics.store_reads.inc()
        records = [record for record in await self.store.events_after(seq, limit) if record.seq <= up_to]
        return (seq, records) if records else (max(seq, up_to), ())

    def end(self) -> None:
        """Let readers go: from now on they get ``StreamEnded``. Publishing goes on."""
        self._ended = True
        self._arrivals.unpark_all()

    async def wait_newer(self, seq: int) -> None:
        """Wait until an event after ``seq`` has been published. Always a checkpoint. Raises ``StreamEnded``."""
        if self.newest_seq > seq or self._ended:
            await trio.lowlevel.checkpoint()
        while self.newest_seq <= seq and not self._ended:
            await self._arrivals.park()
        if self._ended:
            raise StreamEnded

    def _trim(self) -> None:
        # Half of the ring goes at once, so that the cost of moving the rest is spread over many events.
        if len(self._ring) <= limits.RING_EVENTS and self._ring_bytes <= limits.RING_BYTES:
            return
        keep = min(len(self._ring), limits.RING_EVENTS) // 2
        kept = self._ring[-keep:] if keep else []
        size = sum(len(record.wire) for record in kept)
        while kept and size > limits.RING_BYTES // 2:
            size -= len(kept.pop(0).wire)
        self._ring, self._ring_bytes = kept, size


def _seq(record: EventRecord) -> int:
    return record.seq


@attrs.define(eq=False)
class Subscription:
    """One reader's place in the log: ``seq`` is that of the last event that ``receive`` handed out."""

    _broker: Broker
    seq: int

    async def receive(self, limit: int = limits.REPLAY_PAGE_EVENTS) -> Sequence[EventRecord]:
        """The next events in order, at least one. Cancelled, it hands out nothing.

        Raises ``StorageError``, and ``StreamEnded`` when the server is about to stop.
        """
        while True:
            await self._broker.wait_newer(self.seq)
            # A commit shows in the store before it is published, and only then is it known who may see it.
            published = self._broker.newest_seq
            records = self._broker.recent_after(self.seq, limit)
            if records is None:
                self.seq, records = await self._broker.stored_after(self.seq, published, limit)
            if records:
                self.seq = records[-1].seq
                return records
