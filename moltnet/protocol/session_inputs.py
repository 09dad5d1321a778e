"""What the other half's messages mean to an attach session, as it hands that to its caller.

The session itself, and when each of these comes, is ``moltnet.protocol.attachment``, where they are imported from.
"""

import attrs

from moltnet.protocol.agents import About
from moltnet.protocol.events import Event
from moltnet.protocol.frames import Ready
from moltnet.protocol.messages import Actor


@attrs.frozen
class Identified:
    """The client said who it is. ``agent`` has a valid ``id``, trimmed, and only what a client may claim (``type``,
    ``name``); ``cursor`` is the event to resume after, empty for live events only; ``about`` what it says of itself."""

    agent: Actor
    cursor: str
    about: About = attrs.field(default=About())


@attrs.frozen
class Acked:
    """An event in flight is settled. A repeated ACK gives no second one."""

    cursor: str


@attrs.frozen
class Reply:
    """Write ``text`` to the peer as it is."""

    text: str


@attrs.frozen
class PeerError:
    """The peer ended the session with ERROR; ``text`` is what it said, cut to ``MAX_ERROR_CHARACTERS``."""

    text: str


@attrs.frozen
class HelloReceived:
    """The server greets. ``heartbeat_ms`` is the interval that this session counts on, within our own limits."""

    heartbeat_ms: int


@attrs.frozen
class Attached:
    ready: Ready


@attrs.frozen
class Delivered:
    """One event to handle and then ``ack``."""

    cursor: str
    event: Event


@attrs.frozen
class Unreadable:
    """One event that is none of ours, perhaps of a newer server; ``reason`` says what is wrong.

    It must be ACKed all the same, or it comes again for ever.
    """

    cursor: str
    reason: str


ServerInput = Identified | Acked | Reply | PeerError
ClientInput = HelloReceived | Attached | Delivered | Unreadable | Reply | PeerError
