"""Wakes of one agent, as an operator sees them: which it still has, and what became of the others."""

import attrs

from moltnet.protocol.codec import wire
from moltnet.protocol.events import Event
from moltnet.protocol.ids import AgentId
from moltnet.protocol.messages import Target
from moltnet.protocol.pages import PageInfo
from moltnet.protocol.times import Timestamp


@attrs.frozen
class PendingWake:
    """A message that was sent to an agent's attachment and has not been ACKed."""

    message_id: str
    reason: str
    since: Timestamp
    target: Target | None = None


@attrs.frozen
class WakePage:
    """``pending`` holds the newest of those that are pending, of which there are ``pending_total``.

    ``wakes`` is a page of the events that report what became of others, oldest first.
    """

    agent_id: AgentId
    connected: bool = attrs.field(metadata=wire(always=True))
    pending_total: int = attrs.field(metadata=wire(always=True))
    pending: tuple[PendingWake, ...] = attrs.field(default=(), metadata=wire(always=True))
    wakes: tuple[Event, ...] = attrs.field(default=(), metadata=wire(always=True))
    page: PageInfo = attrs.field(default=PageInfo(), metadata=wire(always=True))
