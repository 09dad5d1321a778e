"""Handing committed events to readers: a ring of the newest ones, and subscriptions that are cursors over the log.

A subscription holds no queue. It remembers the last event that it handed out and takes the next ones from the ring,
or from the store if it has fallen behind the ring. So a slow reader costs nothing, loses nothing, and publishing
never waits. What a reader may see is decided elsewhere (``moltnet.core.access``).
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
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
    # Who waits as one agent. If a report of each coming, going and wake woke everybody, its cost would grow with them.
    _waiting_as: dict[str, trio.lowlevel.ParkingLot] = attrs.field(init=False, factory=dict)
    _all_woken_seq: int = attrs.field(init=False, default=0)

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
        self._wake(records)

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

    def end(self) -> None:
        """Let readers go: from now on they get ``StreamEnded``. Publishing goes on."""
        self._ended = True
        self._wake(())

    async def wait_newer(self, seq: int, agent_id: str = "") -> None:
        """Wait until an event after ``seq`` has been published. Always a checkpoint. Raises ``StreamEnded``.

        Who waits as an agent is not woken by reports about others, for as long as the ring is sure to hold them.
        """
        if self.newest_seq > seq or self._ended:
            await trio.lowlevel.checkpoint()
        while self.newest_seq <= seq and not self._ended:
            await self._park(agent_id)
        if self._ended:
            raise StreamEnded

    async def _park(self, agent_id: str) -> None:
        if not agent_id:
            await self._arrivals.park()
            return
        lot = self._waiting_as.setdefault(agent_id, trio.lowlevel.ParkingLot())
        try:
            await lot.park()
        finally:
            if not lot and self._waiting_as.get(agent_id) is lot:
                del self._waiting_as[agent_id]

    def _wake(self, records: Sequence[EventRecord]) -> None:
        self._arrivals.unpark_all()
        only_reports = all(map(_is_report, records)) and not self._ended
        if only_reports and self.newest_seq - self._all_woken_seq < limits.RING_EVENTS // 4:
            agent_ids: Iterable[str] = {record.agent_id for record in records}
        else:
            agent_ids, self._all_woken_seq = tuple(self._waiting_as), self.newest_seq
        for agent_id in agent_ids:
            if agent_id in self._waiting_as:
                self._waiting_as[agent_id].unpark_all()

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


def _is_report(record: EventRecord) -> bool:
    """Whether it is about one agent, and of nobody else's interest who does not observe."""
    return bool(record.agent_id) and not record.room_id and not record.direct_id


@attrs.define(eq=False)
class Subscription:
    """One reader's place in the log: ``seq`` is that of the last event that ``receive`` handed out."""

    _broker: Broker
    seq: int

    async def receive(self, limit: int = limits.REPLAY_PAGE_EVENTS, *, agent_id: str = "") -> Sequence[EventRecord]:
        """The next events in order, at least one. Cancelled, it hands out nothing.

        Reports about agents other than ``agent_id``, if there is one, may come late: with the next event that is none.

        Raises ``StorageError``, and ``StreamEnded`` when the server is about to stop.
        """
        while True:
            await self._broker.wait_newer(self.seq, agent_id)
            published = self._broker.newest_seq
            records = self._broker.recent_after(self.seq, limit)
            if records is None:
                self._broker.metrics.store_reads.inc()
                stored = await self._broker.store.events_after(self.seq, limit)
                # A commit shows in the store before it is published, and only then is it known who may see it.
                records = [record for record in stored if record.seq <= self._broker.newest_seq]
            if records:
                self.seq = records[-1].seq
                return records
            # All that was published when we asked has been pruned, and will not come. What came meanwhile will.
            self.seq = max(self.seq, published)
