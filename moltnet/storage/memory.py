"""A store in memory: nothing survives the process. The oracle against which the other stores are tested."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import attrs
import trio

from moltnet.protocol.ids import AgentId, DirectId, EventId, MessageId, NetworkId, RoomId, ThreadId, event_id_of_message
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.rooms import DirectConversation, Thread
from moltnet.storage.commands import AnyCommand
from moltnet.storage.facts import Facts, needs
from moltnet.storage.pages import id_page, message_page, replay_page
from moltnet.storage.plan import Changes, plan
from moltnet.storage.records import (
    DirectoryContents,
    EventBounds,
    EventRecord,
    History,
    StoredAgent,
    StoredMessage,
    StoredPage,
    StoredRoom,
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
    _histories: dict[History, list[tuple[str, bytes]]] = attrs.field(init=False, factory=dict)
    _places: dict[tuple[History, str], int] = attrs.field(init=False, factory=dict)
    _threads: dict[ThreadId, Thread] = attrs.field(init=False, factory=dict)
    _directs: dict[DirectId, DirectConversation] = attrs.field(init=False, factory=dict)
    _rooms: dict[RoomId, StoredRoom] = attrs.field(init=False, factory=dict)
    _agents: dict[AgentId, StoredAgent] = attrs.field(init=False, factory=dict)

    async def commit(self, commands: Sequence[AnyCommand]) -> Committed:
        await trio.lowlevel.checkpoint()
        planned = plan(commands, self._facts(commands), self.network_id)
        changes = planned.changes
        self._write(changes)
        return Committed(
            planned.outcomes, tuple(changes.records), tuple(changes.rooms.values()), tuple(changes.agents.values())
        )

    async def load_directory(self) -> DirectoryContents:
        await trio.lowlevel.checkpoint()
        return DirectoryContents(tuple(_by_id(self._rooms)), tuple(_by_id(self._agents)))

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
        messages = self._histories.get(history, [])
        if page.after:
            start = self._place(history, page.after) + 1
            return message_page((messages[place] for place in range(start, len(messages))), page)
        end = self._place(history, page.before) if page.before else len(messages)
        return message_page((messages[place] for place in range(end - 1, -1, -1)), page)

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

    def _place(self, history: History, cursor: str) -> int:
        place = self._places.get((history, cursor))
        if place is None:
            raise UnknownCursor(cursor)
        return place

    def _facts(self, commands: Sequence[AnyCommand]) -> Facts:
        wanted = needs(commands)
        return Facts(
            newest_seq=len(self._log),
            messages=_found(self._messages, wanted.messages),
            threads=_found(self._threads, wanted.threads),
            directs=_found(self._directs, wanted.directs),
            posted_rooms=wanted.posted_rooms & self._rooms.keys(),
            rooms=_found(self._rooms, wanted.rooms),
            agents=_found(self._agents, wanted.agents),
        )

    def _write(self, changes: Changes) -> None:
        for record in changes.records:
            self._log.append(record)
            self._seqs[record.id] = record.seq
        for row in changes.messages:
            message = row.message
            self._messages[message.id] = StoredMessage(event_id_of_message(message.id), row.digest)
            history = history_of(message.target)
            messages = self._histories.setdefault(history, [])
            self._places[history, message.id] = len(messages)
            messages.append((message.id, row.body))
        self._threads.update(changes.threads)
        self._directs.update(changes.directs)
        self._rooms.update(changes.rooms)
        self._agents.update(changes.agents)


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
