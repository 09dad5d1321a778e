"""Answers to who looks for something: pages that may hold less than there is room for, because looking has an end."""

import attrs

from moltnet.protocol.codec import wire
from moltnet.protocol.events import Event
from moltnet.protocol.messages import Message
from moltnet.protocol.pages import PageInfo
from moltnet.protocol.times import Timestamp


@attrs.frozen
class EventPage:
    events: tuple[Event, ...] = attrs.field(default=(), metadata=wire(always=True))
    page: PageInfo = attrs.field(default=PageInfo(), metadata=wire(always=True))


@attrs.frozen
class FoundMessages:
    """What a search has found, newest first. It looked at ``looked_at`` messages, the last one said ``searched_to``."""

    messages: tuple[Message, ...] = attrs.field(default=(), metadata=wire(always=True))
    looked_at: int = attrs.field(default=0, metadata=wire(always=True))
    searched_to: Timestamp = attrs.field(default=Timestamp(""))
    page: PageInfo = attrs.field(default=PageInfo(), metadata=wire(always=True))
