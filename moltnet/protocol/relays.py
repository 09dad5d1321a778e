"""What is told of messages on their way to paired networks. How they get there is ``moltnet.pairing``'s business."""

import attrs

from moltnet.protocol.codec import wire
from moltnet.protocol.ids import MessageId
from moltnet.protocol.pages import PageInfo
from moltnet.protocol.times import Timestamp


@attrs.frozen
class DeadLetter:
    """A message that a paired network refused for good, or never answered to.

    ``conversation`` is ``room:<id>``, ``thread:<id>`` or ``dm:<id>``. ``status``, ``code`` and ``message`` are what the
    other network answered last; without an answer ``status`` is 0. ``created_at`` is when it was said, ``failed_at``
    when it was given up, after ``attempts``.
    """

    message_id: MessageId
    pairing_id: str
    conversation: str
    created_at: Timestamp
    failed_at: Timestamp
    attempts: int = attrs.field(default=0, metadata=wire(always=True))
    status: int = attrs.field(default=0, metadata=wire(always=True))
    code: str = ""
    message: str = ""

    @property
    def id(self) -> MessageId:
        """What a cursor in a list of these names."""
        return self.message_id


@attrs.frozen
class DeadLetterPage:
    dead_letters: tuple[DeadLetter, ...] = attrs.field(default=(), metadata=wire(always=True))
    page: PageInfo = attrs.field(default=PageInfo(), metadata=wire(always=True))


@attrs.frozen
class RelayResult:
    """What became of a dead letter: it waits again (``retried``), or it is gone (``dropped``)."""

    message_id: MessageId
    pairing_id: str
    action: str


@attrs.frozen
class RelayQueue:
    """How much waits for one pairing, since when the oldest does, and how many dead letters there are.

    ``configured`` is false if the configuration does not name the pairing any more: then nothing moves.
    """

    pairing_id: str
    waiting: int = attrs.field(default=0, metadata=wire(always=True))
    dead_letters: int = attrs.field(default=0, metadata=wire(always=True))
    configured: bool = attrs.field(default=True, metadata=wire(always=True))
    oldest_waiting_at: Timestamp = attrs.field(default=Timestamp(""))


@attrs.frozen
class RelayQueues:
    queues: tuple[RelayQueue, ...] = attrs.field(default=(), metadata=wire(always=True))
