"""A store in memory: nothing survives the process. The oracle against which the other stores are tested."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import attrs
import trio

from moltnet.protocol.ids import AgentId, DirectId, EventId, MessageId, NetworkId, RoomId, ThreadId, event_id_of_message
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.rooms import DirectConversation, Thread
from moltnet.storage.changes import Changes
from moltnet.storage.commands import AnyCommand
from moltnet.storage.facts import Facts, needs
from moltnet.storage.pages import body_page, id_page, replay_page
from moltnet.storage.plan import plan
from moltnet.storage.records import (
    DirectoryContents,
    EventBounds,
    EventRecord,
    History,
    PairNetwork,
    StoredAgent,
    StoredMessage,
    StoredPage,
    StoredRoom,
    StoredSession,
    artifact_histories_of,
    history_of,
)
from moltnet.storage.store import Committed, Store, UnknownCursor

Key = TypeVar("Key", bound=str)
Value = TypeVar("Value")
Listed = TypeVar("Listed", Thread, DirectConversation)


@asynccontextmanager
async def open_memory(network_id: NetworkId) -> AsyncIterator[Store]:
    """An empty store that is forgotten at the end of the block."""
    yield MemoryStore(network_id)


@attrs.define(eq=False)
class MemoryStore:
    """Keeps a ``Store``'s promises but durability. Every method is one checkpoint, then runs through."""

    network_id: NetworkId
    _log: list[EventRecord] = attrs.field(init=False, factory=list)
    _seqs: dict[EventId, int] = attrs.field(init=False, factory=dict)
    _messages: dict[MessageId, StoredMessage] = attrs.field(init=False, factory=dict)
    _histories: dict[History, "_Line"] = attrs.field(init=False, factory=dict)
    _artifacts: dict[History, "_Line"] = attrs.field(init=False, factory=dict)
    _threads: dict[ThreadId, Thread] = attrs.field(init=False, factory=dict)
    _directs: dict[DirectId, DirectConversation] = attrs.field(init=False, factory=dict)
    _rooms: dict[RoomId, StoredRoom] = attrs.field(init=False, factory=dict)
    _agents: dict[AgentId, StoredAgent] = attrs.field(init=False, factory=dict)
    _sessions: dict[str, StoredSession] = attrs.field(init=False, factory=dict)
    _pair_networks: dict[str, PairNetwork] = attrs.field(init=False, factory=dict)

    async def commit(self, commands: Sequence[AnyCommand]) -> Committed:
        await trio.lowlevel.checkpoint()
        planned = plan(commands, self._facts(commands), self.network_id)
        self._write(planned.changes)
        return Committed.of(planned)

    async def load_directory(self) -> DirectoryContents:
        await trio.lowlevel.checkpoint()
        rooms = (stored for stored in _by_id(self._rooms) if not stored.removed_at)
        return DirectoryContents(
            tuple(rooms),
            tuple(_by_id(self._agents)),
            tuple(self._sessions.values()),
            tuple(self._pair_networks.values()),
        )

    async def event_bounds(self) -> EventBounds:
        await trio.lowlevel.checkpoint()
        if not self._log:
            return EventBounds(0, 0)
        oldest, newest = self._log[0], self._log[-1]
        return EventBounds(oldest.seq, newest.seq, oldest.id, newest.id)

    async def event_seq(self, event_id: str) -> int | None:
        await trio.lowlevel.checkpoint()
        return self._seqs.get(EventId(event_id))

    async def events_after(self, seq: int, limit: int) -> Sequence[EventRecord]:
        await trio.lowlevel.checkpoint()
        # The first event has seq 1 and place 0.
        return replay_page(self._log[max(0, seq) : max(0, seq) + limit], limit)

    async def message_page(self, history: History, page: PageRequest) -> StoredPage:
        await trio.lowlevel.checkpoint()
        return self._histories.get(history, _Line()).page(page)

    async def artifact_page(self, history: History, page: PageRequest) -> StoredPage:
        await trio.lowlevel.checkpoint()
        return self._artifacts.get(history, _Line()).page(page)

    async def thread(self, thread_id: ThreadId) -> Thread | None:
        await trio.lowlevel.checkpoint()
        return self._threads.get(thread_id)

    async def threads(self, room_id: RoomId, page: PageRequest) -> tuple[Sequence[Thread], bool]:
        await trio.lowlevel.checkpoint()
        return _listed([thread for thread in _by_id(self._threads) if thread.room_id == room_id], page)

    async def direct(self, direct_id: DirectId) -> DirectConversation | None:
        await trio.lowlevel.checkpoint()
        return self._directs.get(direct_id)

    async def directs(
        self, page: PageRequest, participants: Sequence[str] | None
    ) -> tuple[Sequence[DirectConversation], bool]:
        await trio.lowlevel.checkpoint()
        wanted = None if participants is None else set(participants)
        found = [d for d in _by_id(self._directs) if wanted is None or not wanted.isdisjoint(d.participant_ids)]
        return _listed(found, page)

    async def check_writable(self) -> None:
        await trio.lowlevel.checkpoint()

    def _facts(self, commands: Sequence[AnyCommand]) -> Facts:
        wanted = needs(commands)
        member_of = (id for id, stored in self._rooms.items() if not wanted.members.isdisjoint(stored.room.members))
        return Facts(
            newest_seq=len(self._log),
            messages=_found(self._messages, wanted.messages),
            threads=_found(self._threads, wanted.threads),
            directs=_found(self._directs, wanted.directs),
            posted_rooms={id for id in wanted.posted_rooms if id in self._rooms and not self._rooms[id].removed_at},
            rooms=_found(self._rooms, wanted.rooms.union(member_of if wanted.members else ())),
            agents=_found(self._agents, wanted.agents),
            pair_networks=_found(self._pair_networks, wanted.pair_keys),
        )

    def _write(self, changes: Changes) -> None:
        for record in changes.records:
            self._log.append(record)
            self._seqs[record.id] = record.seq
        for row in changes.messages:
            message = row.message
            self._messages[message.id] = StoredMessage(event_id_of_message(message.id), row.digest)
            self._histories.setdefault(history_of(message.target), _Line()).append(message.id, row.body)
        for artifact in changes.artifacts:
            for history in artifact_histories_of(artifact.target):
                self._artifacts.setdefault(history, _Line()).append(artifact.id, artifact.body)
        self._threads.update(changes.threads)
        self._directs.update(changes.directs)
        self._rooms.update(changes.rooms)
        for agent_id in changes.removed_agents:
            self._agents.pop(agent_id, None)
        self._agents.update(changes.agents)
        for digest in changes.closed_sessions:
            self._sessions.pop(digest, None)
        self._sessions.update(changes.sessions)
        self._pair_networks.update(changes.pair_networks)


