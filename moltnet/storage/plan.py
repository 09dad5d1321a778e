"""Deciding what a batch of commands changes: pure, and the same for every backend.

A backend asks ``facts.needs`` which rows the batch depends on, loads them as ``Facts`` inside its transaction, calls
``plan`` and writes the ``Changes``. So a batch costs a fixed number of statements, whatever its size, and the rules
of integrity (a message id is used once, a thread stays in its room, a direct conversation belongs to its
participants) stand in one place.
"""

from collections.abc import Callable, Iterable, Sequence

import attrs

from moltnet.protocol.codec import encode
from moltnet.protocol.events import AgentEvent, Event, EventType
from moltnet.protocol.identity import canonical_member, direct_fqid, parse_address, thread_fqid
from moltnet.protocol.ids import (
    AgentId,
    DirectId,
    EventId,
    MessageId,
    NetworkId,
    RoomId,
    ThreadId,
    event_id_of_message,
    new_event_id,
)
from moltnet.protocol.limits import MAX_PARTICIPANTS
from moltnet.protocol.messages import Message, TargetKind
from moltnet.protocol.rooms import DirectConversation, Room, Thread
from moltnet.protocol.times import Timestamp
from moltnet.storage.commands import (
    AgentOwned,
    AgentStored,
    AnyCommand,
    AnyOutcome,
    AppendMessage,
    BindAgent,
    CreateRoom,
    DeclareRoom,
    DirectFull,
    EventsRecorded,
    MessageOutcome,
    MessageRepeated,
    MessageStored,
    NotParticipant,
    RecordEvents,
    RegisterAgent,
    RoomMissing,
    RoomStored,
    RoomTaken,
    ThreadElsewhere,
    UpdateMembers,
)
from moltnet.storage.facts import Facts
from moltnet.storage.records import EventRecord, StoredAgent, StoredMessage, StoredRoom


@attrs.frozen
class MessageRow:
    """A new message; ``seq`` is that of its ``message.created`` event, and orders it in its conversation."""

    seq: int
    message: Message
    body: bytes
    digest: bytes


@attrs.define
class Changes:
    """What to write. Records are inserted, everything else is inserted or replaced by its id."""

    records: list[EventRecord] = attrs.Factory(list)
    messages: list[MessageRow] = attrs.Factory(list)
    threads: dict[ThreadId, Thread] = attrs.Factory(dict)
    directs: dict[DirectId, DirectConversation] = attrs.Factory(dict)
    rooms: dict[RoomId, StoredRoom] = attrs.Factory(dict)
    agents: dict[AgentId, StoredAgent] = attrs.Factory(dict)


@attrs.frozen
class Plan:
    """Outcomes in the order of the commands, and the changes that make them true."""

    outcomes: tuple[AnyOutcome, ...]
    changes: Changes


def plan(
    commands: Sequence[AnyCommand],
    facts: Facts,
    network_id: NetworkId,
    new_id: Callable[[], EventId] = new_event_id,
) -> Plan:
    """Decide every command in order. Facts must hold all rows that ``needs`` asks for and that exist."""
    planner = _Planner(facts, network_id, new_id)
    return Plan(tuple(planner.decide(command) for command in commands), planner.changes)


