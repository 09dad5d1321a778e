"""One ordered mailbox per conversation, and the turns that empty them.

While a turn of a conversation runs, what arrives there waits, and then becomes one turn together. Different
conversations go on side by side, as far as the brakes let them (`bridge.brakes`). A conversation has a task only while
it has something to do.

A wake leaves its mailbox in one of two ways: its turn was finished, or it was given up and recorded as a dead letter.
Both are written to the ledger before the server hears of it.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import Protocol

import attrs
import trio

from bridge import limits
from bridge.activity import Activity, Outcome, PastTurn
from bridge.brakes import Brakes
from bridge.dead_letters import DeadLetters
from bridge.ledger import Ledger
from bridge.policy import Wake
from bridge.runtimes.runtime import Conversation, Runtime, RuntimeMisconfigured, Turn, TurnFailed
from bridge.status import AttachmentStatus
from moltnet.backoff import backoff_delays
from moltnet.log import get_logger

log = get_logger("bridge.conversation")

_CUT_TOO_OFTEN = "every turn with it was cut off by an end of the node"


class MakeTurn(Protocol):
    """Makes the turn for wakes of one conversation; `repeated` are those that were begun before."""

    async def __call__(self, conversation: Conversation, wakes: Sequence[Wake], repeated: frozenset[str]) -> Turn:
        """Raises `RuntimeMisconfigured`."""
        ...


@attrs.define(eq=False)
class Mailbox:
    """The wakes of one conversation that wait, in order."""

    conversation: Conversation
    activity: Activity
    waiting: deque[Wake] = attrs.field(factory=deque)

    def take_batch(self) -> tuple[Wake, ...]:
        """The oldest wakes that fit into one prompt; at least one, if any waits."""
        batch: list[Wake] = []
        left_bytes = limits.MAX_BATCH_BYTES
        while self.waiting and len(batch) < limits.MAX_BATCH_WAKES:
            left_bytes -= size_bytes(self.waiting[0])
            if batch and left_bytes < 0:
                break
            batch.append(self.waiting.popleft())
        return tuple(batch)


def size_bytes(wake: Wake) -> int:
    """About what a wake costs in memory and in a prompt."""
    return len(wake.body) + limits.WAKE_HEADER_BYTES


@attrs.define(eq=False)
class Conversations:
    """All conversations of one attachment. Their tasks run in the nursery that is given."""

    _nursery: trio.Nursery
    _runtime: Runtime
    _make_turn: MakeTurn
    _ledger: Ledger
    _dead_letters: DeadLetters
    _status: AttachmentStatus
    _brakes: Brakes
    _settle: Callable[[Sequence[Wake]], Awaitable[None]]
    """Tells the server that wakes are done with. Raises nothing."""
    _stop: Callable[[RuntimeMisconfigured], None]
    """Told that no turn can succeed."""
    _mailboxes: dict[str, Mailbox] = attrs.field(factory=dict, init=False)
    _pauses: set[trio.CancelScope] = attrs.field(factory=set, init=False)
    """Waits between turns, which end when no turn may start any more."""
    _closing: bool = attrs.field(default=False, init=False)
    _held_bytes: int = attrs.field(default=0, init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    @property
    def is_full(self) -> bool:
        """Whether so much waits that nothing more should be taken from the server."""
        return self._status.waiting_wakes >= limits.MAX_WAITING_WAKES or self._held_bytes >= limits.MAX_WAITING_BYTES

    async def wait_room(self) -> None:
        """Until half of what may wait is done."""
        while (
            self._status.waiting_wakes > limits.MAX_WAITING_WAKES // 2
            or self._held_bytes > limits.MAX_WAITING_BYTES // 2
        ):
            await self._changed.wait()

    def deliver(self, wake: Wake, ahead_of: Collection[str] = ()) -> None:
        """Put a wake into its mailbox, before those with an event id in `ahead_of`; one that is closed leaves it to the
        server, or the ledger, which will deliver it again."""
        if self._closing:
            return
        conversation = Conversation.of_target(wake.message.network_id, wake.message.target)
        mailbox = self._mailboxes.get(conversation.key)
        if mailbox is None:
            activity = self._status.activities[conversation.key] = Activity(conversation.key)
            mailbox = self._mailboxes[conversation.key] = Mailbox(conversation, activity)
            self._nursery.start_soon(self._serve, mailbox, name=f"conversation {conversation.key}")
        later = (place for place, waiting in enumerate(mailbox.waiting) if waiting.event_id in ahead_of)
        mailbox.waiting.insert(next(later, len(mailbox.waiting)), wake)
        self._hold(mailbox, wake, 1)

    def close(self) -> None:
        """Start no more turns. Those that run go on."""
        self._closing = True
        for pause in self._pauses:
            pause.cancel(reason="no more turns are started")

    async def wait_idle(self) -> None:
        """Until no conversation has anything to do, or, after `close`, until no turn runs."""
        while self._mailboxes:
            await self._changed.wait()

    async def _serve(self, mailbox: Mailbox) -> None:
        """The task of one conversation, from its first wake to the end of its work."""
        again: tuple[Wake, ...] = ()
        delays = _retry_delays()
        try:
            while again or mailbox.waiting:
                async with AsyncExitStack() as held:
                    with self._pause() as pause:
                        await held.enter_async_context(self._brakes.slot(mailbox.activity))
                    if pause.cancelled_caught:
                        return
                    # Taken only now, so that what came while we were held back is in it.
                    again = await self._attempt(mailbox, again or mailbox.take_batch())
                if not again:
                    delays = _retry_delays()
                    continue
                delay_seconds = next(delays)
                mailbox.activity.retry(delay_seconds)
                with self._pause() as pause:
                    await trio.sleep(delay_seconds)
                if pause.cancelled_caught:
                    return
        except RuntimeMisconfigured as error:
            self.close()
            self._stop(error)
        finally:
            del self._mailboxes[mailbox.conversation.key]
            # What was not finished waits at the server now; the status outlives us, and would count it twice.
            self._status.waiting_wakes -= mailbox.activity.messages
            del self._status.activities[mailbox.conversation.key]
            self._note_change()

    async def _attempt(self, mailbox: Mailbox, batch: tuple[Wake, ...]) -> tuple[Wake, ...]:
        """One turn for `batch`. Returns the wakes that have to be tried again, later."""
        conversation = mailbox.conversation
        batch = await self._give_up_spent(mailbox, batch, _CUT_TOO_OFTEN)
        if not batch:
            return ()
        event_ids = [wake.event_id for wake in batch]
        repeated = frozenset(event_id for event_id in event_ids if self._ledger.was_begun(event_id))
        turn = await self._make_turn(conversation, batch, repeated)
        self._brakes.count(conversation.key)
        await self._ledger.start(event_ids)
        try:
            seconds = await self._run(turn, mailbox.activity, len(batch))
        except TurnFailed as failure:
            log.warning(
                "turn failed", conversation=conversation.key, retryable=failure.retryable, reason=failure.reason
            )
            if failure.retryable:
                return await self._give_up_spent(mailbox, batch, failure.reason)
            await self._give_up(mailbox, batch, failure.reason)
        except Exception as error:
            # Whose fault it is is not known. If it is the message's, its attempts will be spent one day.
            if isinstance(error, RuntimeMisconfigured):
                self._ledger.interrupt(event_ids)
            raise
        except BaseException:
            self._ledger.interrupt(event_ids)
            raise
        else:
            self._status.finished_turns += 1
            await self._finish(mailbox, batch)
            # Said when it is on disk: from here on it is never done again.
            log.info("turn finished", conversation=conversation.key, wakes=len(batch), seconds=seconds)
        return ()

    async def _run(self, turn: Turn, activity: Activity, wakes: int) -> float:
        """Run one turn; how many seconds it took."""
        log.info("turn started", conversation=turn.conversation.key, wakes=wakes, reason=turn.reason)
        began = trio.current_time()
        outcome, reason = Outcome.CUT, ""
        self._status.running_turns += 1
        activity.run()
        try:
            await self._runtime.run_turn(turn)
            outcome = Outcome.FINISHED
        except (TurnFailed, RuntimeMisconfigured) as failure:
            outcome, reason = Outcome.FAILED, failure.reason
            raise
        finally:
            self._status.running_turns -= 1
            ended_at = trio.current_time()
            seconds = round(ended_at - began, 1)
            self._status.past_turns.append(PastTurn(turn.conversation.key, wakes, ended_at, seconds, outcome, reason))
        return seconds

    async def _give_up_spent(self, mailbox: Mailbox, batch: tuple[Wake, ...], reason: str) -> tuple[Wake, ...]:
        """Give up the wakes that have no attempt left; returns the others."""
        spent = [wake for wake in batch if self._ledger.attempts(wake.event_id) >= limits.MAX_TURN_ATTEMPTS]
        if spent:
            await self._give_up(mailbox, spent, reason)
        return tuple(wake for wake in batch if wake not in spent)

    async def _give_up(self, mailbox: Mailbox, wakes: Sequence[Wake], reason: str) -> None:
        attempts = max(self._ledger.attempts(wake.event_id) for wake in wakes)
        await self._dead_letters.record(mailbox.conversation, wakes, attempts, reason)
        self._status.given_up_wakes += len(wakes)
        await self._finish(mailbox, wakes)

    async def _finish(self, mailbox: Mailbox, wakes: Sequence[Wake]) -> None:
        await self._ledger.finish([wake.event_id for wake in wakes])
        for wake in wakes:
            self._hold(mailbox, wake, -1)
        self._status.cursor = self._ledger.cursor
        self._note_change()
        await self._settle(wakes)

    def _hold(self, mailbox: Mailbox, wake: Wake, sign: int) -> None:
        mailbox.activity.messages += sign
        self._status.waiting_wakes += sign
        self._held_bytes += sign * size_bytes(wake)

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    @contextmanager
    def _pause(self) -> Iterator[trio.CancelScope]:
        """Around a wait that `close` ends."""
        with trio.CancelScope() as scope:
            self._pauses.add(scope)
            if self._closing:
                scope.cancel(reason="no more turns are started")
            try:
                yield scope
            finally:
                self._pauses.remove(scope)


def _retry_delays() -> Iterator[float]:
    return backoff_delays(base_seconds=limits.TURN_RETRY_BASE_SECONDS, cap_seconds=limits.TURN_RETRY_CAP_SECONDS)
