"""A node's report as text for a terminal. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from bridge.dead_letters import DeadLetter
from moltnet.protocol.times import Timestamp, parse_timestamp
from node.report import ApprovalReport, AttachmentReport, ConversationReport, NodeReport

_SHOWN_TURNS = 3
_SHOWN_APPROVALS = 5


def node_lines(report: NodeReport) -> Iterator[str]:
    """The whole report, attachments in the order of the file."""
    stopping = ", stopping" if report.stopping else ""
    turns = f"{report.running_turns} of {report.parallel_turns} turns"
    yield f"node of {printable(report.config)}, pid {report.pid}, {turns}{stopping}"
    if not report.attachments:
        yield "no attachments"
    for attachment in report.attachments:
        yield from attachment_lines(attachment, report.reported_at)


def attachment_lines(report: AttachmentReport, now: str) -> Iterator[str]:
    retry = f", tried again in {_span(now, report.retry_at)}" if report.retry_at else ""
    since = f" for {_span(report.since, now)}" if report.since else ""
    yield f"{report.agent_id} ({report.network_id}, {report.runtime}): {report.state}{since}{retry}"
    if report.last_error:
        what = "reason" if report.retry_at else "last error"
        yield f"  {what}: {printable(report.last_error)}"
    given_up = f"; given up: {_count(report.given_up_messages, 'message')}" if report.given_up_messages else ""
    yield (
        f"  waiting or running: {_count(report.waiting_messages, 'message')}; "
        f"finished: {_count(report.finished_turns, 'turn')}{given_up}; cursor {printable(report.cursor) or 'none'}"
    )
    for conversation in report.conversations:
        yield f"  {_conversation(conversation, now)}"
    yield from _approvals(report, now)
    for turn in report.last_turns[:_SHOWN_TURNS]:
        reason = f": {printable(turn.reason)}" if turn.reason else ""
        ago = _span(turn.ended_at, now)
        yield f"  {ago} ago: {turn.outcome} after {turn.seconds:g} s, {printable(turn.conversation)}{reason}"


def letter_lines(agent_id: str, letters: tuple[DeadLetter, ...]) -> Iterator[str]:
    """Each dead letter on two lines: which, and why."""
    for letter in letters:
        yield (
            f"{letter.event_id}  {agent_id}  {printable(letter.conversation)}  from {printable(letter.sender)}  "
            f"given up {letter.given_up_at} after {letter.attempts}"
        )
        yield f"  {printable(letter.reason)}"


def printable(text: str) -> str:
    """Text of others on one line, without what steers a terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _conversation(report: ConversationReport, now: str) -> str:
    held_by = f" by {report.held_by}" if report.held_by else ""
    until = f", goes on in {_span(now, report.until)}" if report.until else ""
    doing = f"{report.work}{held_by} for {_span(report.since, now)}{until}"
    return f"{doing}: {printable(report.conversation)}, {_count(report.messages, 'message')}"


def _approvals(report: AttachmentReport, now: str) -> Iterator[str]:
    if report.refused_messages:
        yield f"  denied, or not approved in time: {_count(report.refused_messages, 'message')}"
    if not report.waiting_approvals:
        return
    problem = f"; the server can't be asked: {printable(report.approvals_problem)}" if report.approvals_problem else ""
    yield f"  waiting for approval: {_count(report.waiting_approvals, 'message')}{problem}"
    for approval in report.approvals[:_SHOWN_APPROVALS]:
        yield f"    {_approval(approval, now)}"
    if (more := report.waiting_approvals - _SHOWN_APPROVALS) > 0:
        yield f"    and {more} more"


def _approval(report: ApprovalReport, now: str) -> str:
    expires = f", expires in {_span(now, report.expires_at)}" if report.expires_at else ""
    known = f"{printable(report.approval_id)}{expires}" if report.approval_id else "not asked yet"
    where = f"{printable(report.conversation)} from {printable(report.sender)}, {printable(report.reason)}"
    return f"{known}: {where}, for {_span(report.since, now)}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _span(begin: str, end: str) -> str:
    """The time between two timestamps: `12 s`, `5 min`, `3 h`, `2 d`."""
    span: timedelta = _moment(end) - _moment(begin)
    seconds = max(0, int(span.total_seconds()))
    for unit_seconds, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit_seconds:
            return f"{seconds // unit_seconds} {unit}"
    return f"{seconds} s"


def _moment(timestamp: str) -> datetime:
    return parse_timestamp(Timestamp(timestamp))
