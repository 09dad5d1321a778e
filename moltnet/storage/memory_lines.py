"""Lists of the store in memory: bodies in the order in which they came, and ids in their own order."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Container, Iterator, Sequence
from itertools import takewhile

import attrs

from moltnet.protocol.pages import PageRequest
from moltnet.storage.pages import body_page
from moltnet.storage.records import PlacedMessage, StoredPage
from moltnet.storage.store import UnknownCursor


@attrs.define(eq=False)
class Line:
    """Ids and bodies in the order in which they came, and where each stands; of messages their ``seq`` too."""

    _items: list[tuple[str, bytes]] = attrs.field(init=False, factory=list)
    _seqs: list[int] = attrs.field(init=False, factory=list)
    _places: dict[str, int] = attrs.field(init=False, factory=dict)
    _dropped: int = attrs.field(init=False, default=0)

    def append(self, id: str, body: bytes, seq: int = 0) -> None:
        self._places[id] = self._dropped + len(self._items)
        self._items.append((id, body))
        self._seqs.append(seq)

    def drop_first(self, messages: Container[str], message_of: Callable[[str], str]) -> None:
        """Forget those at the beginning that belong to these messages."""
        gone = [id for id, _ in takewhile(lambda item: message_of(item[0]) in messages, self._items)]
        for id in gone:
            del self._places[id]
        del self._items[: len(gone)]
        del self._seqs[: len(gone)]
        self._dropped += len(gone)

    def find(self, id: str) -> PlacedMessage | None:
        return self._at(self._places[id] - self._dropped) if id in self._places else None

    def before(self, seq: int) -> Iterator[PlacedMessage]:
        return map(self._at, range(bisect_left(self._seqs, seq) - 1, -1, -1))

    def after(self, seq: int) -> Iterator[PlacedMessage]:
        return map(self._at, range(bisect_right(self._seqs, seq), len(self._seqs)))

    def _at(self, place: int) -> PlacedMessage:
        return PlacedMessage(self._seqs[place], self._items[place][1])

    def page(self, page: PageRequest) -> StoredPage:
        """Raises ``UnknownCursor``."""
        cursor = page.after or page.before
        if cursor and cursor not in self._places:
            raise UnknownCursor(cursor)
        place = self._places[cursor] - self._dropped if cursor else len(self._items)
        places = range(place + 1, len(self._items)) if page.after else range(place - 1, -1, -1)
        return body_page((self._items[place] for place in places), page)


@attrs.define(eq=False)
class Ids:
    """Ids in order, each once."""

    _ids: list[str] = attrs.field(init=False, factory=list)

    def add(self, id: str) -> None:
        place = bisect_left(self._ids, id)
        if self._ids[place : place + 1] != [id]:
            self._ids.insert(place, id)

    def __contains__(self, id: str) -> bool:
        place = bisect_left(self._ids, id)
        return self._ids[place : place + 1] == [id]

    def beyond(self, page: PageRequest) -> Sequence[str]:
        """Those of a page in the direction of reading, and one more if there is one."""
        if page.before:
            end = bisect_left(self._ids, page.before)
            return self._ids[max(0, end - page.limit - 1) : end][::-1]
        start = bisect_right(self._ids, page.after)
        return self._ids[start : start + page.limit + 1]
