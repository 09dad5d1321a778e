"""The outbox as rows of a SQL store. The SQL around them is a backend's own."""

from collections.abc import Iterable
from typing import Final

from moltnet.protocol.ids import MessageId
from moltnet.protocol.relays import DeadLetter
from moltnet.protocol.times import Timestamp
from moltnet.storage import outbox
from moltnet.storage.outbox import OutboxDepth, OutboxKey, OutboxRow, RelayFailure, RelayState
from moltnet.storage.sql.rows import Row

TABLE: Final = "relay_outbox"
OUTBOX_COLUMNS: Final = (
    "pairing_id",
    "seq",
    "message_id",
    "conversation",
    "created_at",
    "attempts",
    "status",
    "code",
    "reason",
    "failed_at",
    "body",
)
"""Of a row; all but the last are what is told of a dead letter."""


def new_row(row: OutboxRow) -> Row:
    state = _state_columns(row.state)
    return (row.pairing_id, row.seq, row.message_id, row.conversation, row.created_at, *state, row.body)


def state_row(key: OutboxKey, state: RelayState) -> Row:
    """A change: what is new, then the key."""
    return (*_state_columns(state), *key)


def outbox_row(row: Row) -> OutboxRow:
    pairing_id, seq, message_id, conversation, created_at, attempts, status, code, reason, failed_at, body = row
    failure = None if failed_at is None else RelayFailure(status, code, reason, Timestamp(failed_at))
    return OutboxRow(
        pairing_id,
        seq,
        MessageId(message_id),
        conversation,
        Timestamp(created_at),
        bytes(body),
        RelayState(attempts, failure),
    )


def dead_letter(row: Row) -> DeadLetter:
    """From all columns but the body."""
    return outbox.dead_letter(outbox_row((*row, b"")))


def places_of_letters(found: Iterable[Row]) -> dict[tuple[str, MessageId], tuple[int, ...]]:
    """The places of each pairing's messages, from a row for each place."""
    places: dict[tuple[str, MessageId], tuple[int, ...]] = {}
    for pairing_id, message_id, seq in found:
        key = pairing_id, MessageId(message_id)
        places[key] = (*places.get(key, ()), seq)
    return places


def outbox_depth(row: Row) -> OutboxDepth:
    pairing_id, waiting, dead, oldest_waiting_at = row
    return OutboxDepth(pairing_id, waiting or 0, dead or 0, Timestamp(oldest_waiting_at or ""))


def _state_columns(state: RelayState) -> Row:
    failure = state.failure
    if failure is None:
        return (state.attempts, None, None, None, None)
    return (state.attempts, failure.status, failure.code, failure.message, failure.at)
