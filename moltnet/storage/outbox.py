"""The outbox: messages that wait to be relayed to a paired network, and those that it refused for good.

A row holds the very body that is posted, so that every try posts the same and no retention of messages takes away what
still waits. It is written in the transaction of its message and removed when the other network has answered. What is
relayed is decided in ``moltnet.core.relaying``, when it is tried in ``moltnet.pairing``.
"""

from typing import Final

import attrs

from moltnet.protocol.ids import MessageId
from moltnet.protocol.messages import Target, TargetKind
from moltnet.protocol.relays import DeadLetter
from moltnet.protocol.times import Timestamp
from moltnet.storage.command import Command

ANY_PAIRING: Final = "*"
"""Stands for every pairing where it is not known which; no id of one looks like it."""

OutboxKey = tuple[str, int]
"""A pairing, and the ``seq`` of the message's event: the order in which a pairing's messages are relayed."""


@attrs.frozen
class Relay:
    """One way that a message goes: a pairing, and the body that is posted there."""

    pairing_id: str
    body: bytes


@attrs.frozen
class RelayFailure:
    """Why a message was given up: what the other network answered, or ``status`` 0 if it never did."""

    status: int
    code: str
    message: str
    at: Timestamp


@attrs.frozen
class RelayState:
    """What changes in a row: how often it was tried, and whether it is a dead letter now."""

    attempts: int = 0
    failure: RelayFailure | None = None


@attrs.frozen
class OutboxRow:
    """A message on its way to one network. ``conversation`` is where order is kept; ``created_at`` is the message's."""

    pairing_id: str
    seq: int
    message_id: MessageId
    conversation: str
    created_at: Timestamp
    body: bytes
    state: RelayState = RelayState()

    @property
    def key(self) -> OutboxKey:
        return self.pairing_id, self.seq

    @property
    def waits(self) -> bool:
        """Whether it is still to be relayed, and no dead letter."""
        return self.state.failure is None


@attrs.frozen
class OutboxDepth:
    """How much waits for one pairing, since when, and how many dead letters it has."""

    pairing_id: str
    waiting: int = 0
    dead: int = 0
    oldest_waiting_at: Timestamp = attrs.field(default=Timestamp(""))


def conversation_of(target: Target) -> str:
    """What keeps its order on the way: the messages of a room without its threads, of a thread, of a direct one."""
    match target.kind:
        case TargetKind.DM:
            return f"{TargetKind.DM}:{target.dm_id}"
        case TargetKind.THREAD:
            return f"{TargetKind.THREAD}:{target.thread_id}"
        case _:
            return f"{TargetKind.ROOM}:{target.room_id}"


def kind_of(conversation: str) -> TargetKind:
    return TargetKind(conversation.partition(":")[0])


@attrs.frozen
class RelaysSettled:
    pass


@attrs.frozen
class SettleRelays(Command[RelaysSettled]):
    """What came of tries: rows that were ``delivered`` go, others are ``changed``. Rows that are gone are no error."""

    pairing_id: str
    delivered: tuple[int, ...] = ()
    changed: tuple[tuple[int, RelayState], ...] = ()


@attrs.frozen
class RelaysRetried:
    """Which of them were dead letters, and wait again now."""

    message_ids: tuple[MessageId, ...]


@attrs.frozen
class RetryRelays(Command[RelaysRetried]):
    """Let dead letters wait again, each in its old place in the order."""

    pairing_id: str
    message_ids: tuple[MessageId, ...]


@attrs.frozen
class RelaysDropped:
    """Which of them were dead letters, and are gone now."""

    message_ids: tuple[MessageId, ...]


@attrs.frozen
class DropRelays(Command[RelaysDropped]):
    """Forget dead letters. What waits is not touched."""

    pairing_id: str
    message_ids: tuple[MessageId, ...]


OutboxCommand = SettleRelays | RetryRelays | DropRelays
OutboxOutcome = RelaysSettled | RelaysRetried | RelaysDropped


def dead_letter(row: OutboxRow) -> DeadLetter:
    """What is told of a row that was given up."""
    failure = row.state.failure
    assert failure is not None
    return DeadLetter(
        message_id=row.message_id,
        pairing_id=row.pairing_id,
        conversation=row.conversation,
        created_at=row.created_at,
        failed_at=failure.at,
        attempts=row.state.attempts,
        status=failure.status,
        code=failure.code,
        message=failure.message,
    )
