"""Relaying what waits for one pairing, from the first row to the last and then as it comes (design §3.14).

In order within a conversation, several conversations at once. A message that is refused becomes a dead letter, one that
has no answer keeps its conversation waiting, and an unreachable network keeps the pairing waiting; nothing else does.
"""

from collections.abc import Iterator
from typing import Protocol

import attrs
import trio

from moltnet.backoff import backoff_delays
from moltnet.journal import Journal
from moltnet.log import get_logger
from moltnet.metrics import RelayMetrics
from moltnet.pairing.bell import Bell
from moltnet.pairing.lanes import Lane, Lanes
from moltnet.pairing.refusals import failed_over_message, failure_of, failure_without_end
from moltnet.pairing.relay_limits import (
    BARRED_SECONDS,
    LANE_ROWS,
    MAX_FAILED_ATTEMPTS,
    MAX_RETRY_AFTER_SECONDS,
    PAIRING_RETRY_BASE_SECONDS,
    PAIRING_RETRY_CAP_SECONDS,
    READ_ROWS,
    RELAY_SLOTS,
)
from moltnet.pairing.remote import Accepted, Refused, RemoteUnavailable
from moltnet.pairing.settlements import Settlements
from moltnet.protocol.messages import TargetKind
from moltnet.protocol.times import WallClock, format_timestamp
from moltnet.storage.outbox import OutboxRow, RelayFailure, RelayState
from moltnet.storage.store import Store

log = get_logger("relay")
_NEVER = float("inf")


class Standing(Protocol):
    """What is known of a paired network. ``moltnet.pairing.status`` has it."""

    @property
    def is_off(self) -> bool: ...

    def may_relay(self, kind: str) -> bool: ...

    def refresh_due(self, now: float) -> bool: ...


class Way(Protocol):
    """The way to a paired network. ``moltnet.pairing.links`` has it."""

    @property
    def id(self) -> str: ...

    @property
    def status(self) -> Standing: ...

    async def send_message(self, body: bytes) -> Accepted | Refused:
        """``Refused`` is this message alone. Raises ``RemoteUnavailable``."""
        ...

    async def check(self) -> object:
        """Ask the remote what it is. Raises ``RemoteUnavailable``."""
        ...


