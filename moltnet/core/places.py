"""Where messages stand in the log: by their id, and by the time at which they were said.

Nothing is ordered by time, because clocks step back. But they hardly do, so a place is found by halving.
"""

from datetime import UTC, datetime
from typing import Any, Final

import orjson

from moltnet.storage.records import History, PlacedMessage
from moltnet.storage.store import Store

# Greater than the place of every message.
END: Final = 2**63 - 1
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


def said_at(message: Any) -> datetime:
    """When a message was said, given as plain JSON. What can't be read was long ago."""
    try:
        return datetime.fromisoformat(message["created_at"])
    except (ValueError, TypeError, KeyError):
        return _LONG_AGO


async def first_since(store: Store, history: History | None, moment: datetime) -> PlacedMessage | None:
    """The first message of a conversation, or of all, that was said at that moment or later; ``None`` if none was.

    Where the clock had stepped back, it is one of the messages that might be it. Raises ``StorageError``.
    """
    newest = next(iter(await store.messages_before(history, END, 1)), None)
    if newest is None or _said_at(newest) < moment:
        return None
    # What follows ``low`` is perhaps too early, what follows ``high`` is not.
    low, high, first = 0, newest.seq - 1, newest
    while low < high:
        middle = (low + high) // 2
        following = next(iter(await store.messages_after(history, middle, 1)), None)
        if following is None:
            return None  # all of it was pruned meanwhile
        if _said_at(following) < moment:
            low = following.seq
        else:
            high, first = middle, following
    return first


def _said_at(placed: PlacedMessage) -> datetime:
    return said_at(orjson.loads(placed.body))
