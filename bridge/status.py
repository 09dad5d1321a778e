"""What one attachment is doing, for logs and for whoever asks: a plain value, changed in place by the one who does it.

Every change of state is logged here, so that a log tells the story of an attachment in one wording.
"""

from collections import deque
from collections.abc import Callable
from enum import StrEnum

import attrs
import structlog
import trio

from bridge import limits
from bridge.activity import Activity, PastTurn, WaitingApproval
from moltnet.config.secrets import Secret
from moltnet.log import get_logger


class AttachmentState(StrEnum):
    CONNECTING = "connecting"
    ATTACHED = "attached"
    BACKING_OFF = "backing off"
    PARKED = "parked"
    DRAINING = "draining"
    STOPPED = "stopped"


@attrs.define(eq=False)
class AttachmentStatus:
    """One attachment now. Times are of Trio's clock, in seconds."""

    agent_id: str
    network_id: str
    _now: Callable[[], float] = trio.current_time
    state: AttachmentState = attrs.field(default=AttachmentState.CONNECTING, init=False)
    since: float | None = attrs.field(default=None, init=False)
    """When it came into this state; none if it has not run yet."""
    retry_at: float | None = attrs.field(default=None, init=False)
    """When it goes on, backing off or parked."""
    last_error: str = attrs.field(default="", init=False)
    """Why it is backing off or parked, or why it was the last time."""
    running_turns: int = attrs.field(default=0, init=False)
    waiting_wakes: int = attrs.field(default=0, init=False)
    finished_turns: int = attrs.field(default=0, init=False)
    given_up_wakes: int = attrs.field(default=0, init=False)
    cursor: str = attrs.field(default="", init=False)
    activities: dict[str, Activity] = attrs.field(factory=dict, init=False)
    """The conversations that have something to do, by their keys."""
    approvals: dict[str, WaitingApproval] = attrs.field(factory=dict, init=False)
    """The wakes that wait for an operator, by their event ids, in the order in which they came."""
    approvals_problem: str = attrs.field(default="", init=False)
    """Why the server can't be asked for approval now."""
    refused_wakes: int = attrs.field(default=0, init=False)
    """Denied, or not approved in time."""
    past_turns: deque[PastTurn] = attrs.field(factory=lambda: deque(maxlen=limits.PAST_TURNS), init=False)
    used_token: Secret | None = attrs.field(default=None, init=False, repr=False)
    """The token of the present or the last connection; none if none could be had."""
    _told: str = attrs.field(default="", init=False)
    """The trouble that is in the log since the attachment last worked: once is enough."""
    _log: structlog.stdlib.BoundLogger = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._log = get_logger("bridge").bind(agent_id=self.agent_id, network_id=self.network_id)

    def connecting(self) -> None:
        self._enter(AttachmentState.CONNECTING)

    def attached(self) -> None:
        self._enter(AttachmentState.ATTACHED)
        self._told = ""
        self._log.info("attached", cursor=self.cursor)

    def backing_off(self, reason: str, delay_seconds: float) -> None:
        self._enter(AttachmentState.BACKING_OFF, reason, delay_seconds)
        tell = self._log.warning if self._is_news(reason) else self._log.debug
        tell("no connection, trying again", reason=reason, retry_seconds=round(delay_seconds, 1))

    def parked(self, reason: str, delay_seconds: float) -> None:
        self._enter(AttachmentState.PARKED, reason, delay_seconds)
        tell = self._log.error if self._is_news(reason) else self._log.debug
        tell(
            "parked, someone has to change something",
            reason=reason,
            then=f"looked at again in {delay_seconds / 60:g} min; moltnet node reload tries now",
        )

    def taken(self, reason: str, delay_seconds: float) -> None:
        """Parked as well, but nothing is wrong here: another process runs the attachment, and may end at any time."""
        self._enter(AttachmentState.PARKED, reason, delay_seconds)
        tell = self._log.warning if self._is_news(reason) else self._log.debug
        tell(reason)

    def draining(self) -> None:
        self._enter(AttachmentState.DRAINING)
        self._log.info("draining", running_turns=self.running_turns, waiting_wakes=self.waiting_wakes)

    def stopped(self) -> None:
        self._enter(AttachmentState.STOPPED)
        self._log.info("stopped", cursor=self.cursor)

    def _is_news(self, reason: str) -> bool:
        told, self._told = self._told, reason
        return reason != told

    def _enter(self, state: AttachmentState, reason: str = "", delay_seconds: float | None = None) -> None:
        now = self._now()
        self.state = state
        self.since = now
        self.retry_at = None if delay_seconds is None else now + delay_seconds
        if reason:
            self.last_error = reason
