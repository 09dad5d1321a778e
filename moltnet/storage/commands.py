"""Commands: every change that stored state can undergo, and what can come of each.

A command says what is wanted, an outcome what happened; a refusal that depends on stored state is an outcome, not an
exception, because the other commands of the same transaction go through. ``moltnet.storage.plan`` decides which.
"""

from datetime import datetime

import attrs

from moltnet.protocol.events import Event
from moltnet.protocol.identity import AgentAddress
from moltnet.protocol.ids import AgentId, EventId, NetworkId, RoomId
from moltnet.protocol.messages import Message
from moltnet.protocol.rooms import Room, Visibility, WritePolicy
from moltnet.protocol.times import Timestamp
from moltnet.storage.approval_commands import ApprovalCommand, ApprovalOutcome
from moltnet.storage.command import Command as Command  # for whoever uses commands
from moltnet.storage.marks import MarkCommand, MarkOutcome
from moltnet.storage.outbox import OutboxCommand, OutboxOutcome, Relay
from moltnet.storage.records import PairNetwork, StoredAgent, StoredSession


@attrs.frozen
class MessageStored:
    event_id: EventId
    thread_created: bool = False
    dm_created: bool = False


@attrs.frozen
class MessageRepeated:
    """The id exists. ``same`` tells whether content and sender are the same too, so that a retry is harmless."""

    event_id: EventId
    same: bool


@attrs.frozen
class RoomMissing:
    room_id: RoomId


@attrs.frozen
class ThreadElsewhere:
    """The thread exists, in ``room_id``, which is not the room that the message names."""

    room_id: RoomId


@attrs.frozen
class NotParticipant:
    """The sender takes no part in the direct conversation."""


@attrs.frozen
class DirectFull:
    """The message would bring more people into the direct conversation than one may have."""


MessageOutcome = MessageStored | MessageRepeated | RoomMissing | ThreadElsewhere | NotParticipant | DirectFull


@attrs.frozen
class AppendMessage(Command[MessageOutcome]):
    """Store a message. ``body`` is its JSON, ``digest`` that of its content, ``addressed`` the FQIDs it mentions.

    ``relays`` wait in the outbox from then on.
    """

    message: Message
    body: bytes
    digest: bytes
    addressed: tuple[str, ...] = ()
    relays: tuple[Relay, ...] = ()


@attrs.frozen
class RoomStored:
    """``changed`` is false if the room was already as wanted; then no event was made."""

    room: Room
    changed: bool = True


@attrs.frozen
class RoomTaken:
    """The id is that of a live room, or of a ``removed`` one."""

    room_id: RoomId
    removed: bool = False


@attrs.frozen
class CreateRoom(Command[RoomStored | RoomTaken]):
    room: Room


@attrs.frozen
class DeclareRoom(Command[RoomStored]):
    """Make a room what the config file says, but only if the file says something new (design §3.15).

    ``declaration`` is a digest of what the file says. The same digest as last time changes nothing, so members who
    were added at runtime stay; a removed room is restored.
    """

    room: Room
    declaration: str


@attrs.frozen
class UpdateMembers(Command[RoomStored | RoomMissing]):
    """``remove`` is applied after ``add``."""

    room_id: RoomId
    add: tuple[str, ...]
    remove: tuple[str, ...]
    at: Timestamp


@attrs.frozen
class RoomRemoved:
    """``room`` is as it was, members included."""

    room: Room


@attrs.frozen
class RemoveRoom(Command[RoomRemoved | RoomMissing]):
    """Hide a room and let its members go. Its messages stay, and so does its id."""

    room_id: RoomId
    at: Timestamp


@attrs.frozen
class UpdateRoom(Command[RoomStored | RoomMissing]):
    """Change what a room is called, who sees it and who may write; what is ``None`` stays."""

    room_id: RoomId
    name: str | None
    visibility: Visibility | None
    write_policy: WritePolicy | None
    at: Timestamp


@attrs.frozen
class RestoreRoom(Command[RoomStored | RoomMissing | RoomTaken]):
    """Bring a removed room back, with these members."""

    room_id: RoomId
    members: tuple[str, ...]
    at: Timestamp


@attrs.frozen
class AgentStored:
    agent: StoredAgent
    created: bool


@attrs.frozen
class AgentOwned:
    """The id belongs to another credential."""

    credential_key: str


@attrs.frozen
class RegisterAgent(Command[AgentStored | AgentOwned]):
    """Register an agent, or refresh its name and time if the same credential (or ``as_admin``) asks again.

    An existing registration keeps its uid, its time of creation and its owner.
    """

    agent: StoredAgent
    as_admin: bool = False


