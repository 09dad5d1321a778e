"""The one writer: commands wait here, are committed together, published in that order, and only then answered.

Because every change of stored state passes through, the order of events is made in exactly one place.
"""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import attrs
import outcome
import trio

from moltnet.log import get_logger
from moltnet.metrics import JournalMetrics
from moltnet.protocol import limits
from moltnet.storage.commands import AnyCommand, AppendMessage, Command
from moltnet.storage.store import Committed, StorageError, StorageFull, Store

Out = TypeVar("Out")
Publish = Callable[[Committed], None]
log = get_logger("journal")


class JournalClosed(Exception):
    """The server is shutting down and takes no more changes."""


@attrs.define(eq=False)
class _Request:
    """``None`` commands nothing: it asks what other servers have committed, which every commit tells."""

    command: AnyCommand | None
    on_finish: Callable[[], None] = lambda: None
    finished: trio.Event = attrs.Factory(trio.Event)
    result: outcome.Outcome[Any] | None = None

    @property
    def size_bytes(self) -> int:
        """What it adds to a transaction; of all commands only messages are large."""
        if not isinstance(self.command, AppendMessage):
            return 0
        return len(self.command.body) + sum(len(relay.body) for relay in self.command.relays)

    def finish(self, result: outcome.Outcome[Any]) -> None:
        self.result = result
        self.finished.set()
        self.on_finish()


@attrs.define(eq=False)
class Journal:
    """The way in. Open one with ``open_journal``."""

    _requests: trio.MemorySendChannel[_Request]
    _waiting_bytes: int = attrs.field(default=0, init=False)

    @property
    def waiting(self) -> int:
        """How many commands wait for a commit."""
        return self._requests.statistics().current_buffer_used

    async def commit(self, command: Command[Out]) -> Out:
        """Store ``command`` durably and publish its events, then return its outcome.

        Waits while the queue is full. Cancelled while waiting for its turn to enter the queue, nothing happened;
        cancelled later, the command is committed all the same. Raises ``StorageError``, ``JournalClosed``.
        """
        return cast(Out, await self._finished(_Request(cast(AnyCommand, command))))

    async def catch_up(self) -> None:
        """Publish what other servers have committed by now. Waits and raises as ``commit`` does."""
        await self._finished(_Request(None))

    async def _finished(self, request: _Request) -> Any:
        if request.size_bytes and self._waiting_bytes + request.size_bytes > limits.MAX_QUEUED_BYTES:
            raise StorageError("too many messages wait for the storage")
        self._waiting_bytes += request.size_bytes

        def let_go() -> None:
            self._waiting_bytes -= request.size_bytes

        request.on_finish = let_go
        try:
            await self._requests.send(request)
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            let_go()
            raise JournalClosed("the server is shutting down") from None
        except trio.Cancelled:
            let_go()
            raise
        await request.finished.wait()
        assert request.result is not None  # set before ``finished``
        return request.result.unwrap()


@asynccontextmanager
async def open_journal(store: Store, publish: Publish, metrics: JournalMetrics | None = None) -> AsyncIterator[Journal]:
    """Run the writer. Leaving the block takes no more commands, commits those that wait, and ends the writer.

    What other servers commit to the same store is published too, in its place among our own commits. ``publish`` is
    called after each commit, before anybody is answered; it must not block.
    """
    send, receive = trio.open_memory_channel[_Request](limits.MAX_QUEUED_COMMANDS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_write_batches, receive, _Writer(store, publish, metrics or JournalMetrics.on()))
        following = trio.CancelScope()
        nursery.start_soon(_follow_others, send, store, following)
        with send:  # closed even when cancelled, which is what ends the writer
            try:
                yield Journal(send)
            finally:
                following.cancel()


@attrs.frozen(eq=False)
class _Writer:
    store: Store
    publish: Publish
    metrics: JournalMetrics


async def _follow_others(requests: trio.MemorySendChannel[_Request], store: Store, scope: trio.CancelScope) -> None:
    with scope:
        while True:
            await store.wait_changed()
            seen = _Request(None)
            await requests.send(seen)
            # What rings meanwhile is seen with it, or rings again.
            await seen.finished.wait()


async def _write_batches(requests: trio.MemoryReceiveChannel[_Request], writer: _Writer) -> None:
    # Never cut in the middle of a commit: this ends because the channel closes. The store's own timeouts bound it.
    with trio.CancelScope(shield=True):
        async for first in requests:
            batch, size_bytes = [first], first.size_bytes
            while len(batch) < limits.MAX_BATCH_COMMANDS and size_bytes < limits.MAX_BATCH_BYTES:
                try:
                    batch.append(requests.receive_nowait())
                except (trio.WouldBlock, trio.EndOfChannel):
                    break
                size_bytes += batch[-1].size_bytes
            await _write(batch, writer)


async def _write(batch: Sequence[_Request], writer: _Writer) -> None:
    """Commit one batch and answer every request in it. Does not raise."""
    began = time.perf_counter()
    commands = [request.command for request in batch if request.command is not None]
    try:
        committed = await writer.store.commit(commands)
    except StorageError as error:
        writer.metrics.failed("full" if isinstance(error, StorageFull) else "failed", time.perf_counter() - began)
        log.warning("commit failed", commands=len(commands), reason=str(error))
        for request in batch:
            # A fresh exception for each: an exception raised in several tasks collects all their tracebacks.
            request.finish(outcome.Error(type(error)(*error.args)))
        return
    except Exception as error:
        if len(batch) > 1:
            # One command that the planner chokes on must not fail its neighbours.
            for request in batch:
                await _write([request], writer)
            return
        writer.metrics.failed("crashed", time.perf_counter() - began)
        log.exception("commit crashed", command=type(batch[0].command).__name__)
        batch[0].finish(outcome.Error(StorageError(f"internal failure: {type(error).__name__}")))
        return
    if commands:
        writer.metrics.committed(len(commands), time.perf_counter() - began)
    try:
        writer.publish(committed)
    except Exception:
        # The commit is done, so the answer is yes; readers behind the ring still find the events in the store.
        log.exception("publishing crashed")
    results = iter(committed.outcomes)
    for request in batch:
        request.finish(outcome.Value(None if request.command is None else next(results)))
