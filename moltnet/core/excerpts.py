"""A page from the middle of a conversation: around a message, or from a moment on."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import chain, zip_longest

import orjson

from moltnet.core.errors import Invalid
from moltnet.core.network import NetworkContext
from moltnet.core.pages import page_json
from moltnet.core.places import first_since
from moltnet.protocol.codec import Problem, structure
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.ids import MessageId
from moltnet.protocol.messages import Target
from moltnet.protocol.pages import PageInfo
from moltnet.storage.limits import MAX_PAGE_BYTES
from moltnet.storage.records import History, PlacedMessage, history_of


async def messages_around(context: NetworkContext, history: History, message_id: str, limit: int) -> bytes:
    """A message with what stands nearest to it on both sides, as JSON: at most ``limit`` in all.

    Raises ``Invalid`` for a message of another conversation, or one that is not there any more, ``StorageError``.
    """
    middle = await context.store.message(MessageId(message_id))
    if middle is None or history_of(structure(orjson.loads(middle.body)["target"], Target)) != history:
        problem = "is no message of this conversation, or not any more"
        raise Invalid(
            f'around: "{message_id}" {problem}', [Problem("$.around", problem)], code=ErrorCode.INVALID_CURSOR
        )
    older = await context.store.messages_before(history, middle.seq, limit)
    newer = await context.store.messages_after(history, middle.seq, limit)
    nearest = chain.from_iterable(zip_longest(older, newer))
    taken = _fitting((each for each in chain([middle], nearest) if each is not None), limit)
    taken.sort(key=lambda each: each.seq)
    return await _excerpt(context, history, taken)


async def messages_from(context: NetworkContext, history: History, moment: datetime, limit: int) -> bytes:
    """The first messages that were said at that moment or later, as JSON. Raises ``StorageError``."""
    first = await first_since(context.store, history, moment)
    if first is None:
        return page_json("messages", (), PageInfo())
    newer = await context.store.messages_after(history, first.seq, limit)
    return await _excerpt(context, history, _fitting(iter((first, *newer)), limit))


def _fitting(messages: Iterator[PlacedMessage], limit: int) -> list[PlacedMessage]:
    """As many as a page may have, but one at least."""
    taken: list[PlacedMessage] = []
    size_bytes = 0
    for each in messages:
        size_bytes += len(each.body)
        if len(taken) == limit or (taken and size_bytes > MAX_PAGE_BYTES):
            break
        taken.append(each)
    return taken


async def _excerpt(context: NetworkContext, history: History, taken: Sequence[PlacedMessage]) -> bytes:
    first, last = taken[0], taken[-1]
    more_before = await context.store.messages_before(history, first.seq, 1)
    more_after = await context.store.messages_after(history, last.seq, 1)
    info = PageInfo(
        has_more=bool(more_before or more_after),
        next_before=_id_of(first) if more_before else "",
        next_after=_id_of(last) if more_after else "",
    )
    return page_json("messages", [each.body for each in taken], info)


def _id_of(message: PlacedMessage) -> str:
    return str(orjson.loads(message.body)["id"])