@attrs.define(eq=False)
class _Planner:
    facts: Facts
    network_id: NetworkId
    new_id: Callable[[], EventId]
    changes: Changes = attrs.Factory(Changes)

    def decide(self, command: AnyCommand) -> AnyOutcome:
        match command:
            case AppendMessage():
                return self._append(command)
            case CreateRoom(room=room):
                if room.id in self.facts.rooms or room.id in self.facts.removed_rooms:
                    return RoomTaken(room.id)
                return self._create_room(StoredRoom(room))
            case DeclareRoom():
                return self._declare_room(command)
            case UpdateMembers():
                return self._update_members(command)
            case RegisterAgent():
                return self._register(command)
            case BindAgent(agent=agent):
                return self._bind(agent)
            case RecordEvents(events=events):
                for event in events:
                    self._record_event(event)
                return EventsRecorded()

    # Messages

    def _append(self, command: AppendMessage) -> MessageOutcome:
        message = command.message
        known = self.facts.messages.get(message.id)
        if known is not None:
            return MessageRepeated(known.event_id, known.digest == command.digest)
        thread_created = dm_created = False
        addressed = command.addressed
        match message.target.kind:
            case TargetKind.DM:
                direct = self._join_direct(message)
                if isinstance(direct, NotParticipant | DirectFull):
                    return direct
                dm_created = direct.message_count == 1
                addressed = self._fqids(direct.participant_ids)
            case TargetKind.THREAD:
                if message.target.room_id not in self.facts.posted_rooms:
                    return RoomMissing(message.target.room_id)
                known_thread = self.facts.threads.get(message.target.thread_id)
                if known_thread is not None and known_thread.room_id != message.target.room_id:
                    return ThreadElsewhere(known_thread.room_id)
                thread_created = self._extend_thread(message, known_thread)
            case _:
                if message.target.room_id not in self.facts.posted_rooms:
                    return RoomMissing(message.target.room_id)
        record = self._record(
            event_id_of_message(message.id),
            EventType.MESSAGE_CREATED,
            message.created_at,
            message_payload(command.body),
            room_id=message.target.room_id,
            direct_id=message.target.dm_id,
            message_id=message.id,
            sender=message.sender.fqid,
            addressed=addressed,
        )
        self.changes.messages.append(MessageRow(record.seq, message, command.body, command.digest))
        self.facts.messages[message.id] = StoredMessage(record.id, command.digest)
        return MessageStored(record.id, thread_created=thread_created, dm_created=dm_created)

    def _extend_thread(self, message: Message, known: Thread | None) -> bool:
        target = message.target
        if known is None:
            thread = Thread(
                id=target.thread_id,
                network_id=self.network_id,
                fqid=thread_fqid(self.network_id, target.thread_id),
                room_id=target.room_id,
                parent_message_id=target.parent_message_id,
                message_count=1,
                last_message_at=message.created_at,
            )
            self._record(
                self.new_id(),
                EventType.THREAD_CREATED,
                message.created_at,
                b'"thread":' + encode(thread),
                room_id=target.room_id,
                sender=message.sender.fqid,
            )
        else:
            thread = attrs.evolve(known, message_count=known.message_count + 1, last_message_at=message.created_at)
        self.facts.threads[thread.id] = self.changes.threads[thread.id] = thread
        return known is None

    def _join_direct(self, message: Message) -> DirectConversation | NotParticipant | DirectFull:
        """The conversation with this message counted, or why it can't be.

        A participant may bring in others by naming them; nobody can bring in themselves.
        """
        target = message.target
        named = {canonical_member(p, self.network_id) for p in target.participant_ids}
        sender = canonical_member(message.sender.fqid, self.network_id)
        known = self.facts.directs.get(target.dm_id)
        if sender not in (named if known is None else known.participant_ids):
            return NotParticipant()
        participants = tuple(sorted(named if known is None else named.union(known.participant_ids)))
        if len(participants) > MAX_PARTICIPANTS:
            # Every message of the conversation is kept with the list of those whom it addresses.
            return DirectFull()
        if known is None:
            direct = DirectConversation(
                id=target.dm_id,
                network_id=self.network_id,
                fqid=direct_fqid(self.network_id, target.dm_id),
                participant_ids=participants,
                message_count=1,
                last_message_at=message.created_at,
            )
            self._record(
                self.new_id(),
                EventType.DM_CREATED,
                message.created_at,
                b'"dm":' + encode(direct),
                direct_id=target.dm_id,
                sender=message.sender.fqid,
                addressed=self._fqids(direct.participant_ids),
            )
        else:
            direct = attrs.evolve(
                known,
                participant_ids=participants,
                message_count=known.message_count + 1,
                last_message_at=message.created_at,
            )
        self.facts.directs[direct.id] = self.changes.directs[direct.id] = direct
        return direct

    def _fqids(self, members: Iterable[str]) -> tuple[str, ...]:
        return tuple(parse_address(member, self.network_id).fqid for member in members)

    # Rooms

    def _create_room(self, stored: StoredRoom) -> RoomStored:
        self._keep_room(stored)
        self._record_room(EventType.ROOM_CREATED, stored.room, stored.room.created_at)
        return RoomStored(stored.room)

    def _declare_room(self, command: DeclareRoom) -> RoomStored:
        wanted, room_id = command.room, command.room.id
        known = self.facts.rooms.get(room_id)
        if known is None:
            return self._create_room(StoredRoom(wanted, command.declaration))
        if known.declaration == command.declaration:
            return RoomStored(known.room, changed=False)
        room = attrs.evolve(wanted, created_at=known.room.created_at)
        self._keep_room(StoredRoom(room, command.declaration))
        if room.members != known.room.members:
            self._record_room(EventType.ROOM_MEMBERS_UPDATED, room, wanted.created_at)
        return RoomStored(room, changed=room != known.room)

    def _update_members(self, command: UpdateMembers) -> RoomStored | RoomMissing:
        known = self.facts.rooms.get(command.room_id)
        if known is None:
            return RoomMissing(command.room_id)
        members = set(known.room.members).union(command.add).difference(command.remove)
        room = attrs.evolve(known.room, members=tuple(sorted(members)))
        if room == known.room:
            return RoomStored(room, changed=False)
        self._keep_room(attrs.evolve(known, room=room))
        self._record_room(EventType.ROOM_MEMBERS_UPDATED, room, command.at)
        return RoomStored(room)

    def _keep_room(self, stored: StoredRoom) -> None:
        room_id = stored.room.id
        self.facts.removed_rooms.discard(room_id)
        self.facts.posted_rooms.add(room_id)
        self.facts.rooms[room_id] = self.changes.rooms[room_id] = stored

    def _record_room(self, kind: EventType, room: Room, at: Timestamp) -> None:
        self._record(self.new_id(), kind, at, b'"room":' + encode(room), room_id=room.id)

    # Agents

    def _register(self, command: RegisterAgent) -> AgentStored | AgentOwned:
        known = self.facts.agents.get(command.agent.id)
        if known is None:
            return self._keep_agent(command.agent, created=True)
        if known.credential_key != command.agent.credential_key and not command.as_admin:
            return AgentOwned(known.credential_key)
        return self._keep_agent(self._refreshed(known, command.agent, known.credential_key), created=False)

    def _bind(self, agent: StoredAgent) -> AgentStored:
        known = self.facts.agents.get(agent.id)
        if known is None:
            return self._keep_agent(agent, created=True)
        refreshed = self._refreshed(known, agent, agent.credential_key)
        if (known.credential_key, known.registration.display_name) == (
            refreshed.credential_key,
            refreshed.registration.display_name,
        ):
            return AgentStored(known, created=False)
        return self._keep_agent(refreshed, created=False)

    def _refreshed(self, known: StoredAgent, asked: StoredAgent, credential_key: str) -> StoredAgent:
        name = asked.registration.display_name or known.registration.display_name
        return StoredAgent(
            attrs.evolve(known.registration, display_name=name, updated_at=asked.registration.updated_at),
            credential_key,
        )

    def _keep_agent(self, agent: StoredAgent, *, created: bool) -> AgentStored:
        self.facts.agents[agent.id] = self.changes.agents[agent.id] = agent
        return AgentStored(agent, created=created)

    # The log

    def _record_event(self, event: Event) -> None:
        agent = event.agent or AgentEvent("")
        wire = encode(event)
        self._append_record(
            EventRecord(
                seq=self.facts.newest_seq + 1,
                id=event.id,
                type=event.type,
                wire=wire,
                created_at=event.created_at,
                agent_id=AgentId(agent.agent_id),
                message_id=MessageId(agent.message_id),
            )
        )

    def _record(
        self,
        event_id: EventId,
        kind: EventType,
        at: Timestamp,
        payload: bytes,
        *,
        room_id: RoomId = RoomId(""),
        direct_id: DirectId = DirectId(""),
        message_id: MessageId = MessageId(""),
        sender: str = "",
        addressed: tuple[str, ...] = (),
    ) -> EventRecord:
        return self._append_record(
            EventRecord(
                seq=self.facts.newest_seq + 1,
                id=event_id,
                type=kind,
                wire=event_wire(event_id, kind, self.network_id, at, payload),
                created_at=at,
                room_id=room_id,
                direct_id=direct_id,
                message_id=message_id,
                sender=sender,
                addressed=addressed,
            )
        )

    def _append_record(self, record: EventRecord) -> EventRecord:
        self.facts.newest_seq = record.seq
        self.changes.records.append(record)
        return record


def event_wire(event_id: EventId, kind: str, network_id: NetworkId, at: Timestamp, payload: bytes) -> bytes:
    """An event as JSON around an already encoded payload (``b'"message":{…}'``). None of the parts needs escaping."""
    return (
        f'{{"id":"{event_id}","type":"{kind}","network_id":"{network_id}","created_at":"{at}",'.encode()
        + payload
        + b"}"
    )


def message_payload(body: bytes) -> bytes:
    """The payload of the event that reports a message."""
    return b'"message":' + body
