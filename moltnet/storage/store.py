"""The ``Store`` protocol: what every backend promises. One contract suite (``tests/contracts``) runs on all of them.

A store holds no rules of the network and publishes nothing; ``moltnet.journal`` is its only writer.
"""

from collections.abc import Sequence
from typing import Protocol

import attrs

from moltnet.protocol.ids import AgentId, DirectId, RoomId, ThreadId
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.rooms import DirectConversation, Thread
from moltnet.storage.commands import AnyCommand, AnyOutcome
from moltnet.storage.plan import Plan
from moltnet.storage.records import (
    DirectoryContents,
    EventBounds,
    EventRecord,
    History,
    PairNetwork,
    StoredAgent,
    StoredPage,
    StoredRoom,
    StoredSession,
)


class StorageError(Exception):
    """The backend failed. What was being written is either whole or absent; which one is unknown."""


class StorageFull(StorageError):
    """No room, or no right, to write: nothing was written, and it may work again later."""


class StoreInUse(StorageError):
    """Another server holds this database."""


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
    ``removed_agents`` may be among ``agents`` again.
    """

    outcomes: tuple[AnyOutcome, ...]
    records: tuple[EventRecord, ...] = ()
    rooms: tuple[StoredRoom, ...] = ()
    agents: tuple[StoredAgent, ...] = ()
    removed_agents: frozenset[AgentId] = frozenset()
    sessions: tuple[StoredSession, ...] = ()
    closed_sessions: frozenset[str] = frozenset()
    pair_networks: tuple[PairNetwork, ...] = ()

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

    async def load_directory(self) -> DirectoryContents:
        """All live rooms, registered agents, sessions and bound pair tokens."""
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

    async def check_writable(self) -> None:
        """Prove a durable write (design §3.17). Raises ``StorageError`` if the store can't be written to."""
        ...
