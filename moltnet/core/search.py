"""Looking for messages, in one conversation or in all that the caller may read (HTTP API).

There is no index of words: messages are looked at from the newest on, a bounded number for each request, which says how
far it came. A page of a busy network is searched in some 50 ms.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import attrs
import orjson
import trio

from moltnet.core.access import Viewer, can_read_direct, can_read_room
from moltnet.core.errors import Invalid
from moltnet.core.history import readable_direct, readable_thread
from moltnet.core.network import NetworkContext
from moltnet.core.pages import unknown_cursor
from moltnet.core.places import END, first_since, said_at
from moltnet.core.rooms import readable_room
from moltnet.protocol import limits
from moltnet.protocol.codec import Problem, encode
from moltnet.protocol.identity import parse_address
from moltnet.protocol.ids import DirectId, MessageId, RoomId, ThreadId, id_problem
from moltnet.protocol.messages import TargetKind
from moltnet.protocol.pages import PageInfo, PageRequest
from moltnet.storage.limits import MAX_PAGE_BYTES
from moltnet.storage.records import History, PlacedMessage
from moltnet.storage.store import Store

_WORD: Final = re.compile(r'"([^"]*)"?|(\S+)')
# A cursor where the last message that was looked at is none that the caller may know of: its place.
_PLACE: Final = re.compile(r"@([0-9]{1,18})")
# After so many bytes others get a turn.
_TURN_BYTES: Final = 256 * limits.KIB


@attrs.frozen
class Search:
    """What is looked for; what is empty does not matter.

    ``words`` must all stand in the message, in upper or lower case. ``sender`` is an FQID. ``depth`` is how many
    messages that the caller may read are looked at. Of several conversations the innermost is searched, but each must
    be readable; a room's does not include those of its threads.
    """

    words: tuple[str, ...] = ()
    sender: str = ""
    since: datetime | None = None
    until: datetime | None = None
    depth: int = limits.MAX_MESSAGES_LOOKED_AT
    room_id: str = ""
    thread_id: str = ""
    dm_id: str = ""

    def finds(self, message: Any) -> bool:
        """Whether a message, as plain JSON, is one of those."""
        if self.sender and message["from"].get("fqid") != self.sender:
            return False
        text = "\n".join(_texts(message)).casefold() if self.words else ""
        return all(word in text for word in self.words)


def words_of(text: str) -> tuple[str, ...]:
    """The words of a search: separated by blanks, several in quotes are one. Raises ``Invalid`` for too many."""
    words = dict.fromkeys((quoted or word).casefold() for quoted, word in _WORD.findall(text))
    words.pop("", None)
    if len(words) > limits.MAX_SEARCH_WORDS:
        raise Invalid.from_problems([Problem("$.text", f"must hold {limits.MAX_SEARCH_WORDS} words or fewer")])
    return tuple(words)


def cursor_problem(cursor: str) -> str | None:
    """Why a text is no cursor of a search; ``None`` if it may be one."""
    return None if _PLACE.fullmatch(cursor) else id_problem(cursor)


async def search_messages(context: NetworkContext, search: Search, viewer: Viewer, page: PageRequest) -> bytes:
    """A page of what was found as JSON, newest first.

    Raises ``Invalid`` for a cursor that is no message, or none that the viewer may read, ``NotFound``, ``Forbidden``,
    ``StorageError``.
    """
    history = await _history(context, search, viewer)
    reader = _Reader(context, viewer)
    start = await _start(context.store, reader, page)
    if search.until is not None:
        later = await first_since(context.store, history, search.until)
        start = min(start, END if later is None else later.seq)
    looking = _Looking(search, reader, page)
    while not looking.is_over:
        found = await context.store.messages_before(history, start, limits.SEARCH_PIECE_MESSAGES)
        if not found:
            looking.has_more = False
            break
        start = found[-1].seq
        await looking.look_at(found)
    return looking.json()


async def _history(context: NetworkContext, search: Search, viewer: Viewer) -> History | None:
    history = None
    if search.room_id:
        history = History(TargetKind.ROOM, RoomId(readable_room(context, search.room_id, viewer).id))
    if search.dm_id:
        history = History(TargetKind.DM, DirectId((await readable_direct(context, search.dm_id, viewer)).id))
    if search.thread_id:
        history = History(TargetKind.THREAD, ThreadId((await readable_thread(context, search.thread_id, viewer)).id))
    return history


async def _start(store: Store, reader: "_Reader", page: PageRequest) -> int:
    """Before which place to look."""
    if not page.before:
        return END
    if (place := _PLACE.fullmatch(page.before)) is not None:
        return int(place[1])
    message = await store.message(MessageId(page.before))
    if message is None or not await reader.may_read(orjson.loads(message.body)):
        raise unknown_cursor(page)
    return message.seq


@attrs.define(eq=False)
class _Reader:
    """What the caller may read of all. Of each direct conversation it is asked once."""

    context: NetworkContext
    viewer: Viewer
    _directs: dict[str, bool] = attrs.field(init=False, factory=dict)

    async def may_read(self, message: Any, *, asks: bool = True) -> bool:
        """Whether a message may be shown. Without asking the store it may say no where it is yes."""
        context, target = self.context, message["target"]
        if target["kind"] != TargetKind.DM:
            room = context.directory.room(target["room_id"])
            return room is not None and can_read_room(self.viewer, room, context.directory)
        if not context.policy.direct_messages:
            return False
        if self.viewer.all_conversations or not self.viewer.agents:
            return self.viewer.all_conversations
        direct_id = target["dm_id"]
        if not asks:
            # Nobody leaves, so who took part still does; who came later is not looked up for what is of no interest.
            return self._directs.get(direct_id, False) or self._takes_part(target["participant_ids"])
        if direct_id not in self._directs:
            direct = await context.store.direct(DirectId(direct_id))
            self._directs[direct_id] = direct is not None and self._takes_part(direct.participant_ids)
        return self._directs[direct_id]

    def _takes_part(self, participants: Iterable[str]) -> bool:
        fqids = (parse_address(each, self.context.id).fqid for each in participants)
        return can_read_direct(self.viewer, fqids)


@attrs.define(eq=False)
class _Looking:
    """One request's way back through the messages.

    ``looked_at`` are those that the caller may read. It is told nothing of the others, not even how many there are or
    when they were said; so ``last`` is the last that was passed, and ``readable`` the last that it may know of.
    """

    search: Search
    reader: _Reader
    page: PageRequest
    has_more: bool = attrs.field(init=False, default=True)
    is_over: bool = attrs.field(init=False, default=False)
    found: list[bytes] = attrs.field(init=False, factory=list)
    found_bytes: int = attrs.field(init=False, default=0)
    looked_at: int = attrs.field(init=False, default=0)
    passed: int = attrs.field(init=False, default=0)
    passed_bytes: int = attrs.field(init=False, default=0)
    last: PlacedMessage | None = attrs.field(init=False, default=None)
    readable: Any = attrs.field(init=False, default=None)
    readable_seq: int = attrs.field(init=False, default=0)

    async def look_at(self, messages: Sequence[PlacedMessage]) -> None:
        """Look at messages, the newest first, until it is over."""
        waited_bytes = 0
        for placed in messages:
            message = orjson.loads(placed.body)
            if self.search.since is not None and said_at(message) < self.search.since:
                self.has_more, self.is_over = False, True
                return
            finds = self.search.finds(message)
            may_read = await self.reader.may_read(message, asks=finds)
            if may_read and finds:
                self.found_bytes += len(placed.body)
                if self.found and self.found_bytes > MAX_PAGE_BYTES:
                    self.is_over = True
                    return
                self.found.append(placed.body)
            if may_read:
                self.looked_at += 1
                self.readable, self.readable_seq = message, placed.seq
            self.passed += 1
            self.passed_bytes += len(placed.body)
            self.last = placed
            if self._is_enough():
                self.is_over = True
                return
            waited_bytes += len(placed.body)
            if waited_bytes >= _TURN_BYTES:
                waited_bytes = 0
                await trio.lowlevel.checkpoint()

    def _is_enough(self) -> bool:
        return (
            len(self.found) == self.page.limit
            or self.looked_at >= self.search.depth
            or self.passed >= limits.MAX_MESSAGES_LOOKED_AT
            or self.passed_bytes >= limits.MAX_LOOKED_AT_BYTES
        )

    def json(self) -> bytes:
        """What was found, and where to go on: before the last message that was passed."""
        info, searched_to = PageInfo(), b""
        if self.readable is not None:
            searched_to = b',"searched_to":' + encode(self.readable["created_at"])
        if self.has_more and self.last is not None:
            known = self.readable_seq == self.last.seq
            info = PageInfo(has_more=True, next_before=self.readable["id"] if known else f"@{self.last.seq}")
        return (
            b'{"messages":['
            + b",".join(self.found)
            + b'],"looked_at":%d' % self.looked_at
            + searched_to
            + b',"page":'
            + encode(info)
            + b"}"
        )


def _texts(message: Any) -> Iterator[str]:
    for part in message["parts"]:
        for key in ("text", "url", "filename"):
            if key in part:
                yield part[key]
