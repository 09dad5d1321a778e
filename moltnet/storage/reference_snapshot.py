"""A JSON file of the reference implementation: the changes that make an empty store into the same network.

That program keeps no events and no order across conversations. So each message gets the event that it caused there,
under the id that both programs derive from the message's, and conversations are merged by time. What its API let in
and never showed again (blanks around ids, threads that name another room than theirs) is put in order.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import attrs

from moltnet.protocol.agents import AgentRegistration
from moltnet.protocol.codec import DecodeError, encode, structure, wire
from moltnet.protocol.identity import canonical_member, direct_fqid, parse_address, room_fqid, thread_fqid
from moltnet.protocol.ids import ActorUid, AgentId, DirectId, MessageId, NetworkId, RoomId, ThreadId
from moltnet.protocol.messages import Actor, Message, MessageOrigin, Part, Target, TargetKind
from moltnet.protocol.rooms import DirectConversation, Room, Thread, Visibility, WritePolicy, normal_members
from moltnet.protocol.times import Timestamp, format_timestamp
from moltnet.storage.changes import Changes
from moltnet.storage.records import StoredAgent, StoredRoom
from moltnet.storage.snapshot_format import add_message, check_consistent, wrong_network
from moltnet.storage.store import StorageError

Value = TypeVar("Value")

# Always there, also in the file of an empty network.
_KEYS: Final = frozenset({"rooms", "room_messages", "threads", "thread_messages", "direct_messages", "direct_members"})
# How the reference writes a time that it does not know.
_NO_TIME: Final = "0001-01-01T00:00:00Z"


def is_reference_snapshot(document: Mapping[str, Any]) -> bool:
    """Whether a document has the keys that the reference writes, and not our mark."""
    return "format" not in document and document.keys() >= _KEYS


def read_reference_snapshot(document: Mapping[str, Any], network_id: NetworkId) -> Changes:
    """The changes that make an empty store into what a document says.

    Raises ``WrongNetwork``, and ``StorageError`` for a document that can't be read.
    """
    conversion = _Conversion(document, network_id)
    try:
        lines = [*conversion.rooms(), *conversion.threads(), *conversion.directs()]
        conversion.agents()
        for seq, (line, message, at) in enumerate(_by_time(lines), start=1):
            conversion.message(seq, line, message, at)
    except ValueError as error:  # a time or a word of an enumeration that is none
        raise StorageError(f"it is damaged: {error}") from error
    check_consistent(conversion.changes)
    return conversion.changes


@attrs.frozen
class _Room:
    name: str = ""
    network_id: str = ""
    members: tuple[str, ...] = ()
    # Missing in files of its first versions.
    visibility: str = ""
    write_policy: str = ""
    created_at: str = _NO_TIME


@attrs.frozen
class _Thread:
    network_id: str = ""
    room_id: str = ""
    parent_message_id: str = ""
    last_message_at: str = _NO_TIME


@attrs.frozen
class _Message:
    id: str
    parts: tuple[Part, ...]
    sender: Actor = attrs.field(metadata=wire(name="from"))
    network_id: str = ""
    origin: MessageOrigin = attrs.Factory(MessageOrigin)
    target: Target = attrs.Factory(Target)
    mentions: tuple[str, ...] = ()
    created_at: str = _NO_TIME


@attrs.frozen
class _Agent:
    actor_uid: str
    network_id: str = ""
    actor_uri: str = ""
    display_name: str = ""
    credential_key: str = ""
    created_at: str = _NO_TIME
    updated_at: str = _NO_TIME


@attrs.frozen
class _Line:
    """One conversation: where its messages go, and who is told of each. Nobody: those whom it mentions."""

    target: Target
    messages: Sequence[_Message]
    readers: tuple[str, ...] = ()


@attrs.define(eq=False)
class _Conversion:
    """A document on its way into our tables; rooms come first, threads need them."""

    document: Mapping[str, Any]
    network_id: NetworkId
    changes: Changes = attrs.field(init=False, factory=Changes)

    def rooms(self) -> Iterator[_Line]:
        for name, found in self._entries("rooms", _Room):
            self._add_room(RoomId(name), found)
        conversations = self._conversations("room_messages")
        for name in (*(name for name, _ in self._entries("removed_rooms", str)), *conversations):
            self._add_hidden_room(RoomId(name))
        for name, messages in conversations.items():
            yield _Line(Target(kind=TargetKind.ROOM, room_id=RoomId(name)), messages)

    def threads(self) -> Iterator[_Line]:
        known = dict(self._entries("threads", _Thread))
        conversations = self._conversations("thread_messages")
        for name in dict.fromkeys((*known, *conversations)):
            messages = conversations.get(name, [])
            found = known.get(name)
            if found is None:
                if not messages:
                    continue
                found = _Thread(room_id=messages[0].target.room_id)
            thread = Thread(
                id=ThreadId(name),
                network_id=self.network_id,
                fqid=thread_fqid(self.network_id, ThreadId(name)),
                room_id=RoomId(found.room_id.strip()),
                message_count=len(messages),
                last_message_at=_timestamp(messages[-1].created_at if messages else found.last_message_at),
                parent_message_id=MessageId(found.parent_message_id.strip()),
            )
            self._add_hidden_room(thread.room_id)
            self.changes.threads[thread.id] = thread
            yield _Line(
                Target(
                    kind=TargetKind.THREAD,
                    room_id=thread.room_id,
                    thread_id=thread.id,
                    parent_message_id=thread.parent_message_id,
                ),
                messages,
            )

    def directs(self) -> Iterator[_Line]:
        members = dict(self._entries("direct_members", dict))
        for name, messages in self._conversations("direct_messages").items():
            spellings = members.get(name) or {who for message in messages for who in _parties(message)}
            named = {canonical_member(each, self.network_id) for each in spellings if each.strip()}
            direct = DirectConversation(
                id=DirectId(name),
                network_id=self.network_id,
                fqid=direct_fqid(self.network_id, DirectId(name)),
                message_count=len(messages),
                last_message_at=_timestamp(messages[-1].created_at if messages else _NO_TIME),
                participant_ids=tuple(sorted(named)),
            )
            self.changes.directs[direct.id] = direct
            readers = tuple(parse_address(each, self.network_id).fqid for each in direct.participant_ids)
            yield _Line(Target(kind=TargetKind.DM, dm_id=direct.id), messages, readers)

    def agents(self) -> None:
        for name, found in self._entries("agents", _Agent):
            registration = AgentRegistration(
                network_id=self.network_id,
                agent_id=AgentId(name),
                actor_uid=ActorUid(found.actor_uid),
                actor_uri=found.actor_uri,
                created_at=_timestamp(found.created_at),
                updated_at=_timestamp(found.updated_at),
                display_name=found.display_name,
            )
            self.changes.agents[registration.agent_id] = StoredAgent(registration, found.credential_key)

    def message(self, seq: int, line: _Line, found: _Message, at: datetime) -> None:
        self._check_network(found.network_id)
        sender = parse_address(found.sender.id, self.network_id)
        participants = {canonical_member(each, self.network_id) for each in found.target.participant_ids}
        message = Message(
            id=MessageId(found.id),
            network_id=self.network_id,
            origin=found.origin if found.origin.network_id else MessageOrigin(self.network_id, found.id),
            target=attrs.evolve(line.target, participant_ids=tuple(sorted(participants)) if line.readers else ()),
            sender=attrs.evolve(
                found.sender,
                network_id=found.sender.network_id or sender.network_id,
                fqid=found.sender.fqid or sender.fqid,
            ),
            parts=tuple(part.trimmed() for part in found.parts),
            created_at=format_timestamp(at),
            mentions=found.mentions,
        )
        add_message(self.changes, seq, message, encode(message), addressed=line.readers or found.mentions)

    def _add_room(self, room_id: RoomId, found: _Room, removed_at: str = "") -> None:
        room = Room(
            id=room_id,
            network_id=self.network_id,
            fqid=room_fqid(self.network_id, room_id),
            name=found.name.strip() or room_id,
            created_at=_timestamp(found.created_at),
            members=normal_members(found.members),
            visibility=Visibility(found.visibility.strip() or Visibility.PRIVATE),
            write_policy=WritePolicy(found.write_policy.strip() or WritePolicy.MEMBERS),
        )
        self.changes.rooms.setdefault(room_id, StoredRoom(room, removed_at=Timestamp(removed_at)))

    def _add_hidden_room(self, room_id: RoomId) -> None:
        """A room of which only messages are left: nobody saw it there, and nobody does here unless it is restored."""
        if room_id not in self.changes.rooms:
            self._add_room(room_id, _Room(), removed_at=_NO_TIME)

    def _conversations(self, key: str) -> dict[str, list[_Message]]:
        found: dict[str, list[_Message]] = {}
        for name, messages in self._entries(key, tuple[_Message, ...]):
            found.setdefault(name, []).extend(messages)
        return found

    def _entries(self, key: str, kind: type[Value]) -> Iterator[tuple[str, Value]]:
        """One map of the document. Raises ``StorageError``."""
        entries = self.document.get(key)
        if entries is None:
            return
        if not isinstance(entries, dict):
            raise StorageError(f"it is damaged: $.{key} must be an object")
        for name, value in entries.items():
            try:
                found = structure([] if value is None else value, kind)
            except DecodeError as error:
                raise StorageError(f'it is damaged: $.{key} at "{name}": {error}') from error
            if isinstance(found, _Room | _Thread | _Agent):
                self._check_network(found.network_id)
            yield name.strip(), found

    def _check_network(self, found: str) -> None:
        if found not in ("", self.network_id):
            raise wrong_network(found, self.network_id)


def _by_time(lines: Iterable[_Line]) -> list[tuple[_Line, _Message, datetime]]:
    """All messages, each conversation's in its own order, which a clock that was set back does not change."""
    placed = []
    for line in lines:
        latest = datetime.min.replace(tzinfo=UTC)
        for message in line.messages:
            at = _moment(message.created_at)
            latest = max(latest, at)
            placed.append((latest, (line, message, at)))
    placed.sort(key=lambda pair: pair[0])
    return [message for _, message in placed]


def _parties(message: _Message) -> tuple[str, ...]:
    return (*message.target.participant_ids, message.sender.fqid or message.sender.id)


def _timestamp(text: str) -> Timestamp:
    return format_timestamp(_moment(text))


def _moment(text: str) -> datetime:
    """Raises ``ValueError``."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
