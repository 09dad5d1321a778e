"""What conversations of an attachment are doing and have done, for whoever asks. Nothing is decided here.

Held and run by `bridge.brakes` and `bridge.conversation`; shown as part of `bridge.status`.
"""

from enum import StrEnum

import attrs
import trio


class Work(StrEnum):
    """What a conversation does that has something to do."""

    STARTING = "starting"
    RUNNING = "running"
    HELD = "held"
    RETRYING = "retrying"


class Brake(StrEnum):
    """What holds a turn back."""

    COOLDOWN = "cooldown_seconds"
    BUDGET = "turns_per_hour"
    AGENT = "parallel_turns of the agent"
    NODE = "parallel_turns of the node"


class Outcome(StrEnum):
    FINISHED = "finished"
    FAILED = "failed"
    CUT = "cut"


@attrs.define(eq=False)
class Activity:
    """One conversation with something to do. Times are of Trio's clock."""

    conversation: str
    work: Work = attrs.field(default=Work.STARTING, init=False)
    brake: Brake | None = attrs.field(default=None, init=False)
    since: float = attrs.field(factory=trio.current_time, init=False)
    until: float | None = attrs.field(default=None, init=False)
    """When it goes on, if that is known."""
    messages: int = attrs.field(default=0, init=False)
    """That wait or are in the turn which runs."""

    def run(self) -> None:
        self._enter(Work.RUNNING)

    def retry(self, delay_seconds: float) -> None:
        self._enter(Work.RETRYING, delay_seconds=delay_seconds)

    def hold(self, brake: Brake, delay_seconds: float | None = None) -> None:
        self._enter(Work.HELD, brake, delay_seconds)

    def _enter(self, work: Work, brake: Brake | None = None, delay_seconds: float | None = None) -> None:
        now = trio.current_time()
        if (work, brake) != (self.work, self.brake):
            self.work, self.brake, self.since = work, brake, now
        self.until = None if delay_seconds is None else now + delay_seconds


@attrs.define(eq=False)
class WaitingApproval:
    """A wake that waits for an operator, since a time of Trio's clock; without `approval_id` not asked about yet."""

    event_id: str
    conversation: str
    sender: str
    reason: str
    since: float = attrs.field(factory=trio.current_time, init=False)
    approval_id: str = attrs.field(default="", init=False)
    expires_at: str = attrs.field(default="", init=False)


@attrs.frozen
class PastTurn:
    """A turn that has ended, at `ended_at` of Trio's clock. `reason` says why it was not finished."""

    conversation: str
    messages: int
    ended_at: float
    seconds: float
    outcome: Outcome
    reason: str = ""
