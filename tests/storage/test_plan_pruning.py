"""What is forgotten, decided on facts alone; that every store does it is in `tests/contracts/store_pruning`."""

import pytest

from moltnet.protocol.ids import MessageId
from moltnet.protocol.times import Timestamp
from moltnet.storage.commands import Prune, Pruned
from moltnet.storage.facts import Facts, needs
from moltnet.storage.plan import plan
from moltnet.storage.records import OldEvent, OldMessage
from tests.contracts.store_pruning import moment, prune
from tests.storage.examples import NETWORK, at


def facts(times: list[Timestamp], newest_seq: int | None = None) -> Facts:
    """Of a log in which every event is a message."""
    return Facts(
        newest_seq=len(times) if newest_seq is None else newest_seq,
        oldest_events=[OldEvent(seq, time) for seq, time in enumerate(times, start=1)],
        oldest_messages=[OldMessage(seq, MessageId(f"m{seq}"), time) for seq, time in enumerate(times, start=1)],
    )


@pytest.mark.parametrize(
    ("times", "command", "pruned", "events_to", "messages_to"),
    [
        ([], prune(9, 9), Pruned(0, 0), 0, 0),
        ([at(1)], prune(9, 9), Pruned(0, 0), 0, 0),
        ([at(1), at(2), at(3)], prune(9), Pruned(2, 0), 2, 0),
        ([at(1), at(2), at(3)], prune(9, 9), Pruned(2, 2), 2, 2),
        ([at(1), at(2), at(3)], prune(9, 2), Pruned(2, 1), 2, 1),
        ([at(1), at(2), at(3)], prune(1, 9), Pruned(0, 0), 0, 0),
        ([at(1), at(2), at(3), at(4)], prune(9, 9, 2), Pruned(2, 2), 2, 2),
        ([at(1), at(8), at(2), at(9)], prune(5, 5), Pruned(1, 1), 1, 1),
        # The reference keeps what it can't read as a time.
        ([Timestamp(""), Timestamp("0001-01-01T00:00:00"), at(9)], prune(5, 5), Pruned(2, 2), 2, 2),
    ],
)
def test_the_log_is_cut_at_the_first_event_that_is_not_old(
    times: list[Timestamp], command: Prune, pruned: Pruned, events_to: int, messages_to: int
) -> None:
    planned = plan([command], facts(times), NETWORK)
    assert planned.outcomes == (pruned,)
    assert (planned.changes.events_pruned_to, planned.changes.messages_pruned_to) == (events_to, messages_to)
    assert planned.changes.records == []


def test_nothing_is_known_of_what_follows_the_rows_that_were_loaded() -> None:
    """Another command of the batch has taken all of them: messages further on may still have their events."""
    times = [at(1), at(1), at(1)]
    planned = plan([prune(9, None, 2), prune(9, 9, 2)], facts(times, newest_seq=50), NETWORK)
    assert planned.outcomes == (Pruned(2, 0), Pruned(1, 2))
    assert (planned.changes.events_pruned_to, planned.changes.messages_pruned_to) == (3, 2)


def test_one_event_more_than_may_go_is_asked_for() -> None:
    wanted = needs([prune(9, 9, 10), Prune(moment(9), None, 20)])
    assert (wanted.oldest_events, wanted.oldest_messages) == (21, 10)
