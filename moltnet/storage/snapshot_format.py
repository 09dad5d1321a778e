"""A network as one JSON text, a record on each line: the changes that made it, and back.

A text is a set of lines that are encoded once and replaced by key, so a commit encodes only what it changes. Reading
gives the changes that make an empty store into this one. What a message's artifacts and its event are follows from the
message, so they are not written. Files and their locks are ``snapshot_file``'s business.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final, TypeVar

import attrs
import orjson

from moltnet.protocol.artifacts import artifacts_of
from moltnet.protocol.codec import DecodeError, encode, structure
from moltnet.protocol.events import EventType
from moltnet.protocol.ids import AgentId, DirectId, EventId, MessageId, NetworkId, RoomId, event_id_of_message
from moltnet.protocol.messages import Message, TargetKind
from moltnet.protocol.rooms import DirectConversation, Thread
from moltnet.protocol.times import Timestamp
from moltnet.storage.changes import ArtifactRow, Changes, MessageRow, event_wire, message_payload
from moltnet.storage.marks import Mark
from moltnet.storage.outbox_memory import KeptRelay, changed_lines, outbox_row
from moltnet.storage.records import EventRecord, PairNetwork, StoredAgent, StoredApproval, StoredRoom, StoredSession
from moltnet.storage.store import SchemaUnsupported, StorageError, WrongNetwork

FORMAT: Final = "moltnet.network"
VERSION: Final = 1

Key = str | int
Section = Mapping[Key, bytes]
Id = TypeVar("Id", bound=str)
Value = TypeVar("Value")


@attrs.frozen
class SnapshotLines:
    """The lines of each list, by what identifies a record in it; messages and events by ``seq``, in its order."""

    rooms: Section = attrs.Factory(dict)
    agents: Section = attrs.Factory(dict)
    sessions: Section = attrs.Factory(dict)
    pair_networks: Section = attrs.Factory(dict)
    approvals: Section = attrs.Factory(dict)
    marks: Section = attrs.Factory(dict)
    threads: Section = attrs.Factory(dict)
    directs: Section = attrs.Factory(dict)
    messages: Section = attrs.Factory(dict)
    events: Section = attrs.Factory(dict)
    outbox: Section = attrs.Factory(dict)
    pruned_to: int = 0

    def changed(self, changes: Changes) -> "SnapshotLines":
        """These lines as ``changes`` leave them; the old ones stay as they are."""
        addressed = {record.seq: record.addressed for record in changes.records}
        return SnapshotLines(
            rooms={**self.rooms, **_encoded(changes.rooms)},
            agents={**_without(self.agents, changes.removed_agents), **_encoded(changes.agents)},
            sessions={**_without(self.sessions, changes.closed_sessions), **_encoded(changes.sessions)},
            pair_networks={**self.pair_networks, **_encoded(changes.pair_networks)},
            approvals=self._approvals(changes),
            marks={**_without(self.marks, changes.removed_marks), **_encoded(changes.marks)},
            threads={**self.threads, **_encoded(changes.threads)},
            directs={**self.directs, **_encoded(changes.directs)},
            messages={
                **_beyond(self.messages, changes.messages_pruned_to),
                **{
                    row.seq: message_line(row.seq, row.body, row.digest, addressed.get(row.seq, ()))
                    for row in changes.messages
                },
            },
            events={
                **_beyond(self.events, changes.events_pruned_to),
                **{record.seq: event_line(record) for record in changes.records if not _is_of_message(record)},
            },
            outbox=changed_lines(self.outbox, changes),
            pruned_to=max(self.pruned_to, changes.events_pruned_to),
        )

    def _approvals(self, changes: Changes) -> Section:
        """They go with their agent; whose one is stands in its line."""
        kept = _without(self.approvals, changes.forgotten_approvals)
        if changes.removed_agents:
            kept = {
                key: line
                for key, line in kept.items()
                if orjson.loads(line)["approval"]["agent_id"] not in changes.removed_agents
            }
        return {**kept, **_encoded(changes.approvals)}


_SECTIONS: Final = tuple(field.name for field in attrs.fields(SnapshotLines) if field.name != "pruned_to")


def snapshot_text(lines: SnapshotLines, network_id: NetworkId) -> Iterator[bytes]:
    """The file, piece by piece: whoever writes it need not hold it."""
    yield b'{\n"format": "%b",\n"version": %d,\n"network_id": "%b"' % (FORMAT.encode(), VERSION, network_id.encode())
    if lines.pruned_to:
        yield b',\n"pruned_to": %d' % lines.pruned_to
    for name in _SECTIONS:
        yield b',\n"%b": [' % name.encode()
        section: Section = getattr(lines, name)
        yield from _separated(section.values())
        yield b"\n]" if section else b"]"
    yield b"\n}\n"


def read_snapshot(document: Mapping[str, Any], network_id: NetworkId) -> Changes:
    """The changes that make an empty store into what a document says.

    Raises ``SchemaUnsupported``, ``WrongNetwork``, and ``StorageError`` for a document that contradicts itself.
    """
    version = document.get("version")
    if document.get("format") != FORMAT or type(version) is not int or version < 1:
        raise SchemaUnsupported("it is no file of this program; choose another path for this network")
    if version > VERSION:
        raise SchemaUnsupported(
            f"it has format version {version}, this program knows versions up to {VERSION}: "
            "it was written by a newer version of the program, use that one"
        )
    try:
        content = structure(document, _Content)
    except DecodeError as error:
        raise StorageError(f"it is damaged: {error}") from error
    if content.network_id != network_id:
        raise wrong_network(content.network_id, network_id)
    return _changes(content, document)


def wrong_network(found: str, network_id: NetworkId) -> WrongNetwork:
    """How a file of another network is refused."""
    return WrongNetwork(
        f'it holds network "{found}", but the configuration names "{network_id}": every address in it holds the old '
        "id, so set network.id back or choose another path"
    )


@attrs.frozen
class _EventFacts:
    """An event but for its JSON, which stands beside these keys as ``event``."""

    seq: int
    room_id: RoomId = RoomId("")
    direct_id: DirectId = DirectId("")
    agent_id: AgentId = AgentId("")
    message_id: MessageId = MessageId("")
    sender: str = ""
    addressed: tuple[str, ...] = ()


@attrs.frozen
class _EventHead:
    """What every event's JSON says."""

    id: EventId
    type: str
    created_at: Timestamp


