"""The messages that wake one agent, as they come: over one attachment after the other, each acknowledged when handled.

Here it is decided when to attach again and what is settled when. One attachment is ``attachment``; who is meant by a
message is ``moltnet.protocol.addressing``.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Self

import attrs
import trio

from moltnet.backoff import backoff_delays
from moltnet.client import limits
from moltnet.client.attachment import Attachment
from moltnet.client.errors import AttachRefused, ConnectionLost, single_error
from moltnet.protocol.attachment import Delivered, Unreadable
from moltnet.protocol.events import EventType
from moltnet.protocol.messages import Message

Attach = Callable[[str], AbstractAsyncContextManager[Attachment]]
"""Attaches, to receive what comes after a cursor."""


@attrs.define(eq=False)
class _Handed:
    """A message on its way through the loop's body."""

    message: Message
    handled: trio.Event = attrs.field(factory=trio.Event, init=False)
    settled: trio.Event = attrs.field(factory=trio.Event, init=False)


@attrs.define(eq=False)
class Wakes:
    """``async for message in wakes``: every message that wakes the agent, in the server's order, for as long as wanted.

    A message is acknowledged when the next one is asked for, or by ``ack``. A lost connection is made again after the
    last one that was handled, with growing delays and without limit: bound the loop with a scope. One task iterates.
    Cancelled, or left by an exception or ``break``, the message at hand is not acknowledged and comes again to whoever
    begins after ``cursor``.
    """

    cursor: str
    """The place in the network's events after which everything is still to come. Keep it to go on there another day."""
    _attach: Attach
    _wanted: Callable[[Message], bool]
    _arrived: trio.MemorySendChannel[_Handed]
    _messages: trio.MemoryReceiveChannel[_Handed]
    gaps: int = attrs.field(default=0, init=False)
    """How often events were missing, because the network does not have them any more."""
    _at_hand: _Handed | None = attrs.field(default=None, init=False)
    _refusal: AttachRefused | None = attrs.field(default=None, init=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        """The next message. Raises ``AttachRefused`` when the server will not have the agent any more."""
        if self._at_hand is not None:
            self._at_hand.handled.set()
            self._at_hand = None
        try:
            self._at_hand = await self._messages.receive()
        except trio.EndOfChannel:
            assert self._refusal is not None
            raise AttachRefused(self._refusal.reason, certain=self._refusal.certain) from self._refusal
        return self._at_hand.message

    async def ack(self) -> None:
        """Acknowledge the message at hand now: before leaving the loop, for example. Nothing without one."""
        if self._at_hand is None:
            await trio.lowlevel.checkpoint()
            return
        self._at_hand.handled.set()
        await self._at_hand.settled.wait()

    async def _stay_attached(self, task_status: trio.TaskStatus[None]) -> None:
        """Attach, and again after every loss. The first refusal is raised before ``started``, and kept after it."""
        delays = _delays()
        refused_at: float | None = None
        has_started = False
        while True:
            attached_at: float | None = None
            asked_seconds = 0.0
            try:
                async with self._attach(self.cursor) as attachment:
                    attached_at, refused_at = trio.current_time(), None
                    self.cursor = self.cursor or attachment.ready.cursor
                    if not has_started:
                        has_started = True
                        task_status.started()
                    async for delivery in attachment:
                        await self._take(delivery, attachment)
            except ConnectionLost as lost:
                asked_seconds = lost.retry_after_seconds
            except AttachRefused as refusal:
                now = trio.current_time()
                refused_at = now if refused_at is None else refused_at
                if refusal.certain or now - refused_at >= limits.REFUSAL_PATIENCE_SECONDS:
                    if not has_started:
                        raise
                    self._refusal = refusal
                    self._arrived.close()
                    return
            if attached_at is not None and trio.current_time() - attached_at >= limits.HEALTHY_SECONDS:
                delays = _delays()
            # Never sooner than the server wants, and never as late as a broken one might.
            await trio.sleep(max(next(delays), min(asked_seconds, limits.MAX_RETRY_AFTER_SECONDS)))

    async def _take(self, delivery: Delivered | Unreadable, attachment: Attachment) -> None:
        """One delivery, to its end: what wakes nobody is settled at once."""
        event = delivery.event if isinstance(delivery, Delivered) else None
        if event is not None and event.type == EventType.REPLAY_GAP:
            # No place to resume after: a server that is asked for it sends the same again.
            self.gaps += 1
            await attachment.ack(delivery.cursor)
            return
        message = event.message if event is not None and event.type == EventType.MESSAGE_CREATED else None
        handed = None
        if message is not None and self._wanted(message):
            handed = _Handed(message)
            await self._arrived.send(handed)
            await handed.handled.wait()
        self.cursor = delivery.cursor
        # Lost with the connection, it is settled all the same: the next one begins behind it.
        with suppress(ConnectionLost):
            await attachment.ack(delivery.cursor)
        if handed is not None:
            handed.settled.set()


@asynccontextmanager
async def open_wakes(attach: Attach, wanted: Callable[[Message], bool], cursor: str = "") -> AsyncIterator[Wakes]:
    """The messages that ``wanted`` lets pass, after ``cursor`` or from now on. Entered when the agent is attached.

    Raises:
        AttachRefused: the server will not have the agent. A server that is not there is waited for.
    """
    with single_error():
        async with trio.open_nursery() as nursery:
            wakes = Wakes(cursor, attach, wanted, *trio.open_memory_channel[_Handed](0))
            await nursery.start(wakes._stay_attached)
            yield wakes
            nursery.cancel_scope.cancel(reason="the wakes are left")


def _delays() -> Iterator[float]:
    return backoff_delays(base_seconds=limits.RECONNECT_BASE_SECONDS, cap_seconds=limits.RECONNECT_CAP_SECONDS)
