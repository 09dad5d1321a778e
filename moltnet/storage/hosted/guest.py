"""A store that another process has open: what a worker sees of it. Its host is ``moltnet.storage.hosted.host``."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Concatenate, ParamSpec, TypeVar

import attrs
import trio

from moltnet.protocol.ids import AgentId, ApprovalId, DirectId, MessageId, NetworkId, RoomId, ThreadId
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.relays import DeadLetter
from moltnet.protocol.rooms import DirectConversation, Thread
from moltnet.storage.bell import Bell
from moltnet.storage.commands import AnyCommand, AnyOutcome
from moltnet.storage.hosted.buckets import GuestBuckets
from moltnet.storage.hosted.host import Joined
from moltnet.storage.hosted.link import Hear, Link
from moltnet.storage.hosted.seats import GuestSeats
from moltnet.storage.limits import MAX_NEWS_EVENTS
from moltnet.storage.merging import NOTHING, merged
from moltnet.storage.outbox import OutboxDepth, OutboxRow
from moltnet.storage.ownership import LocalOwners
from moltnet.storage.pages import replay_page
from moltnet.storage.records import (
    ApprovalFilter,
    DirectoryContents,
    EventBounds,
    EventRecord,
    History,
    PlacedMessage,
    StoredApproval,
    StoredPage,
    StoredRoom,
)
from moltnet.storage.store import Committed, StorageError, Store

P = ParamSpec("P")
Result = TypeVar("Result")


@attrs.define(eq=False)
class GuestStore:
    """A ``Store`` over a link. Its ``hears`` are for the link; ``join`` comes before everything else."""

    link: Link
    network_id: NetworkId
    seating: GuestSeats = attrs.field(init=False)
    spending: GuestBuckets = attrs.field(init=False)
    _owners: LocalOwners = attrs.field(init=False, factory=LocalOwners)
    _turn: trio.Lock = attrs.field(init=False, factory=trio.Lock)
    _news: Committed = attrs.field(init=False, default=NOTHING)
    _bell: Bell = attrs.field(init=False, factory=Bell)

    def __attrs_post_init__(self) -> None:
        self.seating = GuestSeats(self.link)
        self.spending = GuestBuckets(self.link)
        self.link.hears = {**self.link.hears, **self._hears()}

    async def join(self) -> None:
        """Be one of the guests. Raises ``WrongNetwork``, ``StorageError``."""
        joined: Joined = await self.link.call("join", self.network_id)
        for row in joined.seats:
            self.seating.hear(*row)
        if joined.departed:
            self.seating.hear_departure()

    async def commit(self, commands: Sequence[AnyCommand]) -> Committed:
        async with self._turn:
            outcomes: Sequence[AnyOutcome] = ()
            try:
                with trio.CancelScope(shield=True):
                    if commands:
                        outcomes = await self.link.call("commit", tuple(commands))
                    else:
                        await self.link.call("sync")
            except StorageError:
                self._bell.ring()  # what others committed is still to be reported
                raise
            news, self._news = self._news, NOTHING
            return merged(news, Committed(tuple(outcomes)))

    async def wait_changed(self) -> None:
        await self._bell.wait()
        self._bell.clear()

    @asynccontextmanager
    async def owned(self, name: str) -> AsyncIterator[None]:
        async with self._owners.owned(name):
            try:
                await self.link.call("own", name)
                yield
            finally:
                self.link.tell("disown", name)

    async def load_directory(self) -> DirectoryContents:
        return await self._ask(Store.load_directory)

    async def rooms(self, room_ids: Sequence[RoomId]) -> Sequence[StoredRoom]:
        return await self._ask(Store.rooms, tuple(room_ids))

    async def removed_rooms(self, page: PageRequest) -> tuple[Sequence[StoredRoom], bool]:
        return await self._ask(Store.removed_rooms, page)

    async def event_bounds(self) -> EventBounds:
        return await self._ask(Store.event_bounds)

    async def event_seq(self, event_id: str) -> int | None:
        return await self._ask(Store.event_seq, event_id)

    async def events_after(self, seq: int, limit: int) -> Sequence[EventRecord]:
        return await self._ask(Store.events_after, seq, limit)

    async def message_page(self, history: History, page: PageRequest) -> StoredPage:
        return await self._ask(Store.message_page, history, page)

    async def message(self, message_id: MessageId) -> PlacedMessage | None:
        return await self._ask(Store.message, message_id)

    async def messages_before(self, history: History | None, seq: int, limit: int) -> Sequence[PlacedMessage]:
        return await self._ask(Store.messages_before, history, seq, limit)

    async def messages_after(self, history: History | None, seq: int, limit: int) -> Sequence[PlacedMessage]:
        return await self._ask(Store.messages_after, history, seq, limit)

    async def artifact_page(self, history: History, page: PageRequest) -> StoredPage:
        return await self._ask(Store.artifact_page, history, page)

    async def wake_page(self, agent_id: AgentId, page: PageRequest) -> StoredPage:
        return await self._ask(Store.wake_page, agent_id, page)

    async def approval(self, approval_id: ApprovalId) -> StoredApproval | None:
        return await self._ask(Store.approval, approval_id)

    async def approval_page(self, wanted: ApprovalFilter, page: PageRequest) -> StoredPage:
        return await self._ask(Store.approval_page, wanted, page)

    async def thread(self, thread_id: ThreadId) -> Thread | None:
        return await self._ask(Store.thread, thread_id)

    async def threads(self, room_id: RoomId, page: PageRequest) -> tuple[Sequence[Thread], bool]:
        return await self._ask(Store.threads, room_id, page)

    async def direct(self, direct_id: DirectId) -> DirectConversation | None:
        return await self._ask(Store.direct, direct_id)

    async def directs(
        self, page: PageRequest, participants: Sequence[str] | None
    ) -> tuple[Sequence[DirectConversation], bool]:
        return await self._ask(Store.directs, page, None if participants is None else tuple(participants))

    async def outbox(self, pairing_id: str, after_seq: int, limit: int, conversation: str = "") -> Sequence[OutboxRow]:
        return await self._ask(Store.outbox, pairing_id, after_seq, limit, conversation)

    async def dead_letters(self, pairing_id: str, page: PageRequest) -> tuple[Sequence[DeadLetter], bool]:
        return await self._ask(Store.dead_letters, pairing_id, page)

    async def outbox_depths(self) -> Sequence[OutboxDepth]:
        return await self._ask(Store.outbox_depths)

    async def check_writable(self) -> None:
        await self._ask(Store.check_writable)

    async def _ask(
        self, method: Callable[Concatenate[Store, P], Awaitable[Result]], *values: P.args, **named: P.kwargs
    ) -> Result:
        """What the host's store says. Raises as the method does, and ``StorageError`` if the host is gone."""
        answer: Result = await self.link.call(method.__name__, *values, *named.values())
        return answer

    def _hears(self) -> dict[str, Hear]:
        return {
            "news": self._hear,
            "seated": self.seating.hear,
            "doubted": self.seating.hear_doubt,
            "departed": self.seating.hear_departure,
        }

    def _hear(self, news: Committed) -> None:
        news = merged(self._news, news)
        newest = list(replay_page(reversed(news.records), MAX_NEWS_EVENTS))
        self._news = attrs.evolve(news, records=tuple(reversed(newest)))
        if not self._turn.locked():  # else the commit that is under way reports it
            self._bell.ring()


@asynccontextmanager
async def open_guest(link: Link, network_id: NetworkId) -> AsyncIterator[GuestStore]:
    """The store of the host at the other end of ``link``, which runs already or soon.

    Raises ``WrongNetwork``, ``StorageError``.
    """
    store = GuestStore(link, network_id)
    await store.join()
    yield store
