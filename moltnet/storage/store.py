"""The ``Store`` protocol: what every backend promises. One contract suite (``tests/contracts``) runs on all of them.

A store holds no rules of the network and publishes nothing; ``moltnet.journal`` is its only writer.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import attrs

from moltnet.protocol.ids import AgentId, ApprovalId, DirectId, MessageId, RoomId, ThreadId
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.relays import DeadLetter
from moltnet.protocol.rooms import DirectConversation, Thread
from moltnet.storage.commands import AnyCommand, AnyOutcome
from moltnet.storage.marks import Mark
from moltnet.storage.outbox import OutboxDepth, OutboxRow
from moltnet.storage.plan import Plan
from moltnet.storage.records import (
    ApprovalFilter,
    DirectoryContents,
    EventBounds,
    EventRecord,
    History,
    PairNetwork,
    PlacedMessage,
    StoredAgent,
    StoredApproval,
    StoredPage,
    StoredRoom,
    StoredSession,
)
from moltnet.storage.seating import Seating
from moltnet.storage.spending import Spending


class StorageError(Exception):
    """The backend failed. What was being written is either whole or absent; which one is unknown."""


class StorageFull(StorageError):
    """No room, or no right, to write: nothing was written, and it may work again later."""


class StoreInUse(StorageError):
    """Another server holds this database."""


class OwnershipLost(StorageError):
    """Another server may do by now what this one was doing."""


class SchemaUnsupported(StorageError):
    """The database was written by a newer program, or is not ours."""


class WrongNetwork(StorageError):
    """The database holds another network than the one that is configured."""


class UnknownCursor(Exception):
    """A page's cursor names nothing in the list that is being paged."""

    def __init__(self, cursor: str) -> None:
        super().__init__(cursor)
        self.cursor = cursor


@attrs.frozen
class Committed:
    """One transaction's result: an outcome per command, in order; the events it wrote; rooms and agents it changed.

    Events and changes of other servers may come before. ``rooms`` holds those that were removed too. An agent of
    ``removed_agents`` may be among ``agents`` again, and one of ``removed_marks`` among ``marks``. For ``relayed``
    pairings something new waits, perhaps, or for any of them (``ANY_PAIRING``); of ``retried_relays`` old messages
    wait again.
    """

    outcomes: tuple[AnyOutcome, ...]
    records: tuple[EventRecord, ...] = ()
    rooms: tuple[StoredRoom, ...] = ()
    agents: tuple[StoredAgent, ...] = ()
    removed_agents: frozenset[AgentId] = frozenset()
    sessions: tuple[StoredSession, ...] = ()
    closed_sessions: frozenset[str] = frozenset()
    pair_networks: tuple[PairNetwork, ...] = ()
    marks: tuple[Mark, ...] = ()
    removed_marks: frozenset[str] = frozenset()
    relayed: frozenset[str] = frozenset()
    retried_relays: frozenset[str] = frozenset()

    @classmethod
    def of(cls, planned: Plan) -> "Committed":
        """The result of a plan that has been carried out."""
        changes = planned.changes
        return cls(
            planned.outcomes,
            tuple(changes.records),
            tuple(changes.rooms.values()),
            tuple(changes.agents.values()),
            frozenset(changes.removed_agents),
            tuple(changes.sessions.values()),
            frozenset(changes.closed_sessions),
            tuple(changes.pair_networks.values()),
            tuple(changes.marks.values()),
            frozenset(changes.removed_marks),
            frozenset(pairing_id for pairing_id, _ in changes.outbox_added),
            frozenset(changes.relays_retried),
        )


