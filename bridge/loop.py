"""One attachment, from its start to its end: attach, deliver, run turns, ACK; and again after a loss.

The tasks of one attachment, and who owns them::

    run_attachment                       whoever cancels it reaches every leaf
    └── turns                            a nursery that outlives connections: losing one cuts no turn
        ├── ask for approval             about wakes that wait for an operator (`bridge.approvals`)
        ├── save_lazily                  the place among ignored events, on disk within a second
        ├── conversation <key>           one per conversation that has something to do (`bridge.conversation`)
        │   └── run_turn                 the runtime: a process in a group of its own
        └── connection                   a nursery that ends first, and politely
            ├── end_on_drain             waits for the node to stop
            └── stay_attached            look, connect, deliver; wait and do it again after a loss
                └── open_websocket       one connection
                    ├── _reader_task     trio-websocket: bytes to messages
                    ├── _read            frames to deliveries; answers PING whatever the turns do (`bridge.attachment`)
                    └── RoomCheck.run    a look at the bound rooms, once, which holds nothing up (`bridge.room_check`)

Three things end an attachment: the drain, a refusal by the server, a runtime that cannot work. All end it in one way:
no new turn is started, running ones get `limits.TURN_DRAIN_SECONDS`, the connection says goodbye, what still runs is
cancelled. The ledger keeps what was cut as begun, and the server what was not ACKed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial

import attrs
import structlog
import trio

from bridge import limits
from bridge.approvals import Approvals
from bridge.attachment import Attachment, open_attachment
from bridge.brakes import Brakes
from bridge.config import AttachmentConfig
from bridge.conversation import Conversations
from bridge.credential import find_token
from bridge.desk import Desk
from bridge.errors import AttachRefused, ConnectionLost, single_error
from bridge.ledger import Ledger, Standing, open_ledger
from bridge.missed import Missed
from bridge.policy import Ignored, Wake, judge, needs_approval
from bridge.preflight import check_server
from bridge.publishing import speaking
from bridge.render import render_body
from bridge.room_check import RoomCheck
from bridge.runtimes.registry import open_runtime
from bridge.runtimes.runtime import Runtime
from bridge.status import AttachmentStatus
from bridge.turns import TurnMaker
from moltnet.backoff import backoff_delays
from moltnet.config.secrets import Secret
from moltnet.log import get_logger
from moltnet.protocol.attachment import Delivered, Unreadable
from moltnet.protocol.events import Event, EventType
from moltnet.protocol.times import format_timestamp, utc_now

log = get_logger("bridge.loop")

OpenRuntime = Callable[[AttachmentConfig], AbstractAsyncContextManager[Runtime]]


async def run_attachment(
    config: AttachmentConfig,
    *,
    drain: trio.Event,
    status: AttachmentStatus,
    environ: Mapping[str, str],
    node_slots: trio.CapacityLimiter,
    open_runtime: OpenRuntime = open_runtime,
    desk: Desk | None = None,
) -> None:
    """Keep one agent attached until `drain` is set.

    Cancelled, running turns are cut as their runtimes define it, and nothing is lost. `node_slots` bounds the turns of
    all attachments together; `desk` is where an operator has dead letters tried again.

    Raises:
        AttachRefused, RuntimeMisconfigured: trying again cannot help before someone changes something.
        StateInUse: another process runs this attachment.
        OSError: the state cannot be kept, so nothing may be done.
    """
    who = {"agent_id": config.agent.id, "network_id": config.server.network_id}
    with structlog.contextvars.bound_contextvars(**who):
        desk = Desk(config) if desk is None else desk
        async with open_runtime(config) as runtime, open_ledger(config.state_dir, desk.owner) as ledger:
            ending = _Ending(status)
            missed = Missed(config, environ, ledger, desk.letters, status, partial(_as_wake, config))
            link = _Link(config, environ, ledger, status, RoomCheck(config, environ), missed)
            with single_error():
                async with trio.open_nursery() as turns:
                    conversations = Conversations(
                        turns,
                        speaking(runtime, config, environ),
                        TurnMaker(config, environ, link.rooms.names).make,
                        ledger,
                        desk.letters,
                        status,
                        Brakes(config.brakes, node_slots, ledger.turns),
                        link.settle,
                        ending.because,
                    )
                    approvals = Approvals(config, environ, ledger, desk.letters, status, conversations.deliver)
                    turns.start_soon(ledger.save_lazily)
                    turns.start_soon(approvals.run)
                    await _take_up(config, ledger, conversations, approvals)

                    async def retake(wakes: Sequence[Wake]) -> None:
                        for wake in await ledger.retake(wakes):
                            conversations.deliver(wake)

                    with desk.attended(retake):
                        async with trio.open_nursery() as connection:
                            connection.start_soon(_end_on_drain, drain, ending)
                            connection.start_soon(_end_on_refusal, link, conversations, approvals, ending)
                            await ending.wait()
                            conversations.close()
                            with trio.move_on_after(limits.TURN_DRAIN_SECONDS):
                                await conversations.wait_idle()
                            await link.leave()
                            connection.cancel_scope.cancel(reason="the attachment ends")
                    turns.cancel_scope.cancel(reason="the attachment ends and the drain is over")
        if ending.error is not None:
            raise ending.error


@attrs.define(eq=False)
class _Ending:
    """What ends the attachment; of several things the first. No error means the drain."""

    _status: AttachmentStatus
    error: Exception | None = attrs.field(default=None, init=False)
    _come: trio.Event = attrs.field(factory=trio.Event, init=False)

    def because(self, error: Exception | None) -> None:
        if not self._come.is_set():
            self.error = error
            self._come.set()
            self._status.draining()

    async def wait(self) -> None:
        await self._come.wait()


async def _end_on_drain(drain: trio.Event, ending: _Ending) -> None:
    await drain.wait()
    ending.because(None)


async def _end_on_refusal(link: "_Link", conversations: Conversations, approvals: Approvals, ending: _Ending) -> None:
    try:
        await link.stay_attached(conversations, approvals)
    except AttachRefused as refusal:
        ending.because(refusal)


@attrs.define(eq=False)
class _Link:
    """The connection to the server: whichever it is now, or none."""

    _config: AttachmentConfig
    _environ: Mapping[str, str]
    _ledger: Ledger
    _status: AttachmentStatus
    rooms: RoomCheck
    _missed: Missed
    _attachment: Attachment | None = attrs.field(default=None, init=False)
    _attached_at: float | None = attrs.field(default=None, init=False)
    """When the present or the last connection got past READY; none if it did not."""
    _refused_at: float | None = attrs.field(default=None, init=False)
    """When the first of the refusals came that are all we have heard since."""
    _leaving: bool = attrs.field(default=False, init=False)
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _gone: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def stay_attached(self, conversations: Conversations, approvals: Approvals) -> None:
        """Attach, and again after every loss, until `leave`. Raises `AttachRefused`."""
        delays = _reconnect_delays()
        try:
            with self._scope:
                while not self._leaving:
                    asked_seconds = 0.0
                    await conversations.wait_room()
                    try:
                        await self._attach(conversations, approvals)
                        continue
                    except ConnectionLost as lost:
                        reason, asked_seconds = lost.reason, lost.retry_after_seconds
                    except AttachRefused as refusal:
                        reason = refusal.reason
                        if refusal.certain or not self._is_patient():
                            raise
                    if self._was_healthy():
                        delays = _reconnect_delays()
                    # Never sooner than the server wants, and never as late as a broken one might.
                    delay_seconds = max(next(delays), min(asked_seconds, limits.MAX_RETRY_AFTER_SECONDS))
                    self._status.backing_off(reason, delay_seconds)
                    await trio.sleep(delay_seconds)
        finally:
            self._gone.set()

    async def leave(self) -> None:
        """Say goodbye if attached; give up connecting or waiting otherwise. Returns when that is done."""
        self._leaving = True
        if self._attachment is not None:
            self._attachment.leave()
        else:
            self._scope.cancel(reason="the attachment ends")
        await self._gone.wait()

    async def settle(self, wakes: Sequence[Wake]) -> None:
        """ACK wakes that are done with. Those of a lost connection are ACKed when they are delivered again."""
        for wake in wakes:
            if self._attachment is not None:
                with suppress(ConnectionLost):
                    await self._attachment.ack(wake.cursor)

    async def _attach(self, conversations: Conversations, approvals: Approvals) -> None:
        """One connection, until it is lost, or left because we end or hold too much. Raises its end."""
        self._attached_at = None
        self._status.connecting()
        self._status.used_token = None
        token = await find_token(self._config, self._environ)
        self._status.used_token = None if token is None else Secret(token)
        await check_server(self._config, token, self._environ)
        async with open_attachment(self._config, token, self._ledger.rewind(), self._environ) as attachment:
            if self._ledger.is_fresh and attachment.ready.cursor:
                # Our place in the log, kept before anything has come: a crash from here on loses nothing.
                await self._ledger.begin(attachment.ready.cursor, None, format_timestamp(utc_now()))
            self._attached_at = trio.current_time()
            self._refused_at = None
            if attachment.ready.agent_token:
                self._status.used_token = Secret(attachment.ready.agent_token)
            self._status.attached()
            self._attachment = attachment
            try:
                async with self.rooms.beside():
                    await self._receive(attachment, conversations, approvals)
            finally:
                self._attachment = None

    async def _receive(self, attachment: Attachment, conversations: Conversations, approvals: Approvals) -> None:
        """Take what is delivered, until the connection is left or lost, or too much waits."""
        async for delivery in attachment:
            if isinstance(delivery, Unreadable):
                await self._skip(delivery, attachment)
            else:
                await self._take(delivery, attachment, conversations, approvals)
            if conversations.is_full:
                log.warning("too much waits, so the connection is left", waiting=self._status.waiting_wakes)
                return

    async def _skip(self, event: Unreadable, attachment: Attachment) -> None:
        """Pass over an event that only a newer bridge can read, and come to those behind it."""
        log.warning("event skipped: it can't be read", cursor=event.cursor, reason=event.reason)
        if self._ledger.is_fresh:
            await self._ledger.begin(event.cursor, None)
        else:
            self._ledger.ignore(event.cursor)
        await attachment.ack(event.cursor)

    async def _take(
        self, delivery: Delivered, attachment: Attachment, conversations: Conversations, approvals: Approvals
    ) -> None:
        """Decide what an event means to the agent. What wakes it is ACKed by its turn, everything else now."""
        event, cursor = delivery.event, delivery.cursor
        if event.approval is not None:
            await approvals.hear(event.approval)
        wake = _as_wake(self._config, event, cursor)
        if event.type == EventType.REPLAY_GAP:
            # No place to resume after: a server that is asked for it sends the same again.
            log.warning("events are missing: the server does not have them any more", resumed_after=self._ledger.cursor)
            for fetched in await self._missed.fetch(approvals):
                conversations.deliver(fetched)
            approvals.ask_again()
        elif wake is not None and needs_approval(self._config, wake.message.target):
            await self._hold(wake, approvals)
        elif self._ledger.is_fresh:
            await self._ledger.begin(cursor, None if wake is None else event, event.created_at)
            if wake is not None:
                conversations.deliver(wake)
                return
        elif wake is None:
            self._ledger.ignore(cursor, event.created_at)
        else:
            standing = self._ledger.receive(event.id, cursor, event.created_at)
            if standing is Standing.NEW:
                conversations.deliver(wake)
            if standing is not Standing.FINISHED:
                return
            # Its turn may have ended a moment ago.
            await self._ledger.save()
        self._status.cursor = self._ledger.cursor
        await attachment.ack(cursor)

    async def _hold(self, wake: Wake, approvals: Approvals) -> None:
        """Keep a wake that waits for approval, so that it can be ACKed now."""
        if self._ledger.is_fresh:
            await approvals.hold(wake)
            await self._ledger.begin(wake.cursor, None, wake.message.created_at)
        elif self._ledger.receive(wake.event_id, wake.cursor, wake.message.created_at) is Standing.FINISHED:
            await self._ledger.save()
        else:
            await approvals.hold(wake)

    def _is_patient(self) -> bool:
        if self._refused_at is None:
            self._refused_at = trio.current_time()
        return trio.current_time() - self._refused_at < limits.REFUSAL_PATIENCE_SECONDS

    def _was_healthy(self) -> bool:
        return self._attached_at is not None and trio.current_time() - self._attached_at >= limits.HEALTHY_SECONDS


async def _take_up(
    config: AttachmentConfig, ledger: Ledger, conversations: Conversations, approvals: Approvals
) -> None:
    """Go on with the wakes that only the ledger has. The very first one may wake no more, with another configuration;
    an operator's wish stands."""
    for retaken in ledger.retaken.values():
        conversations.deliver(retaken)
    if ledger.kept is None:
        return
    wake = _as_wake(config, ledger.kept, ledger.cursor)
    if wake is None:
        await ledger.finish([ledger.kept.id])
    elif needs_approval(config, wake.message.target):
        await approvals.hold(wake)
    else:
        conversations.deliver(wake)


def _as_wake(config: AttachmentConfig, event: Event, cursor: str = "") -> Wake | None:
    reason = judge(config, event)
    if event.message is None or isinstance(reason, Ignored):
        return None
    return Wake(event.id, cursor or event.id, attrs.evolve(event.message, parts=()), reason, render_body(event.message))


def _reconnect_delays() -> Iterator[float]:
    return backoff_delays(base_seconds=limits.RECONNECT_BASE_SECONDS, cap_seconds=limits.RECONNECT_CAP_SECONDS)
