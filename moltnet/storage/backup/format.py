"""What stands in a backup: a header, a line of JSON for each thing that a store keeps, and the digest of all of it.

The lines come in an order in which they can be stored: rooms, agents, sessions, pair tokens, approvals, marks,
threads, direct conversations, then messages and events as the log has them, and what waits to be relayed. What a
message's artifacts and its event are follows from the message. How the lines get to a disk is ``file``'s business,
where they come from and go to that of each store.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any, Final, Protocol, TypeVar

import attrs
import orjson

from moltnet import __version__
from moltnet.protocol.codec import DecodeError, encode, structure, wire
from moltnet.protocol.events import EventType
from moltnet.protocol.ids import DirectId, NetworkId, RoomId, ThreadId
from moltnet.protocol.messages import TargetKind
from moltnet.protocol.rooms import DirectConversation, Thread
from moltnet.protocol.times import Timestamp, format_timestamp, utc_now
from moltnet.storage import limits
from moltnet.storage.changes import Changes
from moltnet.storage.marks import Mark
from moltnet.storage.outbox_memory import KeptRelay, outbox_row
from moltnet.storage.records import PairNetwork, StoredAgent, StoredApproval, StoredRoom, StoredSession
from moltnet.storage.snapshot_format import KeptEvent, KeptMessage, add_message, digest_of, event_record
from moltnet.storage.store import StorageError

FORMAT: Final = "moltnet.backup"
# 2 came with approvals and relays, 3 with marks: a program that does not know them would leave them out, or take them
# for damage.
VERSION: Final = 3

Value = TypeVar("Value")
# The databases' integers have 64 bits.
_TOO_LARGE: Final = 2**63


class BackupDamaged(StorageError):
    """The file is cut off, was changed, contradicts itself, or is no backup that this version can read."""


class Content(StrEnum):
    """Everything that a store keeps, or what people and agents said and where."""

    NETWORK = "network"
    CONVERSATIONS = "conversations"


class Kind(StrEnum):
    """What a line holds: the value of its ``kind``."""

    HEADER = "header"
    ROOM = "room"
    AGENT = "agent"
    SESSION = "session"
    PAIR_NETWORK = "pair_network"
    APPROVAL = "approval"
    MARK = "mark"
    THREAD = "thread"
    DIRECT = "direct"
    MESSAGE = "message"
    EVENT = "event"
    RELAY = "relay"
    END = "end"


@attrs.frozen
class Counts:
    """How many lines of each kind there are."""

    room: int = attrs.field(default=0, metadata=wire(always=True))
    agent: int = attrs.field(default=0, metadata=wire(always=True))
    session: int = attrs.field(default=0, metadata=wire(always=True))
    pair_network: int = attrs.field(default=0, metadata=wire(always=True))
    approval: int = attrs.field(default=0, metadata=wire(always=True))
    mark: int = attrs.field(default=0, metadata=wire(always=True))
    thread: int = attrs.field(default=0, metadata=wire(always=True))
    direct: int = attrs.field(default=0, metadata=wire(always=True))
    message: int = attrs.field(default=0, metadata=wire(always=True))
    event: int = attrs.field(default=0, metadata=wire(always=True))
    relay: int = attrs.field(default=0, metadata=wire(always=True))

    @property
    def total(self) -> int:
        return sum(attrs.astuple(self))


@attrs.frozen
class Header:
    """The first line. Of messages up to ``pruned_to`` there is no event any more; the log goes on after it.

    ``store`` and ``schema`` say what it was read from, ``program`` by which version; nothing depends on them.
    """

    content: Content
    network_id: NetworkId
    counts: Counts
    pruned_to: int = attrs.field(default=0, metadata=wire(always=True))
    store: str = ""
    schema: int = 0
    created_at: Timestamp = attrs.field(factory=lambda: format_timestamp(utc_now()))
    program: str = attrs.field(default=__version__, metadata=wire(always=True))
    format: str = attrs.field(default=FORMAT, metadata=wire(always=True))
    version: int = attrs.field(default=VERSION, metadata=wire(always=True))


@attrs.frozen
class Selection:
    """What is wanted of a store. Sessions of the console are left out unless they are asked for."""

    content: Content = Content.NETWORK
    sessions: bool = False

    def counts(self, stored: Counts) -> Counts:
        """How many of the stored rows that is. Events of messages that are there have no line of their own."""
        if self.content is Content.CONVERSATIONS:
            return Counts(room=stored.room, thread=stored.thread, direct=stored.direct, message=stored.message)
        return stored if self.sessions else attrs.evolve(stored, session=0)

    def pruned_to(self, stored: int, newest_message: int) -> int:
        """Where the log begins. Of conversations only the newest message is an event: a log can't be empty."""
        return max(0, newest_message - 1) if self.content is Content.CONVERSATIONS else stored