@attrs.frozen
class BindAgent(Command[AgentStored]):
    """Give an agent to a credential whatever it was before: the config file names its token."""

    agent: StoredAgent


@attrs.frozen
class AgentRemoved:
    agent_id: AgentId


@attrs.frozen
class AgentMissing:
    agent_id: AgentId


@attrs.frozen
class CredentialChanged:
    """``agent`` as it is now."""

    agent: StoredAgent


@attrs.frozen
class CredentialElsewhere:
    """The agent belongs to another credential than the command expects: somebody else was faster."""


@attrs.frozen
class ChangeCredential(Command[CredentialChanged | CredentialElsewhere | AgentMissing]):
    """Give an agent from the credential ``expected_key`` to ``credential_key``, if it has not changed hands before.

    Of two that are decided at once, only the first finds what it expects.
    """

    agent_id: AgentId
    expected_key: str
    credential_key: str
    at: Timestamp


@attrs.frozen
class RemoveAgent(Command[AgentRemoved | AgentMissing]):
    """Forget an agent of this network: its registration, and its memberships in whatever spelling."""

    address: AgentAddress
    at: Timestamp


@attrs.frozen
class Applied:
    """All of it as it is now, in the order of the command."""

    rooms: tuple[Room, ...]
    agents: tuple[StoredAgent, ...]


@attrs.frozen
class ApplyNetwork(Command[Applied]):
    """Bind agents to credentials and make rooms exactly what is said, removed ones included: all of it at once."""

    agents: tuple[StoredAgent, ...]
    rooms: tuple[Room, ...]


@attrs.frozen
class SessionOpened:
    pass


@attrs.frozen
class OpenSession(Command[SessionOpened]):
    """Keep a session of the console. ``closing`` names the digests of others that go: expired, or too many."""

    session: StoredSession
    closing: tuple[str, ...] = ()


@attrs.frozen
class SessionsClosed:
    pass


@attrs.frozen
class CloseSessions(Command[SessionsClosed]):
    """Forget sessions by their digests; unknown ones are no error."""

    digests: tuple[str, ...]


@attrs.frozen
class PairNetworkBound:
    """The network that the token speaks for, which is another one if it was bound before."""

    network_id: NetworkId


@attrs.frozen
class BindPairNetwork(Command[PairNetworkBound]):
    """Bind a pair token to the network that it first speaks for. The first command wins, for good."""

    pair: PairNetwork


@attrs.frozen
class Declared:
    """One outcome for each declared room, in the order of the command."""

    rooms: tuple[RoomStored, ...]


@attrs.frozen
class DeclareNetwork(Command[Declared]):
    """What the config file says of agents and rooms, all of it at once: as ``BindAgent`` and ``DeclareRoom`` do."""

    agents: tuple[StoredAgent, ...]
    rooms: tuple[DeclareRoom, ...]


@attrs.frozen
class EventsRecorded:
    pass


@attrs.frozen
class RecordEvents(Command[EventsRecorded]):
    """Write events that change nothing else: presence and wakes."""

    events: tuple[Event, ...]


@attrs.frozen
class Pruned:
    """How many events and messages went. Where any did, there may be more."""

    events: int
    messages: int


@attrs.frozen
class Prune(Command[Pruned]):
    """Forget the oldest events and messages, from the beginning of the log up to the first that is not that old.

    At most ``limit`` of each, and of messages as many as a step can bear with all that hangs on them. The newest event
    always stays, because the next one is counted from it, and a message stays for as long as its event does.
    ``messages_before`` is ``None`` if messages are kept for ever.
    """

    events_before: datetime
    messages_before: datetime | None
    limit: int


AnyCommand = (
    AppendMessage
    | CreateRoom
    | DeclareRoom
    | UpdateMembers
    | UpdateRoom
    | RemoveRoom
    | RestoreRoom
    | RegisterAgent
    | BindAgent
    | RemoveAgent
    | ChangeCredential
    | ApplyNetwork
    | DeclareNetwork
    | OpenSession
    | CloseSessions
    | BindPairNetwork
    | RecordEvents
    | ApprovalCommand
    | MarkCommand
    | Prune
    | OutboxCommand
)
AnyOutcome = (
    MessageOutcome
    | RoomStored
    | RoomTaken
    | RoomRemoved
    | AgentStored
    | AgentOwned
    | AgentRemoved
    | AgentMissing
    | CredentialChanged
    | CredentialElsewhere
    | Applied
    | Declared
    | SessionOpened
    | SessionsClosed
    | PairNetworkBound
    | EventsRecorded
    | ApprovalOutcome
    | MarkOutcome
    | Pruned
    | OutboxOutcome
)
