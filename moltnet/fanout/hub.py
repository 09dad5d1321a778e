"""The hub: one task that hands every event to all who may see it, without waking a task for any of them.

    open_hub
    ├── Hub.run       events as they are published → circles of readers → their links, in one pass
    ├── Timers.run    signs of life, and their absence
    └── …             waits for one slow peer, or for the store on behalf of one reader behind the ring; ends with that

A pass takes what has come since the last one, so that a burst is one write for each reader. Nothing in it waits: what a
peer's side does not take at once is that reader's to wait for, and it goes on alone until it has caught up. So the hub
holds no queue, and a slow reader costs the others nothing.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from moltnet.auth.leases import Leases
from moltnet.auth.policy import AuthPolicy
from moltnet.broker import Broker, Position, StreamEnded
from moltnet.core.network import NetworkContext
from moltnet.fanout.frames import Batch, FrameCache, fitting
from moltnet.fanout.interest import Circle, Interest
from moltnet.fanout.reader import Reader
from moltnet.fanout.timers import Timers
from moltnet.log import get_logger
from moltnet.protocol import limits
from moltnet.storage.records import EventRecord
from moltnet.storage.store import StorageError

log = get_logger("fanout")


@attrs.frozen
class _State:
    """What a view depends on, and what an event's room and agents depend on. Equal ones mean the same readers."""

    policy: AuthPolicy
    renewals: int
    room_changes: int


@attrs.define(eq=False)
class Hub:
    """All readers of a network that are moved along. ``seq`` is the last event that was handed out."""

    broker: Broker
    context: NetworkContext
    leases: Leases
    _nursery: trio.Nursery
    frames: FrameCache = attrs.field(init=False)
    timers: Timers = attrs.field(init=False, factory=Timers)
    seq: int = attrs.field(init=False)
    _interest: Interest[Reader] = attrs.field(init=False)
    _ahead: list[Reader] = attrs.field(init=False, factory=list)
    _ended: bool = attrs.field(init=False, default=False)
    _sorted_under: _State | None = attrs.field(init=False, default=None)
    _agents_known: int = attrs.field(init=False, default=-1)

    def __attrs_post_init__(self) -> None:
        self.frames = FrameCache(self.context.id)
        self.seq = self.broker.newest_seq
        self._interest = Interest(self.context)

    def admit(self, reader: Reader, position: Position) -> None:
        """Move a reader along from a place in the log, until it is dropped. Raises ``StreamEnded`` at the drain."""
        if self._ended:
            raise StreamEnded
        reader.viewer = self._interest.add(reader, reader.look())
        reader.timer = self.timers.look_after(reader)
        reader.enter(position.seq, None if position.gap is None else self.frames.batch((position.gap,)))

    def drop(self, reader: Reader) -> None:
        """Send nothing more for a reader, if it was admitted. Never waits."""
        if reader.timer is None:
            return
        reader.timer.forget()
        reader.leave()
        self._interest.discard(reader, reader.viewer)
        if reader in self._ahead:
            self._ahead.remove(reader)

    def join(self, reader: Reader) -> None:
        """It has come as far as we are."""
        if reader.seq > self.seq:
            self._ahead.append(reader)  # it began with events that we have not handed out yet
        else:
            reader.is_live = True

    def start(self, task: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Run a task that waits for something on behalf of a reader, and does not fail."""
        self._nursery.start_soon(task, *args)

    def end(self) -> None:
        """Let every reader go: the server drains. Never waits. Doing it twice changes nothing."""
        self._ended = True
        for reader in self._interest:
            reader.fail(StreamEnded())

    async def run(self) -> None:
        """Hand out what is published, until the server drains."""
        subscription = self.broker.subscribe(self.seq)
        while True:
            try:
                records = await subscription.receive()
            except StreamEnded:
                self.end()
                return
            except StorageError:
                # We are behind the ring, and so is everybody. Each asks for itself, and ends as it would alone.
                before, self.seq = self.seq, self.broker.newest_seq
                subscription.seq = self.seq
                self._scatter(before)
                continue
            while records:
                batch = fitting(records, limits.PASS_BYTES)
                records = records[len(batch) :]
                await self._pass(batch)

    async def _pass(self, records: Sequence[EventRecord]) -> None:
        """Hand these out. Who can't take them falls behind by itself."""
        before, self.seq = self.seq, records[-1].seq
        self._go_on_with_those_ahead()
        try:
            handouts = self._handouts(records)
        except Exception:
            # Ours, but no reason to end the server: what is wrong with an event ends whoever is to be sent it.
            log.exception("handing out failed")
            self._scatter(before)
            return
        state, has_changed, handed_out = self._state(), False, 0
        for readers, batch in handouts:
            for reader in readers:
                if has_changed:
                    reader.fall_behind(before)  # what it may see is decided anew, for each event
                else:
                    self._offer(reader, batch, before)
                handed_out += 1
                if handed_out % limits.SENDS_AT_ONCE == 0:
                    await trio.lowlevel.checkpoint()
                    has_changed = state != self._state()

    def _offer(self, reader: Reader, batch: Batch, before: int) -> None:
        try:
            reader.offer(batch, before, self.seq)
        except Exception as error:
            reader.fail(error)

    def _handouts(self, records: Sequence[EventRecord]) -> list[tuple[tuple[Reader, ...], Batch]]:
        """Who is to be sent which of the events. Who sees the same of them shares one batch."""
        self._look_again()
        choices = dict[Circle[Reader], int]()
        for place, record in enumerate(records):
            bit = 1 << place
            for circle in self._interest.circles(record):
                choices[circle] = choices.get(circle, 0) | bit
        batches = {
            choice: self.frames.batch([record for place, record in enumerate(records) if choice >> place & 1])
            for choice in set(choices.values())
        }
        return [(tuple(circle.readers), batches[choice]) for circle, choice in choices.items()]

    def _go_on_with_those_ahead(self) -> None:
        ahead, self._ahead = self._ahead, []
        for reader in ahead:
            reader.go_on()

    def _state(self) -> _State:
        return _State(self.context.policy, self.leases.renewals, self.context.directory.room_changes)

    def _look_again(self) -> None:
        """Sort readers anew if their view may have changed."""
        state, agents_known = self._state(), self.context.directory.agent_changes
        before, self._sorted_under = self._sorted_under, state
        if before is None or before.policy is not state.policy or before.renewals != state.renewals:
            self._sort(self._interest)
        elif agents_known != self._agents_known:
            self._sort(reader for reader in self._interest if reader.follows_agents)
        self._agents_known = agents_known

    def _sort(self, readers: Iterable[Reader]) -> None:
        for reader in readers:
            viewer = reader.look()
            if viewer != reader.viewer:
                self._interest.discard(reader, reader.viewer)
                reader.viewer = self._interest.add(reader, viewer)

    def _scatter(self, before: int) -> None:
        """Let every reader go on alone from here."""
        for reader in self._interest:
            reader.fall_behind(before)


@asynccontextmanager
async def open_hub(broker: Broker, context: NetworkContext, leases: Leases) -> AsyncIterator[Hub]:
    """Run the hub for as long as the block lasts."""
    async with trio.open_nursery() as nursery:
        hub = Hub(broker, context, leases, nursery)
        nursery.start_soon(hub.run)
        nursery.start_soon(hub.timers.run)
        yield hub
        nursery.cancel_scope.cancel(reason="the network is closed")
