"""One reader of the log: an attachment, or an event stream on the fast lane.

A reader is a place in the log (decision 0003), and *live* or not. As long as it is live it has no business of its own:
everything up to the hub's place was looked at for it, and the hub hands it what comes. It stops being live when it
can't take more (its window is full, its peer is slow), and goes on from a place of its own, from the ring or the store,
until it has come as far as the hub is::

    live ── can't take it ──▶ behind ── goes on when an ACK has come,      ──▶ live
                                        when its peer has taken everything,
                                        when the store has answered

Nothing in here knows what is written to whom; that is for the subclasses.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import attrs
import trio

from moltnet.broker import Broker, Position
from moltnet.core.access import Viewer, can_see
from moltnet.core.network import NetworkContext
from moltnet.fanout.frames import Batch, FrameCache, fitting
from moltnet.fanout.timers import Entry
from moltnet.protocol import limits
from moltnet.storage.records import EventRecord


class Mover(Protocol):
    """What a reader needs of the hub. ``seq`` is the last event that was handed out."""

    broker: Broker
    context: NetworkContext
    frames: FrameCache
    seq: int

    def admit(self, reader: "Reader", position: Position) -> None: ...

    def drop(self, reader: "Reader") -> None: ...

    def join(self, reader: "Reader") -> None: ...

    def start(self, task: Callable[..., Awaitable[None]], *args: Any) -> None: ...


@attrs.define(eq=False)
class Reader(ABC):
    """What the hub keeps of each reader. ``seq`` is the last event that was looked at for it, unless it is live.

    It has no task of its own for writing. While its peer is slow or the store is asked, a task of the hub's waits for
    that, and ends.
    """

    hub: Mover = attrs.field(kw_only=True)
    seq: int = attrs.field(init=False, default=0)
    is_live: bool = attrs.field(init=False, default=False)
    viewer: Viewer = attrs.field(init=False, default=Viewer())
    timer: Entry | None = attrs.field(init=False, default=None)
    _is_over: bool = attrs.field(init=False, default=False)
    _flushing: trio.CancelScope | None = attrs.field(init=False, default=None)
    _fetching: trio.CancelScope | None = attrs.field(init=False, default=None)
    # What the store has answered and was not sent yet.
    _page: Sequence[EventRecord] = attrs.field(init=False, default=())

    @abstractmethod
    def look(self) -> Viewer:
        """What it may see at this moment."""

    @abstractmethod
    def room(self) -> int:
        """How many events may be sent to it now; none, once it has been told to end."""

    @abstractmethod
    def put(self, batch: Batch) -> bool:
        """Send these, for which there is room. Never waits. Says whether its peer's side has taken all of it."""

    @abstractmethod
    async def flush(self) -> None:
        """Wait until what was sent is taken, or nobody is there any more."""

    @abstractmethod
    def fail(self, error: Exception) -> None:
        """End it, because of this. Never raises."""

    @abstractmethod
    def attend(self, now: float) -> float:
        """Do what is due, and say when to look again: never, if that is infinite. Never waits, never raises."""

    @property
    def follows_agents(self) -> bool:
        """Whether what it may see depends on which agents there are."""
        return False

    def tick(self, now: float) -> float:
        return math.inf if self._is_over else self.attend(now)

    def sees(self, record: EventRecord) -> bool:
        """Whether an event is for it at this moment."""
        context = self.hub.context
        return can_see(self.look(), record, context.policy, context.directory)

    def offer(self, batch: Batch, before: int, last: int) -> None:
        """Take what the hub hands to all who may see it, or fall behind. ``before`` and ``last`` are its places.

        A reader that was not live when these came, and is by now, has taken them itself.
        """
        if not self.is_live or self.seq >= last:
            return
        if self._flushing is None and self.takes(batch) and len(batch) <= self.room():
            if not self.put(batch):
                self.is_live, self.seq = False, last
                self.start_flushing()
        else:
            self.fall_behind(before)

    def takes(self, batch: Batch) -> bool:
        """Whether a batch can go out as it is. Otherwise each event in it is looked at."""
        return True

    def fall_behind(self, seq: int) -> None:
        """Go on alone from this place."""
        if self.is_live:
            self.is_live, self.seq = False, seq
            self.go_on()

    def go_on(self) -> None:
        """Send what can be sent, until it is live. Never waits, never raises; does nothing if it can't go on now."""
        try:
            if not (self.is_live or self._is_over) and self._flushing is None and self._fetching is None:
                self._go_on()
        except Exception as error:
            self.fail(error)

    def enter(self, seq: int, first: Batch | None) -> None:
        """Begin after this place; ``first`` is what it must be told before anything else."""
        self.seq = seq
        if first is not None and not self.put(first):
            self.start_flushing()
        self.go_on()

    def leave(self) -> None:
        """Nothing more is sent to it. Never waits: what still waits for it ends by itself, soon."""
        self._is_over, self.is_live = True, False
        for scope in (self._flushing, self._fetching):
            if scope is not None:
                scope.cancel(reason="the reader has left")

    def _go_on(self) -> None:
        for _ in range(limits.PASSES_AT_ONCE):
            room = self.room()
            if room <= 0:
                return
            if self.seq >= self.hub.seq:
                self._page = ()
                self.hub.join(self)
                return
            records = self._next(room)
            if records is None:
                self._fetching = self._wait(self._fetch)
                return
            # Before they are sent: who fails at one of them does not meet it again.
            self.seq = records[-1].seq
            seen = [record for record in records if self.sees(record)]
            if seen and not self.put(self.hub.frames.batch(seen)):
                self.start_flushing()
                return
        # Others want their turn.
        self._fetching = self._wait(trio.lowlevel.checkpoint)

    def _next(self, room: int) -> Sequence[EventRecord] | None:
        """What comes next, no more than fits into one pass; ``None`` if the store has to be asked."""
        limit = min(room, self.hub.seq - self.seq, limits.REPLAY_PAGE_EVENTS)
        if self._page:
            records = fitting(self._page[:limit], limits.PASS_BYTES)
            self._page = self._page[len(records) :]
            return records
        found = self.hub.broker.recent_after(self.seq, limit)
        return None if found is None else fitting(found, limits.PASS_BYTES)

    async def _fetch(self) -> None:
        self.seq, self._page = await self.hub.broker.stored_after(self.seq, self.hub.seq, limits.REPLAY_PAGE_EVENTS)

    def start_flushing(self) -> None:
        """Its peer has not taken all that it was sent."""
        if self._flushing is None and not self._is_over:
            self._flushing = self._wait(self.flush)

    def _wait(self, task: Callable[[], Awaitable[None]]) -> trio.CancelScope:
        scope = trio.CancelScope()
        self.hub.start(self._waited, task, scope)
        return scope

    async def _waited(self, task: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
        """Wait for something, and then go on."""
        try:
            with scope:
                await task()
        except Exception as error:
            if not self._is_over:
                self.fail(error)
            return
        if self._flushing is scope:
            self._flushing = None
        else:
            self._fetching = None
        self.go_on()
