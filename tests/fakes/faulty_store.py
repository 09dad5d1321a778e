"""A store that a test can make slow or broken, around a store that works."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

import attrs
import trio

from moltnet.protocol.ids import AgentId, ApprovalId, DirectId, MessageId, RoomId, ThreadId
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.relays import DeadLetter
from moltnet.protocol.rooms import DirectConversation, Thread
from moltnet.storage.commands import AnyCommand
from moltnet.storage.memory import MemoryStore
from moltnet.storage.outbox import OutboxDepth, OutboxRow
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
from moltnet.storage.seating import Seating
from moltnet.storage.spending import Spending
from moltnet.storage.store import Committed, Store
from tests.fakes.network import NETWORK


def memory_store() -> MemoryStore:
    return MemoryStore(NETWORK)


@attrs.define(eq=False)
class FaultyStore:
    """Passes everything on. `gate` must be open for a commit to go through; `failures` are raised, one per commit;
    `refuse` may raise for a batch; `read_failure` is raised by every read."""

    store: Store = attrs.field(factory=memory_store)
    failures: deque[Exception] = attrs.field(factory=deque)
    refuse: Callable[[Sequence[AnyCommand]], None] = lambda commands: None
    read_failure: Exception | None = None
    batches: list[tuple[AnyCommand, ...]] = attrs.field(factory=list)
    """What was committed, or would have been."""
    reads: list[int] = attrs.field(factory=list)
    """After which place events were read from the store."""
    read_count: int = 0
    """How often anything was read but what is loaded at the start."""
    _gate: trio.Event = attrs.field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self._gate.set()

    def hold(self) -> None:
        """Let no commit through until `release`."""
        self._gate = trio.Event()

    def release(self) -> None:
        self._gate.set()

    async def commit(self, commands: Sequence[AnyCommand]) -> Committed:
        self.batches.append(tuple(commands))
        await self._gate.wait()
        if self.failures:
            raise self.failures.popleft()
        self.refuse(commands)
        return await self.store.commit(commands)

    async def load_directory(self) -> DirectoryContents:
        return await self.store.load_directory()

    async def rooms(self, room_ids: Sequence[RoomId]) -> Sequence[StoredRoom]:
        self._check_read()
        return await self.store.rooms(room_ids)

    async def removed_rooms(self, page: PageRequest) -> tuple[Sequence[StoredRoom], bool]:
        self._check_read()
        return await self.store.removed_rooms(page)

    async def event_bounds(self) -> EventBounds:
        self._check_read()
        return await self.store.event_bounds()

    async def event_seq(self, event_id: str) -> int | None:
        self._check_read()
        return await self.store.event_seq(event_id)

    async def events_after(self, seq: int, limit: int) -> Sequence[EventRecord]:
        self._check_read()
        self.reads.append(seq)
        return await self.store.events_after(seq, limit)

    async def message_page(self, history: History, page: PageRequest) -> StoredPage:
        self._check_read()
        return await self.store.message_page(history, page)

    async def message(self, message_id: MessageId) -> PlacedMessage | None:
        self._check_read()
        return await self.store.message(message_id)

    async def messages_before(self, history: History | None, seq: int, limit: int) -> Sequence[PlacedMessage]:
        self._check_read()
        return await self.store.messages_before(history, seq, limit)

    async def messages_after(self, history: History | None, seq: int, limit: int) -> Sequence[PlacedMessage]:
        self._check_read()
        return await self.store.messages_after(history, seq, limit)

    async def artifact_page(self, history: History, page: PageRequest) -> StoredPage:
        self._check_read()
        return await self.store.artifact_page(history, page)

    async def wake_page(self, agent_id: AgentId, page: PageRequest) -> StoredPage:
        self._check_read()
        return await self.store.wake_page(agent_id, page)

    async def approval(self, approval_id: ApprovalId) -> StoredApproval | None:
        self._check_read()
        return await self.store.approval(approval_id)

    async def approval_page(self, wanted: ApprovalFilter, page: PageRequest) -> StoredPage:
        self._check_read()
        return await self.store.approval_page(wanted, page)

    async def thread(self, thread_id: ThreadId) -> Thread | None:
        self._check_read()
        return await self.store.thread(thread_id)

    async def threads(self, room_id: RoomId, page: PageRequest) -> tuple[Sequence[Thread], bool]:
        self._check_read()
        return await self.store.threads(room_id, page)

    async def direct(self, direct_id: DirectId) -> DirectConversation | None:
        self._check_read()
        return await self.store.direct(direct_id)

    async def directs(
        self, page: PageRequest, participants: Sequence[str] | None
    ) -> tuple[Sequence[DirectConversation], bool]:
        self._check_read()
        return await self.store.directs(page, participants)

    async def outbox(self, pairing_id: str, after_seq: int, limit: int, conversation: str = "") -> Sequence[OutboxRow]:
        self._check_read()
        return await self.store.outbox(pairing_id, after_seq, limit, conversation)

    async def dead_letters(self, pairing_id: str, page: PageRequest) -> tuple[Sequence[DeadLetter], bool]:
        self._check_read()
        return await self.store.dead_letters(pairing_id, page)

    async def outbox_depths(self) -> Sequence[OutboxDepth]:
        self._check_read()
        return await self.store.outbox_depths()

    async def check_writable(self) -> None:
        self._check_read()
        await self.store.check_writable()

    async def wait_changed(self) -> None:
        await self.store.wait_changed()

    def owned(self, name: str) -> AbstractAsyncContextManager[None]:
        return self.store.owned(name)

    @property
    def seating(self) -> Seating | None:
        return self.store.seating

    @property
    def spending(self) -> Spending | None:
        return self.store.spending

    def _check_read(self) -> None:
        self.read_count += 1
        if self.read_failure is not None:
            raise self.read_failure
