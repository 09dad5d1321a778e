"""A store in memory: nothing survives the process. The oracle against which the other stores are tested."""

from bisect import bisect_right
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import islice
from typing import TypeVar, cast

import attrs
import trio

from moltnet.protocol.artifacts import artifacts_of, message_of_artifact
from moltnet.protocol.codec import encode
from moltnet.protocol.events import EventType
from moltnet.protocol.ids import (
    AgentId,
    ApprovalId,
    DirectId,
    EventId,
    MessageId,
    NetworkId,
    RoomId,
    ThreadId,
    event_id_of_message,
)
from moltnet.protocol.messages import Target
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.relays import DeadLetter
from moltnet.protocol.rooms import DirectConversation, Thread
from moltnet.protocol.times import Timestamp
from moltnet.storage.changes import Changes
from moltnet.storage.commands import AnyCommand
from moltnet.storage.facts import Facts, Needs, needs
from moltnet.storage.marks import Mark
from moltnet.storage.memory_lines import Ids, Line
from moltnet.storage.outbox import OutboxDepth, OutboxRow
from moltnet.storage.outbox_memory import MemoryOutbox
from moltnet.storage.ownership import LocalOwners
from moltnet.storage.pages import id_page, placed_page, replay_page
from moltnet.storage.plan import Plan, plan
from moltnet.storage.records import (
    WAKE_REPORTS,
    ApprovalFilter,
    DirectoryContents,
    EventBounds,
    EventRecord,
    History,
    OldEvent,
    OldMessage,
    PairNetwork,
    PlacedMessage,
    StoredAgent,
    StoredApproval,
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
Listed = TypeVar("Listed", Thread, DirectConversation, StoredRoom)


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
    _places: deque["_Place"] = attrs.field(init=False, factory=deque)
    _histories: dict[History, Line] = attrs.field(init=False, factory=dict)
    _all_messages: Line = attrs.field(init=False, factory=Line)
    _artifacts: dict[History, Line] = attrs.field(init=False, factory=dict)
    _wakes: dict[AgentId, Line] = attrs.field(init=False, factory=dict)
    _threads: dict[ThreadId, Thread] = attrs.field(init=False, factory=dict)
    _threads_of: dict[RoomId, Ids] = attrs.field(init=False, factory=dict)
    _directs: dict[DirectId, DirectConversation] = attrs.field(init=False, factory=dict)
    _direct_ids: Ids = attrs.field(init=False, factory=Ids)
    _directs_of: dict[str, Ids] = attrs.field(init=False, factory=dict)
    _rooms: dict[RoomId, StoredRoom] = attrs.field(init=False, factory=dict)
    _agents: dict[AgentId, StoredAgent] = attrs.field(init=False, factory=dict)
    _sessions: dict[str, StoredSession] = attrs.field(init=False, factory=dict)
    _pair_networks: dict[str, PairNetwork] = attrs.field(init=False, factory=dict)
    _outbox: MemoryOutbox = attrs.field(init=False, factory=MemoryOutbox)
    _marks: dict[str, Mark] = attrs.field(init=False, factory=dict)
    _approvals: dict[ApprovalId, StoredApproval] = attrs.field(init=False, factory=dict)
    _owners: LocalOwners = attrs.field(init=False, factory=LocalOwners)

    async def commit(self, commands: Sequence[AnyCommand]) -> Committed:
        await trio.lowlevel.checkpoint()
        planned = self.decide(commands)
        self.apply(planned.changes)
        return Committed.of(planned)

    async def load_directory(self) -> DirectoryContents:
        await trio.lowlevel.checkpoint()
        rooms = (stored for stored in _by_id(self._rooms) if not stored.removed_at)
        return DirectoryContents(
            tuple(rooms),
            tuple(_by_id(self._agents)),
            tuple(self._sessions.values()),
            tuple(self._pair_networks.values()),
            tuple(_by_id(self._marks)),
        )

    async def rooms(self, room_ids: Sequence[RoomId]) -> Sequence[StoredRoom]:
        await trio.lowlevel.checkpoint()
        return list(_by_id(_found(self._rooms, room_ids)))

    async def removed_rooms(self, page: PageRequest) -> tuple[Sequence[StoredRoom], bool]:
        await trio.lowlevel.checkpoint()
        removed = Ids()
        for stored in self._rooms.values():
            if stored.removed_at:
                removed.add(stored.room.id)
        return _listed(self._rooms, [removed], page)

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
        if not self._log:
            return []
        start = max(0, seq + 1 - self._log[0].seq)
        return replay_page(self._log[start : start + limit], limit)

    async def message_page(self, history: History, page: PageRequest) -> StoredPage:
        await trio.lowlevel.checkpoint()
        return self._histories.get(history, Line()).page(page)

    async def message(self, message_id: MessageId) -> PlacedMessage | None:
        await trio.lowlevel.checkpoint()
        return self._all_messages.find(message_id)

    async def messages_before(self, history: History | None, seq: int, limit: int) -> Sequence[PlacedMessage]:
        await trio.lowlevel.checkpoint()
        return placed_page(self._line(history).before(seq), limit)

    async def messages_after(self, history: History | None, seq: int, limit: int) -> Sequence[PlacedMessage]:
        await trio.lowlevel.checkpoint()
        return placed_page(self._line(history).after(seq), limit)

    def _line(self, history: History | None) -> Line:
        return self._all_messages if history is None else self._histories.get(history, Line())

    async def artifact_page(self, history: History, page: PageRequest) -> StoredPage:
        await trio.lowlevel.checkpoint()
        return self._artifacts.get(history, Line()).page(page)

    async def wake_page(self, agent_id: AgentId, page: PageRequest) -> StoredPage:
        await trio.lowlevel.checkpoint()
        return self._wakes.get(agent_id, Line()).page(page)

    async def approval(self, approval_id: ApprovalId) -> StoredApproval | None:
        await trio.lowlevel.checkpoint()
        return self._approvals.get(approval_id)

    async def approval_page(self, wanted: ApprovalFilter, page: PageRequest) -> StoredPage:
        await trio.lowlevel.checkpoint()
        line = Line()
        for stored in sorted(self._approvals.values(), key=lambda stored: stored.seq):
            if wanted.wants(stored.approval):
                line.append(stored.id, encode(stored.approval))
        return line.page(page)

    async def thread(self, thread_id: ThreadId) -> Thread | None:
        await trio.lowlevel.checkpoint()
        return self._threads.get(thread_id)

    async def threads(self, room_id: RoomId, page: PageRequest) -> tuple[Sequence[Thread], bool]:
        await trio.lowlevel.checkpoint()
        return _listed(self._threads, [self._threads_of.get(room_id, Ids())], page)

    async def direct(self, direct_id: DirectId) -> DirectConversation | None:
        await trio.lowlevel.checkpoint()
        return self._directs.get(direct_id)

    async def directs(
        self, page: PageRequest, participants: Sequence[str] | None
    ) -> tuple[Sequence[DirectConversation], bool]:
        await trio.lowlevel.checkpoint()
        lists = [self._directs_of[each] for each in participants or () if each in self._directs_of]
        return _listed(self._directs, [self._direct_ids] if participants is None else lists, page)

    async def outbox(self, pairing_id: str, after_seq: int, limit: int, conversation: str = "") -> Sequence[OutboxRow]:
        await trio.lowlevel.checkpoint()
        return self._outbox.waiting(pairing_id, after_seq, limit, conversation)

    async def dead_letters(self, pairing_id: str, page: PageRequest) -> tuple[Sequence[DeadLetter], bool]:
        await trio.lowlevel.checkpoint()
        return self._outbox.dead_letters(pairing_id, page)

    async def outbox_depths(self) -> Sequence[OutboxDepth]:
        await trio.lowlevel.checkpoint()
        return self._outbox.depths()

    async def check_writable(self) -> None:
        await trio.lowlevel.checkpoint()

    async def wait_changed(self) -> None:
        await trio.sleep_forever()

    def owned(self, name: str) -> AbstractAsyncContextManager[None]:
        return self._owners.owned(name)

    @property
    def seating(self) -> None:
        return None

    @property
    def spending(self) -> None:
        return None

    def decide(self, commands: Sequence[AnyCommand]) -> Plan:
        """What these commands would change. Nothing is changed yet."""
        return plan(commands, self._facts(commands), self.network_id)

    def apply(self, changes: Changes) -> None:
        """Make the changes of a plan that was decided on this very state."""
        self._prune(changes.events_pruned_to, changes.messages_pruned_to)
        for record in changes.records:
            self._log.append(record)
            self._seqs[record.id] = record.seq
            if record.type in WAKE_REPORTS:
                self._wakes.setdefault(record.agent_id, Line()).append(record.id, record.wire)
            elif record.type == EventType.AGENT_REMOVED:
                self._wakes.pop(record.agent_id, None)
        for row in changes.messages:
            message = row.message
            self._messages[message.id] = StoredMessage(event_id_of_message(message.id), row.digest)
            for line in (self._histories.setdefault(history_of(message.target), Line()), self._all_messages):
                line.append(message.id, row.body, row.seq)
            self._places.append(
                _Place(
                    row.seq, message.id, message.created_at, message.target, len(row.body), len(artifacts_of(message))
                )
            )
        for artifact in changes.artifacts:
            for history in artifact_histories_of(artifact.target):
                self._artifacts.setdefault(history, Line()).append(artifact.id, artifact.body)
        for thread in changes.threads.values():
            self._threads_of.setdefault(thread.room_id, Ids()).add(thread.id)
        self._threads.update(changes.threads)
        for direct in changes.directs.values():
            self._direct_ids.add(direct.id)
            for participant in direct.participant_ids:
                self._directs_of.setdefault(participant, Ids()).add(direct.id)
        self._directs.update(changes.directs)
        self._rooms.update(changes.rooms)
        for agent_id in changes.removed_agents:
            self._agents.pop(agent_id, None)
            for approval_id in [id for id, each in self._approvals.items() if each.approval.agent_id == agent_id]:
                del self._approvals[approval_id]
        self._agents.update(changes.agents)
        for digest in changes.closed_sessions:
            self._sessions.pop(digest, None)
        self._sessions.update(changes.sessions)
        self._pair_networks.update(changes.pair_networks)
        for mark_id in changes.removed_marks:
            self._marks.pop(mark_id, None)
        self._marks.update(changes.marks)
        self._outbox.apply(changes)
        for approval_id in changes.forgotten_approvals:
            self._approvals.pop(approval_id, None)
        self._approvals.update(changes.approvals)

    def _prune(self, last_event: int, last_message: int) -> None:
        gone = bisect_right(self._log, last_event, key=lambda record: record.seq)
        for record in self._log[:gone]:
            del self._seqs[record.id]
            if record.type in WAKE_REPORTS and record.agent_id in self._wakes:
                self._wakes[record.agent_id].drop_first({record.id}, lambda id: id)
        del self._log[:gone]
        gone_from: dict[History, set[MessageId]] = {}
        all_gone = set[MessageId]()
        while self._places and self._places[0].seq <= last_message:
            place = self._places.popleft()
            del self._messages[place.id]
            all_gone.add(place.id)
            for history in artifact_histories_of(place.target):
                gone_from.setdefault(history, set()).add(place.id)
        self._all_messages.drop_first(all_gone, lambda id: id)
        for history, ids in gone_from.items():
            if history in self._histories:
                self._histories[history].drop_first(ids, lambda id: id)
            if history in self._artifacts:
                self._artifacts[history].drop_first(ids, message_of_artifact)

    def _facts(self, commands: Sequence[AnyCommand]) -> Facts:
        wanted = needs(commands)
        member_of = (id for id, stored in self._rooms.items() if not wanted.members.isdisjoint(stored.room.members))
        return Facts(
            newest_seq=self._log[-1].seq if self._log else 0,
            messages=_found(self._messages, wanted.messages),
            threads=_found(self._threads, wanted.threads),
            directs=_found(self._directs, wanted.directs),
            posted_rooms={id for id in wanted.posted_rooms if id in self._rooms and not self._rooms[id].removed_at},
            rooms=_found(self._rooms, wanted.rooms.union(member_of if wanted.members else ())),
            agents=_found(self._agents, wanted.agents),
            pair_networks=_found(self._pair_networks, wanted.pair_keys),
            marks=_found(self._marks, wanted.marks),
            dead_letters=self._outbox.found(wanted.dead_letters),
            oldest_events=[OldEvent(record.seq, record.created_at) for record in self._log[: wanted.oldest_events]],
            oldest_messages=[
                OldMessage(place.seq, place.id, place.created_at, place.size_bytes, place.artifacts)
                for place in islice(self._places, wanted.oldest_messages)
            ],
            approvals=_found(self._approvals, wanted.approvals),
            pending_approvals=self._pending_approvals(wanted),
            due_approvals=self._swept(wanted, wanted.approvals_due_us + 1, decided=False),
            old_approvals=self._swept(wanted, wanted.approvals_old_us, decided=True),
        )

    def _pending_approvals(self, wanted: Needs) -> dict[AgentId, int]:
        pending = [each.approval.agent_id for each in self._approvals.values() if not each.approval.is_decided]
        return {agent_id: pending.count(agent_id) for agent_id in wanted.pending_of}

    def _swept(self, wanted: Needs, before_us: int, *, decided: bool) -> Sequence[StoredApproval]:
        if not wanted.swept_approvals:
            return ()
        found = [
            each
            for each in self._approvals.values()
            if each.approval.is_decided is decided and each.moment_us < before_us
        ]
        return sorted(found, key=lambda each: (each.moment_us, each.seq))[: wanted.swept_approvals]


@attrs.frozen
class _Place:
    """Where a message stands, for when it is the oldest one."""

    seq: int
    id: MessageId
    created_at: Timestamp
    target: Target
    size_bytes: int
    artifacts: int


def _found(rows: Mapping[Key, Value], keys: Iterable[Key]) -> dict[Key, Value]:
    return {key: rows[key] for key in keys if key in rows}


def _by_id(rows: Mapping[Key, Value]) -> Iterator[Value]:
    return (rows[key] for key in sorted(rows))


def _listed(rows: Mapping[Key, Listed], lists: Sequence[Ids], page: PageRequest) -> tuple[Sequence[Listed], bool]:
    """A page of what stands in any of the lists. Raises ``UnknownCursor``."""
    cursor = page.before or page.after
    if cursor and not any(cursor in ids for ids in lists):
        raise UnknownCursor(cursor)
    # The page is among the first of each list: none is read whole.
    found = {id for ids in lists for id in ids.beyond(page)}
    nearest = sorted(found, reverse=bool(page.before))[: page.limit + 1]
    return id_page([rows[cast("Key", id)] for id in nearest], page)
