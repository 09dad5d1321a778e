"""Stored facts: what a backend keeps and hands out. Commands that change them live in ``commands``."""

from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from moltnet.protocol.agents import AgentRegistration
from moltnet.protocol.approvals import Approval
from moltnet.protocol.events import EventType
from moltnet.protocol.ids import AgentId, ApprovalId, DirectId, EventId, MessageId, NetworkId, RoomId, ThreadId
from moltnet.protocol.messages import Target, TargetKind
from moltnet.protocol.rooms import Room
from moltnet.protocol.times import Timestamp, parse_timestamp
from moltnet.storage.marks import Mark

# Events that tell what became of a wake.
WAKE_REPORTS: Final = (EventType.AGENT_WAKE_DELIVERED, EventType.AGENT_WAKE_FAILED)
# Stands among ``addressed`` for everybody who may read public rooms; no FQID looks like it.
THE_PUBLIC: Final = "*"


@attrs.frozen(eq=False)
class EventRecord:
    """A committed event: its place in the log, its JSON, and the facts that decide who reads it and whom it wakes.

    ``seq`` grows by one from event to event. ``wire`` is the event as JSON, encoded once when it was committed; a
    reader that only forwards it never decodes it. ``room_id`` or ``direct_id`` name the conversation, ``agent_id``
    whom an ``agent.*`` event is about. ``addressed`` holds agent FQIDs: whom a message mentions, every participant of
    its direct conversation, or who was a member of a room that is removed (and ``THE_PUBLIC`` if it was public).
    """

    seq: int
    id: EventId
    type: str
    wire: bytes
    room_id: RoomId = RoomId("")
    direct_id: DirectId = DirectId("")
    agent_id: AgentId = AgentId("")
    message_id: MessageId = MessageId("")
    sender: str = ""
    addressed: tuple[str, ...] = ()
    created_at: Timestamp = attrs.field(default=Timestamp(""))


@attrs.frozen
class StoredRoom:
    """A room and the digest of the declaration in the config file that last shaped it (empty if none did).

    A removed room has a ``removed_at`` and no members; it keeps its id until it is restored.
    """

    room: Room
    declaration: str = ""
    removed_at: Timestamp = attrs.field(default=Timestamp(""))


@attrs.frozen
class StoredAgent:
    """A registration and the key of the credential that owns it (auth §4). Never holds a token."""

    registration: AgentRegistration
    credential_key: str

    @property
    def id(self) -> AgentId:
        return self.registration.agent_id


@attrs.frozen
class StoredSession:
    """A signed-in console: the hash of the id in its cookie, and the key of the credential that signed in."""

    digest: str
    credential_key: str
    created_at: Timestamp
    expires_at: Timestamp


@attrs.frozen
class PairNetwork:
    """The one remote network for which a pair token speaks, since it first did (design §3.6)."""

    credential_key: str
    network_id: NetworkId


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(moment: datetime) -> int:
    """Since 1970, for what a database orders by time: timestamps on the wire have no fixed width."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


@attrs.frozen
class StoredApproval:
    """An approval, and the ``seq`` of the event that told of its request, by which approvals are listed."""

    seq: int
    approval: Approval

    @property
    def id(self) -> ApprovalId:
        return self.approval.id

    @property
    def moment_us(self) -> int:
        """When it expires, of a pending one; else when it was decided. What can't be read was long ago."""
        try:
            return microseconds(parse_timestamp(self.approval.decided_at or self.approval.expires_at))
        except (ValueError, TypeError):
            return 0


@attrs.frozen
class ApprovalFilter:
    """Which approvals are wanted: of these agents (``None``: of all), in this state (empty: in any)."""

    agents: tuple[AgentId, ...] | None = None
    state: str = ""

    def wants(self, approval: Approval) -> bool:
        return (self.agents is None or approval.agent_id in self.agents) and self.state in ("", approval.state)


@attrs.frozen
class StoredMessage:
    """What identifies a message: the event it became, and the digest of its content (design §3.7)."""

    event_id: EventId
    digest: bytes


@attrs.frozen
class OldEvent:
    """What decides whether an event at the beginning of the log goes."""

    seq: int
    created_at: Timestamp


@attrs.frozen
class OldMessage:
    """What decides whether one of the oldest messages goes. ``seq`` is that of its event, which went before.

    ``size_bytes`` is that of its body, ``artifacts`` how many go with it.
    """

    seq: int
    id: MessageId
    created_at: Timestamp
    size_bytes: int = 0
    artifacts: int = 0


@attrs.frozen
class History:
    """Which conversation's messages are wanted."""

    kind: TargetKind
    id: RoomId | ThreadId | DirectId


def history_of(target: Target) -> History:
    """The conversation that a message with this target belongs to. A thread's messages are not its room's."""
    match target.kind:
        case TargetKind.DM:
            return History(TargetKind.DM, target.dm_id)
        case TargetKind.THREAD:
            return History(TargetKind.THREAD, target.thread_id)
        case _:
            return History(TargetKind.ROOM, target.room_id)


def artifact_histories_of(target: Target) -> tuple[History, ...]:
    """The lists of artifacts that a message with this target adds to. A room's holds those of its threads too."""
    lists = ((TargetKind.ROOM, target.room_id), (TargetKind.THREAD, target.thread_id), (TargetKind.DM, target.dm_id))
    return tuple(History(kind, id) for kind, id in lists if id)


@attrs.frozen
class PlacedMessage:
    """A message as stored JSON, and its place in the log."""

    seq: int
    body: bytes


@attrs.frozen
class StoredPage:
    """Messages or artifacts as stored JSON, oldest first, and whether more follow in the direction of reading."""

    items: tuple[bytes, ...]
    first_id: str = ""
    last_id: str = ""
    has_more: bool = False


@attrs.frozen
class EventBounds:
    """The ends of the event log. With an empty log both ids are empty and ``newest_seq`` is 0."""

    oldest_seq: int
    newest_seq: int
    oldest_id: str = ""
    newest_id: str = ""


@attrs.frozen
class DirectoryContents:
    """All live rooms, registered agents, sessions, bound pair tokens, marks: what ``moltnet.directory`` starts from."""

    rooms: tuple[StoredRoom, ...]
    agents: tuple[StoredAgent, ...]
    sessions: tuple[StoredSession, ...] = ()
    pair_networks: tuple[PairNetwork, ...] = ()
    marks: tuple[Mark, ...] = ()