def line(kind: Kind, body: bytes) -> bytes:
    """A line of the file: the JSON object ``body``, which holds something, with the kind before all else."""
    return b'{"kind":"%b",%b\n' % (kind.encode(), body[1:])


def header_line(header: Header) -> bytes:
    return line(Kind.HEADER, encode(header))


def value_lines(kind: Kind, values: Iterable[object]) -> Iterator[bytes]:
    return (line(kind, encode(value)) for value in values)


def blocks(lines: Iterable[bytes]) -> Iterator[Sequence[bytes]]:
    """Lines in blocks of bounded size."""
    block: list[bytes] = []
    size_bytes = 0
    for each in lines:
        block.append(each)
        size_bytes += len(each)
        if len(block) == limits.BACKUP_BLOCK_LINES or size_bytes >= limits.BACKUP_BLOCK_BYTES:
            yield block
            block, size_bytes = [], 0
    if block:
        yield block


def read_header(first: bytes) -> Header:
    """Raises ``BackupDamaged``."""
    entry = _parsed(first)
    if entry.get("kind") != Kind.HEADER or entry.get("format") != FORMAT:
        raise BackupDamaged("it is no backup or export of this program")
    version = entry.get("version")
    if type(version) is not int or not 1 <= version <= VERSION:
        raise BackupDamaged(
            f"it has format version {version}, this program knows versions up to {VERSION}: "
            "it was written by a newer version of the program, use that one"
        )
    return _structured(entry, Header)


