"""Pages: one rule for every list (design §3.13) and the answers that carry them (message model §11).

The reference answers an empty page with ``null`` instead of a list, hence the defaults; we always send the list.
"""

import re
from datetime import datetime
from typing import Final

import attrs

from moltnet.protocol.agents import AgentSummary
from moltnet.protocol.artifacts import Artifact
from moltnet.protocol.codec import wire
from moltnet.protocol.limits import DEFAULT_PAGE_ITEMS, MAX_PAGE_ITEMS
from moltnet.protocol.messages import Message
from moltnet.protocol.pairings import Pairing
from moltnet.protocol.rooms import DirectConversation, Room, Thread

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}")


@attrs.frozen
class PageRequest:
    """Which part of a list is wanted: at most ``limit`` items before or after a cursor, never both.

    Of messages it may also be what stands ``around`` one, or begins ``at`` a moment; a store knows nothing of these.
    """

    limit: int = DEFAULT_PAGE_ITEMS
    before: str = ""
    after: str = ""
    around: str = ""
    at: datetime | None = None


@attrs.frozen
class PageInfo:
    """``has_more``: there is more in the direction of reading. The cursors are there only if they lead somewhere."""

    has_more: bool = attrs.field(default=False, metadata=wire(always=True))
    next_before: str = ""
    next_after: str = ""


@attrs.frozen
class MessagePage:
    messages: tuple[Message, ...] = attrs.field(default=(), metadata=wire(always=True))
    page: PageInfo = attrs.field(default=PageInfo(), metadata=wire(always=True))


@attrs.frozen
class RoomPage:
    rooms: tuple[Room, ...] = attrs.field(default=(), metadata=wire(always=True))
    page: PageInfo = attrs.field(default=PageInfo(), metadata=wire(always=True))


@attrs.frozen
class ThreadPage:
    threads: tuple[Thread, ...] = attrs.field(default=(), metadata=wire(always=True))
    page: PageInfo = attrs.field(default=PageInfo(), metadata=wire(always=True))


@attrs.frozen
class DirectPage:
    dms: tuple[DirectConversation, ...] = attrs.field(default=(), metadata=wire(always=True))
    page: PageInfo = attrs.field(default=PageInfo(), metadata=wire(always=True))


@attrs.frozen
class AgentPage:
    agents: tuple[AgentSummary, ...] = attrs.field(default=(), metadata=wire(always=True))
    page: PageInfo = attrs.field(default=PageInfo(), metadata=wire(always=True))


@attrs.frozen
class PairingPage:
    pairings: tuple[Pairing, ...] = attrs.field(default=(), metadata=wire(always=True))
    page: PageInfo = attrs.field(default=PageInfo(), metadata=wire(always=True))


@attrs.frozen
class ArtifactPage:
    artifacts: tuple[Artifact, ...] = attrs.field(default=(), metadata=wire(always=True))
    page: PageInfo = attrs.field(default=PageInfo(), metadata=wire(always=True))


def page_limit(text: str | None, default: int = DEFAULT_PAGE_ITEMS, longest: int = MAX_PAGE_ITEMS) -> int:
    """The ``limit`` of a query: anything but a positive integer means the default; large ones are cut."""
    # ``int`` alone would take other alphabets' digits and underscores.
    if text is None or not _INTEGER.fullmatch(text.strip()):
        return default
    limit = int(text.strip())  # which itself takes fewer characters for blank
    return min(limit, longest) if limit > 0 else default
