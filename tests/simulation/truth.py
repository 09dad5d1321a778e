"""What one network has really committed, and who could read it when: what everything that it says is compared with.

It is told by the store beneath the product, in the very step of each commit. Steps count everything that happens in a
world, so that "at some moment between these two" can be asked.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from moltnet.protocol.codec import decode
from moltnet.protocol.events import Event, EventType
from moltnet.protocol.identity import agent_fqid
from moltnet.protocol.ids import NetworkId
from moltnet.protocol.messages import Message
from moltnet.protocol.rooms import Visibility
from moltnet.storage.records import EventRecord, StoredRoom
from moltnet.storage.store import Committed

_ABOUT_AGENTS: Final = "agent."


@attrs.define(eq=False)
class Steps:
    """Counts what happens."""

    now: int = 0

    def next(self) -> int:
        self.now += 1
        return self.now


@attrs.frozen
class RoomState:
    """A room from `step` on: its members as FQIDs; nobody's, once it was removed."""

    step: int
    members: frozenset[str]
    is_public: bool
    exists: bool = True


@attrs.frozen
class Reader:
    """What a credential may see, said once more than the product says it. `agents` are bare ids."""

    name: str
    agents: frozenset[str] = frozenset()
    observes: bool = False
    public: bool = False


@attrs.define(eq=False)
class Truth:
    """The log of one network as it was committed."""

    network_id: NetworkId
    steps: Steps
    log: list[EventRecord] = attrs.field(factory=list)
    step_of: dict[str, int] = attrs.field(factory=dict)
    """When each event was committed."""
    seq_of: dict[str, int] = attrs.field(factory=dict)
    messages: dict[str, Message] = attrs.field(factory=dict)
    """By id, in the order of the log."""
    rooms: dict[str, list[RoomState]] = attrs.field(factory=dict)

    def committed(self, committed: Committed) -> None:
        step = self.steps.next()
        self.learn_rooms(committed.rooms, step)
        for record in committed.records:
            self._learn(record, step)

    def found(self, rooms: Iterable[StoredRoom], records: Iterable[EventRecord]) -> None:
        """What a store holds that is opened again: a crash may have come between a commit and its report."""
        step = self.steps.next()
        self.learn_rooms(rooms, step)
        for record in records:
            if record.id not in self.seq_of:
                self._learn(record, step)

    def learn_rooms(self, rooms: Iterable[StoredRoom], step: int) -> None:
        for stored in rooms:
            room = stored.room
            members = frozenset(self._fqid(member) for member in room.members)
            state = RoomState(step, members, room.visibility is Visibility.PUBLIC, not stored.removed_at)
            history = self.rooms.setdefault(room.id, [])
            if not history or attrs.evolve(history[-1], step=step) != state:
                history.append(state)

    def could_see(self, reader: Reader, record: EventRecord, since_step: int) -> bool:
        """Whether there was a moment since `since_step` at which the reader was allowed this event."""
        if reader.observes:
            return True
        if record.direct_id:
            return not self._names(reader).isdisjoint(record.addressed)
        if record.room_id:
            if record.type == EventType.ROOM_REMOVED:
                return True  # who was a member stands in the event, and is checked by the product's own tests
            return any(self.allows(reader, state) for state in self.states_since(record.room_id, since_step))
        if record.agent_id:
            return record.agent_id in reader.agents
        return record.type == EventType.REPLAY_GAP

    def allows(self, reader: Reader, state: RoomState) -> bool:
        if not state.exists:
            return False
        is_member = not self._names(reader).isdisjoint(state.members)
        return reader.observes or is_member or (reader.public and state.is_public)

    def states_since(self, room_id: str, step: int) -> list[RoomState]:
        """What the room was at `step`, and everything that it has been since."""
        history = self.rooms.get(room_id, [])
        before = [state for state in history if state.step <= step]
        return [*before[-1:], *(state for state in history if state.step > step)]

    def texts(self, conversation: tuple[str, str]) -> Mapping[str, str]:
        """Ids and texts of a conversation's messages, in order."""
        found = (each for each in self.messages.values() if conversation_of(each) == conversation)
        return {each.id: each.parts[0].text for each in found}

    def _learn(self, record: EventRecord, step: int) -> None:
        assert not self.log or record.seq == self.log[-1].seq + 1, (
            f"guarantee 2: the log of {self.network_id} goes from {self.log[-1].seq} to {record.seq}"
        )
        assert record.id not in self.seq_of, f"guarantee 2: event {record.id} is in the log twice"
        self.log.append(record)
        self.seq_of[record.id] = record.seq
        self.step_of[record.id] = step
        if record.type == EventType.MESSAGE_CREATED:
            message = decode(record.wire, Event).message
            assert message is not None
            assert message.id not in self.messages, f"guarantee 4: message {message.id} is in the log twice"
            self.messages[message.id] = message

    def _names(self, reader: Reader) -> set[str]:
        return {agent_fqid(self.network_id, agent_id) for agent_id in reader.agents}

    def _fqid(self, member: str) -> str:
        if member.startswith("molt://"):
            return member
        network_id, colon, agent_id = member.partition(":")
        return agent_fqid(NetworkId(network_id), agent_id) if colon else agent_fqid(self.network_id, member)


def conversation_of(message: Message) -> tuple[str, str]:
    target = message.target
    return target.kind, target.room_id if target.kind == "room" else target.thread_id or target.dm_id