@attrs.define(eq=False)
class ChangesReader:
    """Lines to changes, block by block, and whether they fit together: what the stores' constraints would say."""

    header: Header
    _rooms: set[RoomId] = attrs.field(init=False, factory=set)
    _threads: dict[ThreadId, RoomId] = attrs.field(init=False, factory=dict)
    _directs: set[DirectId] = attrs.field(init=False, factory=set)
    _last_seq: int = attrs.field(init=False, default=0)
    _next_event: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._next_event = self.header.pruned_to + 1

    def changes(self, lines: Iterable[bytes]) -> Changes:
        """Raises ``BackupDamaged``."""
        changes = Changes(events_pruned_to=self.header.pruned_to)
        for each in lines:
            self._add(changes, _parsed(each))
        return changes

    def _add(self, changes: Changes, entry: dict[str, Any]) -> None:
        match entry.get("kind"):
            case Kind.ROOM:
                stored = _structured(entry, StoredRoom)
                _put(changes.rooms, stored.room.id, stored)
                self._rooms.add(stored.room.id)
            case Kind.AGENT:
                agent = _structured(entry, StoredAgent)
                _put(changes.agents, agent.id, agent)
            case Kind.SESSION:
                session = _structured(entry, StoredSession)
                _put(changes.sessions, session.digest, session)
            case Kind.PAIR_NETWORK:
                pair = _structured(entry, PairNetwork)
                _put(changes.pair_networks, pair.credential_key, pair)
            case Kind.APPROVAL:
                approval = _structured(entry, StoredApproval)
                _check_number(approval.seq)
                _put(changes.approvals, approval.id, approval)
            case Kind.MARK:
                mark = _structured(entry, Mark)
                _put(changes.marks, mark.id, mark)
            case Kind.THREAD:
                thread = _structured(entry, Thread)
                _check(thread.room_id in self._rooms, f'thread "{thread.id}" is in a room that is missing')
                _check_number(thread.message_count)
                _put(changes.threads, thread.id, thread)
                self._threads[thread.id] = thread.room_id
            case Kind.DIRECT:
                direct = _structured(entry, DirectConversation)
                _check_number(direct.message_count)
                _put(changes.directs, direct.id, direct)
                self._directs.add(direct.id)
            case Kind.MESSAGE:
                self._add_message(changes, _structured(entry, KeptMessage), orjson.dumps(entry["message"]))
            case Kind.EVENT:
                self._add_event(changes, _structured(entry, KeptEvent), orjson.dumps(entry["event"]))
            case Kind.RELAY:
                relay = _structured(entry, KeptRelay)
                _check_number(relay.seq)
                try:
                    row = outbox_row(relay, entry)
                except StorageError as error:
                    raise BackupDamaged(str(error)) from error
                _put(changes.outbox_added, row.key, row)
            case kind:
                raise BackupDamaged(f'it holds a line of kind "{kind}", which means nothing here')

    def _add_message(self, changes: Changes, kept: KeptMessage, body: bytes) -> None:
        target = kept.message.target
        match target.kind:
            case TargetKind.DM:
                found = target.dm_id in self._directs
            case TargetKind.THREAD:
                found = self._threads.get(target.thread_id) == target.room_id
            case _:
                found = target.room_id in self._rooms
        _check(found, f'message "{kept.message.id}" is in a conversation that is missing')
        has_event = kept.seq > self.header.pruned_to
        self._pass(kept.seq, is_event=has_event)
        try:
            digest = digest_of(kept)
        except StorageError as error:
            raise BackupDamaged(str(error)) from error
        add_message(changes, kept.seq, kept.message, body, addressed=kept.addressed, digest=digest, has_event=has_event)

    def _add_event(self, changes: Changes, kept: KeptEvent, wire_json: bytes) -> None:
        _check(kept.event.type != EventType.MESSAGE_CREATED, f"event {kept.seq} has no message")
        self._pass(kept.seq, is_event=True)
        changes.records.append(event_record(kept, wire_json))

    def _pass(self, seq: int, *, is_event: bool) -> None:
        _check_number(seq)
        _check(seq > self._last_seq, f"what is at {seq} comes after what is at {self._last_seq}")
        self._last_seq = seq
        if is_event:
            _check(seq == self._next_event, f"event {self._next_event} is missing")
            self._next_event += 1


class Source(Protocol):
    """One state of a store, whatever is written meanwhile."""

    @property
    def header(self) -> Header: ...

    async def next_block(self) -> Sequence[bytes]:
        """Some more lines, in order; none come only at the end. Raises ``StorageError``."""
        ...


class Target(Protocol):
    """An empty store that is being filled, all of it or nothing."""

    async def write(self, changes: Changes) -> None:
        """Raises ``StorageError``, and ``BackupDamaged`` for what is there twice."""
        ...


Progress = Callable[[int, int], None]
"""Is told how many lines are done, and of how many."""


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        entry = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BackupDamaged("it is damaged: a line of it is no JSON") from error
    if not isinstance(entry, dict):
        raise BackupDamaged("it is damaged: a line of it is no JSON object")
    return entry


def _structured(entry: dict[str, Any], kind: type[Value]) -> Value:
    try:
        return structure(entry, kind)
    except DecodeError as error:
        raise BackupDamaged(f"it is damaged: {error}") from error


def _put(found: dict[Any, Value], key: object, value: Value) -> None:
    _check(found.setdefault(key, value) is value, f'"{key}" stands in it twice')


def _check_number(number: int) -> None:
    _check(0 <= number < _TOO_LARGE, f"{number} fits nowhere")


def _check(is_right: bool, problem: str) -> None:
    if not is_right:
        raise BackupDamaged(f"it is damaged: {problem}")
