"""Deciding what is forgotten: how far the log and the messages go that are older than they need to be.

Both are cut at the beginning, in the order of the log, whatever their times say: a reader never meets a hole.
"""

from bisect import bisect_left
from collections.abc import Iterable
from datetime import datetime
from itertools import takewhile

from moltnet.protocol.times import Timestamp, parse_timestamp
from moltnet.storage import limits
from moltnet.storage.commands import Prune, Pruned
from moltnet.storage.draft import Draft
from moltnet.storage.records import OldMessage


def prune(draft: Draft, command: Prune) -> Pruned:
    """The rows that go are known by their place alone, so a backend deletes ranges."""
    facts = draft.facts
    # The next event is counted from the newest one.
    events = [event for event in facts.oldest_events[: command.limit] if event.seq < facts.newest_seq]
    gone = _older((event.created_at for event in events), command.events_before)
    if gone:
        draft.changes.events_pruned_to = events[gone - 1].seq
        facts.oldest_events = facts.oldest_events[gone:]
    return Pruned(gone, 0 if command.messages_before is None else _prune_messages(draft, command))


def _prune_messages(draft: Draft, command: Prune) -> int:
    facts = draft.facts
    assert command.messages_before is not None
    # The event of a message has its body from the message. Where earlier commands took all that was loaded, nothing is
    # known of the events that follow.
    first_kept = facts.oldest_events[0].seq if facts.oldest_events else draft.changes.events_pruned_to + 1
    within = bisect_left(facts.oldest_messages, first_kept, key=lambda message: message.seq)
    messages = facts.oldest_messages[: _so_many_fit(facts.oldest_messages[: min(within, command.limit)])]
    gone = _older((message.created_at for message in messages), command.messages_before)
    if gone:
        draft.changes.messages_pruned_to = messages[gone - 1].seq
        facts.oldest_messages = facts.oldest_messages[gone:]
        for message in messages[:gone]:
            facts.messages.pop(message.id, None)
    return gone


def _so_many_fit(messages: Iterable[OldMessage]) -> int:
    """How many at the beginning go in one step, whatever hangs on them: one at least."""
    count = size_bytes = artifacts = 0
    for message in messages:
        size_bytes += message.size_bytes
        artifacts += message.artifacts
        if count and (size_bytes > limits.MAX_PRUNED_BYTES or artifacts > limits.MAX_PRUNED_ARTIFACTS):
            break
        count += 1
    return count


def _older(times: Iterable[Timestamp], before: datetime) -> int:
    """How many at the beginning are older."""
    return sum(1 for _ in takewhile(lambda time: _is_before(time, before), times))


def _is_before(text: Timestamp, moment: datetime) -> bool:
    try:
        return parse_timestamp(text) < moment
    except (ValueError, TypeError):
        # From the reference, which keeps what it cannot read as a time: it must not hold up all that follows.
        return True