@attrs.define(eq=False)
class Courier:
    """Relays over one way, for as long as ``run`` does. It must be the only one for this pairing, wherever it runs."""

    way: Way
    store: Store
    journal: Journal
    wall_clock: WallClock
    metrics: RelayMetrics
    bell: Bell
    _lanes: Lanes = attrs.field(factory=Lanes, init=False)
    _settlements: Settlements = attrs.field(init=False)
    _under_way: int = attrs.field(default=0, init=False)
    _caught_up: bool = attrs.field(default=False, init=False)
    # While nothing is answered: when to try again, and only one message at a time.
    _pauses_until: float = attrs.field(default=float("-inf"), init=False)
    _is_probing: bool = attrs.field(default=False, init=False)
    _answered_at: float = attrs.field(default=float("-inf"), init=False)
    _delays: Iterator[float] = attrs.field(factory=lambda: _pairing_delays(), init=False)

    def __attrs_post_init__(self) -> None:
        self._settlements = Settlements(self.way.id, self.journal, self.bell.ring)

    async def run(self) -> None:
        """Returns when another one should begin at the beginning.

        Then, and cancelled, it may have sent what still waits; sent again, that changes nothing.

        Raises a group with ``StorageError`` or ``JournalClosed``.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._settlements.keep_writing)
            while True:
                if self.bell.listen():
                    self._caught_up = False
                await self._read()
                can_go = (len(self._lanes) > 0 or bool(self._lanes.left)) and await self._can_go()
                if can_go and any(map(self.way.status.may_relay, self._lanes.left)):
                    nursery.cancel_scope.cancel(reason="what was left may go")
                    return
                while can_go and (lane := self._next_lane()) is not None:
                    self._under_way += 1
                    nursery.start_soon(self._serve, lane)
                if self._caught_up or not self._lanes.has_room:
                    await self.bell.wait(self._look_again_at(can_go=can_go))

    async def _read(self) -> None:
        for lane in self._lanes.hungry():
            rows = await self.store.outbox(self.way.id, lane.last_seq, LANE_ROWS, lane.conversation)
            self._lanes.feed(lane, rows)
        if self._lanes.has_room and not self._caught_up:
            rows = await self.store.outbox(self.way.id, self._lanes.place, READ_ROWS)
            self._lanes.read(rows)
            self._caught_up = not rows

    async def _can_go(self) -> bool:
        """Whether the remote may be sent something now. Asks it how it is, if that is not known well enough."""
        status = self.way.status
        if trio.current_time() < self._pauses_until or self._settlements.are_many:
            return False
        if status.refresh_due(trio.current_time()):
            try:
                await self.way.check()
            except RemoteUnavailable as error:
                self._pause(error)
                return False
        return status.may_relay(TargetKind.ROOM)

    def _next_lane(self) -> Lane | None:
        if not self._has_slot or trio.current_time() < self._pauses_until:
            return None
        now = trio.current_time()
        return self._lanes.take(now, self.way.status.may_relay)

    @property
    def _has_slot(self) -> bool:
        return self._under_way < (1 if self._is_probing else RELAY_SLOTS)

    def _look_again_at(self, *, can_go: bool) -> float:
        now = trio.current_time()
        if not len(self._lanes) and not self._lanes.left:
            return _NEVER
        if now < self._pauses_until:
            return self._pauses_until
        # Whoever learns that more may go rings; this is in case that nobody did.
        later = now + BARRED_SECONDS if self._lanes.left or not can_go else _NEVER
        # Without a slot nobody could go whose rest is over; who gives one back rings.
        return min(later, self._lanes.next_rested()) if can_go and self._has_slot else later

    async def _serve(self, lane: Lane) -> None:
        """Send what is first in the lane, and some more, until something has no answer."""
        try:
            for _ in range(LANE_ROWS):
                if not lane.rows or not self.way.status.may_relay(lane.kind) or self._settlements.are_many:
                    break
                if not await self._relay(lane, lane.rows[0]):
                    break
        finally:
            self._under_way -= 1
            if lane.is_busy:
                self._lanes.put_back(lane)
            self.bell.ring()

    async def _relay(self, lane: Lane, row: OutboxRow) -> bool:
        """Send one message; says whether it is settled. If not, the lane rests."""
        try:
            outcome = await self.way.send_message(row.body)
        except RemoteUnavailable as error:
            self._failed(lane, row, error)
            return False
        self._answered_at = trio.current_time()
        if self._is_probing:
            self._is_probing, self._pauses_until, self._delays = False, float("-inf"), _pairing_delays()
        if isinstance(outcome, Refused):
            self._give_up(row, failure_of(outcome, format_timestamp(self.wall_clock())), row.state.attempts + 1)
        else:
            self.metrics.relayed["success"].inc()
            self._settlements.delivered(row.seq)
        self._lanes.drop_first(lane)
        lane.got_on()
        return True

    def _failed(self, lane: Lane, row: OutboxRow, error: RemoteUnavailable) -> None:
        """No answer, or none to this message: the lane rests, and the pairing pauses until something is answered."""
        self.metrics.relayed["error"].inc()
        self._pause(error)
        # Only while others are answered it may be for the message.
        is_blamed = failed_over_message(error) and self._answered_at > lane.failed_at
        lane.failed_at = trio.current_time()
        attempts = row.state.attempts + is_blamed
        if is_blamed and attempts >= MAX_FAILED_ATTEMPTS:
            self._give_up(row, failure_without_end(error, format_timestamp(self.wall_clock())), attempts)
            self._lanes.drop_first(lane)
            lane.got_on()
            return
        if is_blamed:
            state = RelayState(attempts)
            self._settlements.changed(row.seq, state)
            lane.rows[0] = attrs.evolve(row, state=state)
        # The lane is not to blame for the pairing's trouble, whose end it should not notice last.
        delay_seconds = lane.next_delay() if is_blamed else min(lane.next_delay(), PAIRING_RETRY_CAP_SECONDS)
        self._lanes.rest(lane, lane.failed_at + delay_seconds)

    def _give_up(self, row: OutboxRow, failure: RelayFailure, attempts: int) -> None:
        self.metrics.relayed["dropped"].inc()
        self._settlements.changed(row.seq, RelayState(attempts, failure))
        log.warning(
            "a paired network refused a message: it is a dead letter",
            pairing=self.way.id,
            message_id=row.message_id,
            conversation=row.conversation,
            status=failure.status,
            code=failure.code,
            reason=failure.message,
        )

    def _pause(self, error: RemoteUnavailable) -> None:
        now = trio.current_time()
        # What fails at the same time is one trouble, and the most patient answer counts.
        if now >= self._pauses_until:
            self._pauses_until = now + next(self._delays)
        asked_seconds = min(error.retry_after_seconds or 0.0, MAX_RETRY_AFTER_SECONDS)
        self._pauses_until = max(self._pauses_until, now + asked_seconds)
        self._is_probing = True


def _pairing_delays() -> Iterator[float]:
    return backoff_delays(base_seconds=PAIRING_RETRY_BASE_SECONDS, cap_seconds=PAIRING_RETRY_CAP_SECONDS)