@attrs.define(eq=False)
class _Line:
    """Ids and bodies in the order in which they came, and where each stands."""

    _items: list[tuple[str, bytes]] = attrs.field(init=False, factory=list)
    _places: dict[str, int] = attrs.field(init=False, factory=dict)

    def append(self, id: str, body: bytes) -> None:
        self._places[id] = len(self._items)
        self._items.append((id, body))

    def page(self, page: PageRequest) -> StoredPage:
        """Raises ``UnknownCursor``."""
        cursor = page.after or page.before
        place = self._places.get(cursor, -1) if cursor else len(self._items)
        if place < 0:
            raise UnknownCursor(cursor)
        places = range(place + 1, len(self._items)) if page.after else range(place - 1, -1, -1)
        return body_page((self._items[place] for place in places), page)


def _found(rows: Mapping[Key, Value], keys: Iterable[Key]) -> dict[Key, Value]:
    return {key: rows[key] for key in keys if key in rows}


def _by_id(rows: Mapping[Key, Value]) -> Iterator[Value]:
    return (rows[key] for key in sorted(rows))


def _listed(items: Sequence[Listed], page: PageRequest) -> tuple[Sequence[Listed], bool]:
    """A page of items that are sorted by id. Raises ``UnknownCursor``."""
    ids: list[str] = [item.id for item in items]
    cursor = page.before or page.after
    if not cursor:
        return id_page(items, page)
    if cursor not in ids:
        raise UnknownCursor(cursor)
    place = ids.index(cursor)
    return id_page(items[:place][::-1] if page.before else items[place + 1 :], page)