class Store(Protocol):
    """Durable state of one network.

    Every method may raise ``StorageError``. ``commit`` is atomic and durable: when it returns, all of it survives a
    crash of the process and of the machine; when it raises, none of it was written, unless the connection was lost
    at the very moment of the commit. Cancelling ``commit`` does not stop it half-way; reads may be cancelled freely.
    """

    async def commit(self, commands: Sequence[AnyCommand]) -> Committed:
        """Carry out commands, in order, and report what changed since this store last reported.

        That includes what other servers committed to the same database, before our own; no commands at all only ask
        for it. Each event is reported once, in the order of the log, which has no gap; only a server that was cut off
        for long gets the newest of what it missed, and finds the rest with ``events_after``.
        """
        ...

    async def wait_changed(self) -> None:
        """Wait until others may have committed something that ``commit`` has not reported; for one task at a time.

        It may return without a reason, but what was committed before it was called does not stay unnoticed. With a
        store for a single server it waits for ever.
        """
        ...

    def owned(self, name: str) -> AbstractAsyncContextManager[None]:
        """Wait until ``name`` is nobody else's, among all tasks of all servers on the database; run the block; let go.

        Never do two own it. A server that died lets go of it within ``storage.limits.POSTGRES_LEASE_SECONDS``. One that
        is cut off from the database for so long is in doubt of what it owns: its blocks are cancelled before another
        server can have the name, and leaving them raises ``OwnershipLost``. A block may run again then, here too.
        Trouble with the database while waiting only makes the wait longer. With a store for a single server only tasks
        of this one wait, and nothing is ever lost. The name is any text without NUL.
        """
        ...

    @property
    def seating(self) -> Seating | None:
        """Who is attached at which of the servers that share the database; ``None`` if no other server ever can."""
        ...

    @property
    def spending(self) -> Spending | None:
        """What callers have used up of their rates at all servers that share the database; ``None`` as above."""
        ...

    async def load_directory(self) -> DirectoryContents:
        """All live rooms, registered agents, sessions, bound pair tokens and marks."""
        ...

    async def rooms(self, room_ids: Sequence[RoomId]) -> Sequence[StoredRoom]:
        """Those of these rooms that are there, removed ones too, by id."""
        ...

    async def removed_rooms(self, page: PageRequest) -> tuple[Sequence[StoredRoom], bool]:
        """Removed rooms by id, and whether more follow. Raises ``UnknownCursor``."""
        ...

    async def event_bounds(self) -> EventBounds: ...

    async def event_seq(self, event_id: str) -> int | None:
        """The place of an event in the log, if it is still there."""
        ...

    async def events_after(self, seq: int, limit: int) -> Sequence[EventRecord]:
        """At most ``limit`` events with a greater ``seq``, in order.

        Fewer may come while more follow, if they are large; none come only if there are none.
        """
        ...

    async def message_page(self, history: History, page: PageRequest) -> StoredPage:
        """Messages of one conversation, at most ``limit`` and as many as fit into one answer, but at least one if any.

        Raises ``UnknownCursor`` for a message that is not part of it.
        """
        ...

    async def message(self, message_id: MessageId) -> PlacedMessage | None:
        """A message, if it is still there."""
        ...

    async def messages_before(self, history: History | None, seq: int, limit: int) -> Sequence[PlacedMessage]:
        """At most ``limit`` messages with a smaller ``seq``, newest first, of one conversation or of all.

        Fewer may come while more follow, if they are large; none come only if there are none.
        """
        ...

    async def messages_after(self, history: History | None, seq: int, limit: int) -> Sequence[PlacedMessage]:
        """The same with a greater ``seq``, oldest first."""
        ...

    async def artifact_page(self, history: History, page: PageRequest) -> StoredPage:
        """Artifacts of one conversation, cut as messages are; those of a room include those of its threads.

        Raises ``UnknownCursor`` for an artifact that is not part of it.
        """
        ...

    async def wake_page(self, agent_id: AgentId, page: PageRequest) -> StoredPage:
        """Events that report what became of an agent's wakes, cut as messages are, each as its JSON.

        Those of an earlier agent of that id, which was removed, are not among them. Raises ``UnknownCursor``.
        """
        ...

    async def approval(self, approval_id: ApprovalId) -> StoredApproval | None: ...

    async def approval_page(self, wanted: ApprovalFilter, page: PageRequest) -> StoredPage:
        """Approvals in the order of their requests, cut as messages are, each as its JSON.

        Raises ``UnknownCursor`` for an approval that is not among those that are wanted.
        """
        ...

    async def thread(self, thread_id: ThreadId) -> Thread | None: ...

    async def threads(self, room_id: RoomId, page: PageRequest) -> tuple[Sequence[Thread], bool]:
        """Threads of a room by id, and whether more follow. Raises ``UnknownCursor``."""
        ...

    async def direct(self, direct_id: DirectId) -> DirectConversation | None: ...

    async def directs(
        self, page: PageRequest, participants: Sequence[str] | None
    ) -> tuple[Sequence[DirectConversation], bool]:
        """Direct conversations by id in which any of ``participants`` takes part (``None``: all)."""
        ...

    async def outbox(self, pairing_id: str, after_seq: int, limit: int, conversation: str = "") -> Sequence[OutboxRow]:
        """What waits to be relayed over a pairing after a place, in order, perhaps of one conversation only.

        At most ``limit``, and fewer if they are large; none come only if there are none.
        """
        ...

    async def dead_letters(self, pairing_id: str, page: PageRequest) -> tuple[Sequence[DeadLetter], bool]:
        """Dead letters of a pairing in the order of their messages; whether more follow. Raises ``UnknownCursor``."""
        ...

    async def outbox_depths(self) -> Sequence[OutboxDepth]:
        """How much waits and how much was given up, of every pairing of which there is something, by its id."""
        ...

    async def check_writable(self) -> None:
        """Prove a durable write (design §3.17). Raises ``StorageError`` if the store can't be written to."""
        ...