@attrs.frozen
class KeptEvent(_EventFacts):
    event: _EventHead = attrs.field(kw_only=True)


@attrs.frozen
class KeptMessage:
    """A message with the ``seq`` of its event, whom that addresses, and the digest of its content in hex."""

    seq: int
    message: Message
    digest: str = ""
    addressed: tuple[str, ...] = ()


@attrs.frozen
class _Content:
    network_id: NetworkId
    rooms: tuple[StoredRoom, ...]
    agents: tuple[StoredAgent, ...]
    sessions: tuple[StoredSession, ...]
    pair_networks: tuple[PairNetwork, ...]
    threads: tuple[Thread, ...]
    directs: tuple[DirectConversation, ...]
    messages: tuple[KeptMessage, ...]
    events: tuple[KeptEvent, ...]
    outbox: tuple[KeptRelay, ...] = ()
    # Files of versions that had none lack the key.
    approvals: tuple[StoredApproval, ...] = ()
    marks: tuple[Mark, ...] = ()
    # Of messages up to here there is no event any more.
    pruned_to: int = 0


def _is_of_message(record: EventRecord) -> bool:
    return record.type == EventType.MESSAGE_CREATED


def _encoded(values: Mapping[Any, object]) -> dict[Key, bytes]:
    return {key: encode(value) for key, value in values.items()}


def _without(section: Section, keys: Iterable[Key]) -> dict[Key, bytes]:
    kept = dict(section)
    for key in keys:
        kept.pop(key, None)
    return kept


def _beyond(section: Section, seq: int) -> Section:
    """What is not pruned of lines in the order of the log."""
    if not seq:
        return section
    return {key: line for key, line in section.items() if isinstance(key, int) and key > seq}


def message_line(seq: int, body: bytes, digest: bytes, addressed: tuple[str, ...]) -> bytes:
    names = b',"addressed":' + orjson.dumps(addressed) if addressed else b""
    return b'{"seq":%d,"message":%b%b,"digest":"%b"}' % (seq, body, names, digest.hex().encode())


def event_line(record: EventRecord) -> bytes:
    facts = _EventFacts(
        seq=record.seq,
        room_id=record.room_id,
        direct_id=record.direct_id,
        agent_id=record.agent_id,
        message_id=record.message_id,
        sender=record.sender,
        addressed=record.addressed,
    )
    return b'%b,"event":%b}' % (encode(facts)[:-1], record.wire)


def _separated(lines: Iterable[bytes]) -> Iterator[bytes]:
    before = b"\n"
    for line in lines:
        yield before
        yield line
        before = b",\n"


