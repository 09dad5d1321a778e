"""Forgetting what is older than the configuration wants it kept: a service beside the journal, in small steps.

What goes, and what never does, is decided in ``moltnet.storage.plan_pruning``; each step is one command like any other.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import attrs
import trio

from moltnet.journal import Journal, JournalClosed
from moltnet.log import get_logger
from moltnet.metrics import RetentionMetrics
from moltnet.protocol.times import WallClock, format_timestamp
from moltnet.storage import limits
from moltnet.storage.approval_commands import SweepApprovals
from moltnet.storage.commands import Prune
from moltnet.storage.store import StorageError

log = get_logger("retention")


@attrs.frozen
class Retention:
    """How long events are kept, and messages; ``None`` keeps messages for ever."""

    events: timedelta
    messages: timedelta | None = None


@asynccontextmanager
async def open_retention(
    journal: Journal, retention: Retention, clock: WallClock, metrics: RetentionMetrics | None = None
) -> AsyncIterator[None]:
    """Forget old events and messages now and then, for as long as the block lasts. ``clock`` says what is old."""
    metrics = metrics or RetentionMetrics.on()
    pruning = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_prune_regularly, pruning, journal, retention, clock, metrics)
        try:
            yield
        finally:
            # A step that is under way is committed all the same.
            pruning.cancel()


async def _prune_regularly(
    scope: trio.CancelScope, journal: Journal, retention: Retention, clock: WallClock, metrics: RetentionMetrics
) -> None:
    with scope:
        while True:
            await trio.sleep(limits.PRUNE_INTERVAL_SECONDS)
            try:
                await sweep_approvals(journal, retention, clock)
                await prune_old(journal, retention, clock, metrics)
            except StorageError as error:
                # It will be as old the next time. Whoever waits for an answer hears more of this storage.
                log.warning("pruning failed", reason=str(error))
            except JournalClosed:
                return


async def prune_old(journal: Journal, retention: Retention, clock: WallClock, metrics: RetentionMetrics) -> None:
    """Forget all that is old by now. Others commit between the steps.

    Raises ``StorageError``, ``JournalClosed``; what went before is gone. Cancelled, at most one more step is made.
    """
    now = clock()
    step = Prune(
        events_before=now - retention.events,
        messages_before=None if retention.messages is None else now - retention.messages,
        limit=limits.MAX_PRUNED_ROWS,
    )
    events = messages = 0
    while True:
        pruned = await journal.commit(step)
        metrics.pruned(pruned.events, pruned.messages)
        events, messages = events + pruned.events, messages + pruned.messages
        if not (pruned.events or pruned.messages):
            break
        await trio.sleep(limits.PRUNE_PAUSE_SECONDS)
    if events or messages:
        log.info("old events and messages removed", events=events, messages=messages)


async def sweep_approvals(journal: Journal, retention: Retention, clock: WallClock) -> None:
    """Let approvals expire that nobody decided in time, and forget decided ones when events of that age are forgotten.

    Raises as ``prune_old`` does.
    """
    now = clock()
    step = SweepApprovals(format_timestamp(now), now - retention.events, limits.MAX_PRUNED_ROWS)
    expired = forgotten = 0
    while True:
        swept = await journal.commit(step)
        expired, forgotten = expired + swept.expired, forgotten + swept.forgotten
        if max(swept.expired, swept.forgotten) < step.limit:
            break
        await trio.sleep(limits.PRUNE_PAUSE_SECONDS)
    if expired or forgotten:
        log.info("approvals expired or removed", expired=expired, removed=forgotten)
