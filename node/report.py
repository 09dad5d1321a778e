"""What a node is doing, as values that travel over its control socket and become JSON. No secrets, no messages' text.

Made from `bridge.status` and `bridge.activity`; shown to people by `node.report_text`.
"""

import os
from datetime import timedelta
from itertools import islice

import attrs
import trio

from bridge import limits
from bridge.activity import Activity, PastTurn, WaitingApproval, Work
from bridge.status import AttachmentState, AttachmentStatus
from moltnet import __version__
from moltnet.log import mask_text
from moltnet.protocol.codec import wire
from moltnet.protocol.times import WallClock, format_timestamp, utc_now
from node.child import Child
from node.supervisor import Node

ALWAYS = wire(always=True)


@attrs.frozen
class ConversationReport:
    """A conversation with something to do. `held_by` names the brake, `until` is when it goes on, if that is known."""

    conversation: str
    work: str
    since: str
    messages: int
    held_by: str = ""
    until: str = ""


@attrs.frozen
class TurnReport:
    conversation: str
    ended_at: str
    seconds: float
    messages: int
    outcome: str
    reason: str = ""


@attrs.frozen
class ApprovalReport:
    """A message that waits for an operator. Without `approval_id` the server has yet to hear of it."""

    event_id: str
    conversation: str
    sender: str
    reason: str
    since: str
    approval_id: str = attrs.field(default="", metadata=ALWAYS)
    expires_at: str = attrs.field(default="", metadata=ALWAYS)


@attrs.frozen
class AttachmentReport:
    """One attachment. `since` is when it came into `state`, `retry_at` when it is tried again, backing off or parked.

    `conversations` are at most `limits.REPORTED_CONVERSATIONS` of those with something to do, running turns first, and
    `approvals` as many of the `waiting_approvals`, the oldest. `approvals_problem`: why the server can't be asked now.
    """

    agent_id: str
    network_id: str
    runtime: str
    state: str
    since: str = attrs.field(default="", metadata=ALWAYS)
    retry_at: str = attrs.field(default="", metadata=ALWAYS)
    parked_reason: str = attrs.field(default="", metadata=ALWAYS)
    last_error: str = attrs.field(default="", metadata=ALWAYS)
    cursor: str = attrs.field(default="", metadata=ALWAYS)
    waiting_messages: int = attrs.field(default=0, metadata=ALWAYS)
    running_turns: int = attrs.field(default=0, metadata=ALWAYS)
    finished_turns: int = attrs.field(default=0, metadata=ALWAYS)
    given_up_messages: int = attrs.field(default=0, metadata=ALWAYS)
    conversations: tuple[ConversationReport, ...] = attrs.field(default=(), metadata=ALWAYS)
    last_turns: tuple[TurnReport, ...] = attrs.field(default=(), metadata=ALWAYS)
    waiting_approvals: int = attrs.field(default=0, metadata=ALWAYS)
    refused_messages: int = attrs.field(default=0, metadata=ALWAYS)
    approvals_problem: str = attrs.field(default="", metadata=ALWAYS)
    approvals: tuple[ApprovalReport, ...] = attrs.field(default=(), metadata=ALWAYS)


@attrs.frozen
class NodeReport:
    config: str
    pid: int
    version: str
    reported_at: str
    stopping: bool = attrs.field(metadata=ALWAYS)
    running_turns: int = attrs.field(metadata=ALWAYS)
    parallel_turns: int = attrs.field(metadata=ALWAYS)
    attachments: tuple[AttachmentReport, ...] = attrs.field(metadata=ALWAYS)


@attrs.frozen
class _Clock:
    """Trio's times as timestamps of the wall clock."""

    _wall: WallClock = utc_now

    def timestamp(self, moment: float | None) -> str:
        if moment is None:
            return ""
        seconds = moment - trio.current_time()
        return format_timestamp((self._wall() + timedelta(seconds=seconds)).replace(microsecond=0))


def report_node(node: Node, clock: WallClock = utc_now) -> NodeReport:
    """The node now."""
    times = _Clock(clock)
    return NodeReport(
        config=str(node.config.source),
        pid=os.getpid(),
        version=__version__,
        reported_at=times.timestamp(trio.current_time()),
        stopping=node.drain.is_set(),
        running_turns=int(node.slots.borrowed_tokens),
        parallel_turns=int(node.slots.total_tokens),
        attachments=tuple(_attachment(child, times) for child in node.children.values()),
    )


def _attachment(child: Child, times: _Clock) -> AttachmentReport:
    status: AttachmentStatus = child.status
    activities = sorted(status.activities.values(), key=lambda activity: activity.work is not Work.RUNNING)
    return AttachmentReport(
        agent_id=status.agent_id,
        network_id=status.network_id,
        runtime=child.config.runtime.kind,
        state=status.state,
        since=times.timestamp(status.since),
        retry_at=times.timestamp(status.retry_at),
        parked_reason=mask_text(status.last_error) if status.state is AttachmentState.PARKED else "",
        last_error=mask_text(status.last_error),
        cursor=status.cursor,
        waiting_messages=status.waiting_wakes,
        running_turns=status.running_turns,
        finished_turns=status.finished_turns,
        given_up_messages=status.given_up_wakes,
        conversations=tuple(_conversation(each, times) for each in islice(activities, limits.REPORTED_CONVERSATIONS)),
        last_turns=tuple(_turn(each, times) for each in reversed(status.past_turns)),
        waiting_approvals=len(status.approvals),
        refused_messages=status.refused_wakes,
        approvals_problem=mask_text(status.approvals_problem),
        approvals=tuple(
            _approval(each, times) for each in islice(status.approvals.values(), limits.REPORTED_CONVERSATIONS)
        ),
    )


def _conversation(activity: Activity, times: _Clock) -> ConversationReport:
    return ConversationReport(
        activity.conversation,
        activity.work,
        times.timestamp(activity.since),
        activity.messages,
        activity.brake or "",
        times.timestamp(activity.until),
    )


def _approval(waiting: WaitingApproval, times: _Clock) -> ApprovalReport:
    return ApprovalReport(
        waiting.event_id,
        waiting.conversation,
        waiting.sender,
        waiting.reason,
        times.timestamp(waiting.since),
        waiting.approval_id,
        waiting.expires_at,
    )


def _turn(turn: PastTurn, times: _Clock) -> TurnReport:
    ended_at = times.timestamp(turn.ended_at)
    return TurnReport(turn.conversation, ended_at, turn.seconds, turn.messages, turn.outcome, mask_text(turn.reason))
