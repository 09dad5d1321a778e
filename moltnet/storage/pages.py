"""The one rule for pages (design §3.13), given items in the direction of reading; every backend cuts its pages here.

Where those items come from, and whether a cursor exists, is the backend's part.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from moltnet.protocol.pages import PageRequest
from moltnet.storage.limits import MAX_PAGE_BYTES, MAX_REPLAY_BYTES
from moltnet.storage.outbox import OutboxRow
from moltnet.storage.records import EventRecord, PlacedMessage, StoredPage

Item = TypeVar("Item")


def body_page(found: Iterable[tuple[str, bytes]], page: PageRequest) -> StoredPage:
    """A page from ids and bodies: after a cursor they come oldest first, else newest first.

    ``found`` is read until one item too many appears, so a backend need not offer more than ``limit + 1``. The page
    is cut short before it exceeds ``MAX_PAGE_BYTES``, but never to nothing.
    """
    taken: list[tuple[str, bytes]] = []
    size_bytes = 0
    has_more = False
    for item_id, body in found:
        size_bytes += len(body)
        if len(taken) == page.limit or (taken and size_bytes > MAX_PAGE_BYTES):
            has_more = True
            break
        taken.append((item_id, body))
    if not taken:
        return StoredPage((), has_more=has_more)
    if not page.after:
        taken.reverse()
    return StoredPage(tuple(body for _, body in taken), taken[0][0], taken[-1][0], has_more)


def id_page(found: Sequence[Item], page: PageRequest) -> tuple[Sequence[Item], bool]:
    """A page of a list ordered by id: before a cursor the items come last first, else first first."""
    taken = found[: page.limit]
    return taken[::-1] if page.before else taken, len(found) > page.limit


def replay_page(found: Iterable[EventRecord], limit: int) -> Sequence[EventRecord]:
    """The first events, at most ``limit`` and ``MAX_REPLAY_BYTES``, but at least one if there is one."""
    return _as_many_as_fit(found, limit, lambda record: len(record.wire))


def outbox_page(found: Iterable[OutboxRow], limit: int) -> Sequence[OutboxRow]:
    """The first rows, bounded in the same way."""
    return _as_many_as_fit(found, limit, lambda row: len(row.body))


def placed_page(found: Iterable[PlacedMessage], limit: int) -> Sequence[PlacedMessage]:
    """The first messages, bounded in the same way."""
    return _as_many_as_fit(found, limit, lambda message: len(message.body))


def _as_many_as_fit(found: Iterable[Item], limit: int, item_bytes: Callable[[Item], int]) -> Sequence[Item]:
    taken: list[Item] = []
    size_bytes = 0
    for item in found:
        size_bytes += item_bytes(item)
        if len(taken) == limit or (taken and size_bytes > MAX_REPLAY_BYTES):
            break
        taken.append(item)
    return taken