def add_message(
    changes: Changes,
    seq: int,
    message: Message,
    body: bytes,
    *,
    addressed: tuple[str, ...],
    digest: bytes = b"",
    has_event: bool = True,
) -> None:
    """Add a stored message, its artifacts and its event. Without a digest, any repeat counts as the same message."""
    event_id = event_id_of_message(message.id)
    kind, at = EventType.MESSAGE_CREATED, message.created_at
    changes.messages.append(MessageRow(seq, message, body, digest))
    changes.artifacts.extend(
        ArtifactRow(artifact.id, artifact.target, encode(artifact)) for artifact in artifacts_of(message)
    )
    if not has_event:
        return
    changes.records.append(
        EventRecord(
            seq=seq,
            id=event_id,
            type=kind,
            wire=event_wire(event_id, kind, message.network_id, at, message_payload(body)),
            room_id=message.target.room_id,
            direct_id=message.target.dm_id,
            message_id=message.id,
            sender=message.sender.fqid,
            addressed=addressed,
            created_at=at,
        )
    )


def check_consistent(changes: Changes) -> None:
    """What the other stores know by their constraints. Raises ``StorageError``."""
    seqs = [record.seq for record in changes.records]
    if seqs and seqs[0] < 1:
        raise StorageError("it is damaged: events are counted from 1")
    if changes.events_pruned_to and (not seqs or seqs[0] != changes.events_pruned_to + 1):
        raise StorageError(f"it is damaged: event {changes.events_pruned_to + 1} is missing")
    for before, after in pairwise(seqs):
        if after != before + 1:
            raise StorageError(f"it is damaged: event {before} is followed by event {after}")
    _by(changes.records, lambda record: record.id)
    for thread in changes.threads.values():
        if thread.room_id not in changes.rooms:
            raise StorageError(f'it is damaged: thread "{thread.id}" is in room "{thread.room_id}", which is missing')
    for row in changes.messages:
        target = row.message.target
        match target.kind:
            case TargetKind.DM:
                found = target.dm_id in changes.directs
            case TargetKind.THREAD:
                known = changes.threads.get(target.thread_id)
                found = known is not None and known.room_id == target.room_id
            case TargetKind.ROOM:
                found = target.room_id in changes.rooms
            case _:
                found = False
        if not found:
            raise StorageError(f'it is damaged: message "{row.message.id}" is in a conversation that is missing')


def _changes(content: _Content, document: Mapping[str, Any]) -> Changes:
    """Raises ``StorageError``."""
    changes = Changes(
        threads=_by(content.threads, lambda thread: thread.id),
        directs=_by(content.directs, lambda direct: direct.id),
        rooms=_by(content.rooms, lambda stored: stored.room.id),
        agents=_by(content.agents, lambda agent: agent.id),
        sessions=_by(content.sessions, lambda session: session.digest),
        pair_networks=_by(content.pair_networks, lambda pair: pair.credential_key),
        approvals=_by(content.approvals, lambda stored: stored.id),
        marks=_by(content.marks, lambda mark: mark.id),
        events_pruned_to=content.pruned_to,
    )
    # Clients get the document's own bytes, also of keys that this version does not know.
    for kept, raw in sorted(zip(content.messages, document["messages"], strict=True), key=lambda pair: pair[0].seq):
        body = orjson.dumps(raw["message"])
        add_message(
            changes,
            kept.seq,
            kept.message,
            body,
            addressed=kept.addressed,
            digest=digest_of(kept),
            has_event=kept.seq > content.pruned_to,
        )
    for event, raw in zip(content.events, document["events"], strict=True):
        if event.event.type == EventType.MESSAGE_CREATED:
            raise StorageError(f"it is damaged: event {event.seq} has no message")
        changes.records.append(event_record(event, orjson.dumps(raw["event"])))
    changes.records.sort(key=lambda record: record.seq)
    for kept_relay, raw in zip(content.outbox, document.get("outbox", ()), strict=True):
        row = outbox_row(kept_relay, raw)
        changes.outbox_added[row.key] = row
    check_consistent(changes)
    return changes


def _by(values: Iterable[Value], key: Callable[[Value], Id]) -> dict[Id, Value]:
    found: dict[Id, Value] = {}
    for value in values:
        if found.setdefault(key(value), value) is not value:
            raise StorageError(f'it is damaged: "{key(value)}" stands in it twice')
    return found


def digest_of(kept: KeptMessage) -> bytes:
    try:
        return bytes.fromhex(kept.digest)
    except ValueError as error:
        raise StorageError(f'it is damaged: the digest of message "{kept.message.id}" is not hexadecimal') from error


def event_record(kept: KeptEvent, wire: bytes) -> EventRecord:
    return EventRecord(
        seq=kept.seq,
        id=kept.event.id,
        type=kept.event.type,
        wire=wire,
        room_id=kept.room_id,
        direct_id=kept.direct_id,
        agent_id=kept.agent_id,
        message_id=kept.message_id,
        sender=kept.sender,
        addressed=kept.addressed,
        created_at=kept.event.created_at,
    )
