"""The log of events as a list, page by page: what an event stream would have shown its reader (HTTP API §5).

Whoever may not see most of it, or wants few of them, makes a request look at many events to find one. So each looks at
a bounded number, and its page says where to go on, also if nothing was found.
"""

from collections import deque
from collections.abc import Callable

import attrs

from moltnet.core.access import Viewer, can_see
from moltnet.core.network import NetworkContext
from moltnet.core.pages import stored_page_json, unknown_cursor
from moltnet.protocol import limits
from moltnet.protocol.pages import PageRequest
from moltnet.storage.limits import MAX_PAGE_BYTES
from moltnet.storage.pages import body_page
from moltnet.storage.records import EventRecord, StoredPage

Wanted = Callable[[EventRecord], bool]


@attrs.frozen
class EventFilter:
    """Which events are wanted; what is empty does not matter.

    ``type`` is a type of events, or its beginning up to a dot. ``agent`` is an FQID: of whom an event is about, who
    sent its message, or whom that addresses.
    """

    type: str = ""
    agent: str = ""
    room_id: str = ""

    def wants(self, record: EventRecord, local_agent: str) -> bool:
        """``local_agent`` is the FQID of the agent that the event is about, empty if there is none."""
        if self.type and record.type != self.type and not record.type.startswith(f"{self.type}."):
            return False
        if self.room_id and record.room_id != self.room_id:
            return False
        return not self.agent or self.agent in (local_agent, record.sender, *record.addressed)


async def list_events(
    context: NetworkContext, viewer: Viewer, wanted: EventFilter, page: PageRequest, *, published_seq: int
) -> bytes:
    """A page of events as JSON, oldest first; without a cursor the newest.

    ``published_seq`` is that of the last event of which readers know: who may see what came later is not decided yet.
    Raises ``Invalid`` for an event that the log does not hold, or not any more, ``StorageError``.
    """
    cursor = page.after or page.before
    seq = await context.store.event_seq(cursor) if cursor else None
    if cursor and seq is None:
        raise unknown_cursor(page)

    def is_shown(record: EventRecord) -> bool:
        about = context.directory.fqid(record.agent_id) if record.agent_id else ""
        return wanted.wants(record, about) and can_see(viewer, record, context.policy, context.directory)

    looking = _Looking(context, is_shown, page)
    if page.after and seq is not None:
        await looking.forwards(seq, published_seq)
    else:
        await looking.backwards(min(published_seq + 1, seq or published_seq + 1))
    return stored_page_json("events", looking.stored_page(), page)


@attrs.define(eq=False)
class _Looking:
    """One request's way through the log. ``found`` is in the direction of reading."""

    context: NetworkContext
    is_shown: Wanted
    page: PageRequest
    found: list[EventRecord] = attrs.field(init=False, factory=list)
    found_bytes: int = attrs.field(init=False, default=0)
    looked_events: int = attrs.field(init=False, default=0)
    looked_bytes: int = attrs.field(init=False, default=0)
    last_id: str = attrs.field(init=False, default="")
    has_more: bool = attrs.field(init=False, default=False)
    has_dropped: bool = attrs.field(init=False, default=False)

    async def forwards(self, seq: int, last_seq: int) -> None:
        """Look at what follows ``seq``, up to ``last_seq``."""
        while seq < last_seq:
            if self._is_over():
                self.has_more = True
                return
            records = await self.context.store.events_after(seq, min(limits.REPLAY_PAGE_EVENTS, last_seq - seq))
            records = [record for record in records if record.seq <= last_seq]
            if not records:
                return
            seq, self.last_id = records[-1].seq, records[-1].id
            for record in records:
                self._look_at(record)
                if self.is_shown(record):
                    self._take(record)

    async def backwards(self, end: int) -> None:
        """Look at what comes before ``end``, the newest first."""
        while end > 1:
            if self._is_over():
                self.has_more = True
                return
            begin = max(1, end - limits.REPLAY_PAGE_EVENTS)
            shown, oldest = await self._between(begin, end)
            for record in reversed(shown):
                self._take(record)
            if oldest is None or oldest.seq > begin:
                return  # here the log begins
            end, self.last_id = oldest.seq, oldest.id

    async def _between(self, begin: int, end: int) -> tuple[deque[EventRecord], EventRecord | None]:
        """Of the events from ``begin`` to before ``end`` those that are shown, and the oldest of them all.

        Of those that are shown no more of the newest are kept than a page can hold: others would only take memory.
        """
        shown, shown_bytes = deque[EventRecord](), 0
        oldest: EventRecord | None = None
        seq = begin - 1
        while seq < end - 1:
            records = await self.context.store.events_after(seq, end - 1 - seq)
            records = [record for record in records if record.seq < end]
            if not records:
                break
            oldest, seq = oldest or records[0], records[-1].seq
            for record in records:
                self._look_at(record)
                if not self.is_shown(record):
                    continue
                shown.append(record)
                shown_bytes += len(record.wire)
                while len(shown) > self.page.limit + 1 or shown_bytes - len(shown[0].wire) > MAX_PAGE_BYTES:
                    shown_bytes -= len(shown.popleft().wire)
                    self.has_more = self.has_dropped = True
        return shown, oldest

    def _look_at(self, record: EventRecord) -> None:
        self.looked_events += 1
        self.looked_bytes += len(record.wire)

    def _take(self, record: EventRecord) -> None:
        self.found.append(record)
        self.found_bytes += len(record.wire)

    def _is_over(self) -> bool:
        is_full = self.has_more or len(self.found) > self.page.limit or self.found_bytes > MAX_PAGE_BYTES
        return (
            is_full
            or self.looked_events >= limits.MAX_EVENTS_LOOKED_AT
            or self.looked_bytes >= limits.MAX_LOOKED_AT_BYTES
        )

    def stored_page(self) -> StoredPage:
        """What was found as a page. If all of it fits, it is gone on behind the last event that was looked at."""
        taken = body_page(((record.id, record.wire) for record in self.found), self.page)
        if taken.has_more or not self.has_more:
            return taken
        if self.page.after:
            return attrs.evolve(taken, has_more=True, last_id=self.last_id)
        return attrs.evolve(taken, has_more=True, first_id=taken.first_id if self.has_dropped else self.last_id)
