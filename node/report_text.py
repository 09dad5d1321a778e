"""A node's report as text for a terminal. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from bridge.dead_letters import DeadLetter
from moltnet.protocol.times import Timestamp, parse_timestamp
from node.report import AttachmentReport, ConversationReport, NodeReport

_SHOWN_TURNS = 3


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
