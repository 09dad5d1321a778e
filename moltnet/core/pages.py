"""Pages of lists as JSON: one rule for all of them (design §3.13; message model §11).

A page ends with its limit, or before it takes more bytes than a reference client reads. Items come in the direction of
reading: ascending, or descending where ``before`` was given; a page always shows them ascending.
"""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from moltnet.core.errors import Invalid
from moltnet.directory import Key, keys_beyond
from moltnet.protocol.codec import Problem, encode
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.pages import PageInfo, PageRequest
from moltnet.storage.limits import MAX_PAGE_BYTES
from moltnet.storage.records import StoredPage


class Listed(Protocol):
    """An item of a list that is ordered by id."""

    @property
    def id(self) -> str: ...


def id_page_json(name: str, items: Iterable[Listed], page: PageRequest, *, more_follow: bool = False) -> bytes:
    """A page of a list that is ordered by id.

    ``items`` is read until one item too many appears; ``more_follow`` says that there is more behind its end. A page is
    cut short before it exceeds ``MAX_PAGE_BYTES``, but never to nothing.
    """
    bodies: list[bytes] = []
    last_id, size_bytes = "", 0
    for item in items:
        if len(bodies) == page.limit:
            more_follow = True
            break
        body = encode(item)
        size_bytes += len(body)
        if bodies and size_bytes > MAX_PAGE_BYTES:
            more_follow = True
            break
        bodies.append(body)
        last_id = item.id
    cursor = last_id if more_follow else ""
    if page.before:
        return page_json(name, bodies[::-1], PageInfo(more_follow, next_before=cursor))
    return page_json(name, bodies, PageInfo(more_follow, next_after=cursor))


def merged_keys(*lists: Sequence[Key], page: PageRequest) -> Iterator[Key]:
    """The keys of sorted lists, each once, from the page's cursor on in its direction."""
    walks = (keys_beyond(keys, page.before, page.after) for keys in lists)
    last = ""
    for key in heapq.merge(*walks, reverse=bool(page.before)):
        if key != last:
            yield key
        last = key


def stored_page_json(name: str, found: StoredPage, page: PageRequest) -> bytes:
    """A page around items that are served as they were stored. Such a list begins with the newest."""
    if page.after:
        info = PageInfo(found.has_more, next_after=found.last_id if found.has_more else "")
    else:
        info = PageInfo(found.has_more, next_before=found.first_id if found.has_more else "")
    return page_json(name, found.items, info)


def unknown_cursor(page: PageRequest) -> Invalid:
    """The refusal of a cursor that is not in this list, as this caller sees it, or no longer."""
    name = "before" if page.before else "after"
    problem = "is not part of this list, or no longer: begin again without a cursor"
    message = f'{name}: "{page.before or page.after}" {problem}'
    return Invalid(message, [Problem(f"$.{name}", problem)], ErrorCode.INVALID_CURSOR)


def page_json(name: str, items: Sequence[bytes], info: PageInfo) -> bytes:
    """A page around items that are JSON already."""
    return f'{{"{name}":['.encode() + b",".join(items) + b'],"page":' + encode(info) + b"}"
