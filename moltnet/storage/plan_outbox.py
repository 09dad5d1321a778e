"""Deciding about the outbox: what waits to be relayed, and dead letters."""

from collections.abc import Iterable

from moltnet.protocol.ids import MessageId
from moltnet.protocol.messages import Message
from moltnet.storage.draft import Draft
from moltnet.storage.outbox import (
    DropRelays,
    OutboxKey,
    OutboxRow,
    Relay,
    RelaysDropped,
    RelaysRetried,
    RelaysSettled,
    RelayState,
    RetryRelays,
    SettleRelays,
    conversation_of,
)


def add_relays(draft: Draft, message: Message, seq: int, relays: Iterable[Relay]) -> None:
    """Let a message that has just been stored wait for its pairings."""
    for relay in relays:
        row = OutboxRow(
            relay.pairing_id, seq, message.id, conversation_of(message.target), message.created_at, relay.body
        )
        draft.changes.outbox_added[row.key] = row


def settle_relays(draft: Draft, command: SettleRelays) -> RelaysSettled:
    for seq in command.delivered:
        _remove(draft, (command.pairing_id, seq))
    for seq, state in command.changed:
        _change(draft, (command.pairing_id, seq), state)
    return RelaysSettled()


def retry_relays(draft: Draft, command: RetryRelays) -> RelaysRetried:
    found: list[MessageId] = []
    for message_id, keys in _letters(draft, command.pairing_id, command.message_ids):
        for key in keys:
            _change(draft, key, RelayState())
        found.append(message_id)
    if found:
        draft.changes.relays_retried.add(command.pairing_id)
    return RelaysRetried(tuple(found))


def drop_relays(draft: Draft, command: DropRelays) -> RelaysDropped:
    found: list[MessageId] = []
    for message_id, keys in _letters(draft, command.pairing_id, command.message_ids):
        for key in keys:
            _remove(draft, key)
        found.append(message_id)
    return RelaysDropped(tuple(found))


def _letters(
    draft: Draft, pairing_id: str, message_ids: Iterable[MessageId]
) -> Iterable[tuple[MessageId, tuple[OutboxKey, ...]]]:
    """Dead letters by message, which are none any more for the commands that follow."""
    for message_id in message_ids:
        seqs = draft.facts.dead_letters.pop((pairing_id, message_id), ())
        if seqs:
            yield message_id, tuple((pairing_id, seq) for seq in seqs)


def _remove(draft: Draft, key: OutboxKey) -> None:
    draft.changes.outbox_added.pop(key, None)
    draft.changes.outbox_changed.pop(key, None)
    draft.changes.outbox_removed.add(key)


def _change(draft: Draft, key: OutboxKey, state: RelayState) -> None:
    if key not in draft.changes.outbox_removed:
        draft.changes.outbox_changed[key] = state
