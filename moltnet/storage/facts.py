"""What a batch of commands depends on: the keys to look for, and the rows that were found.

What follows from them is decided in ``moltnet.storage.plan``.
"""

from collections.abc import Iterable, Sequence

import attrs

from moltnet.protocol.ids import AgentId, ApprovalId, DirectId, MessageId, RoomId, ThreadId
from moltnet.protocol.messages import TargetKind
from moltnet.protocol.rooms import DirectConversation, Thread
from moltnet.protocol.times import parse_timestamp
from moltnet.storage.approval_commands import DecideApproval, RequestApproval, SweepApprovals
from moltnet.storage.commands import (
    AnyCommand,
    AppendMessage,
    ApplyNetwork,
    BindAgent,
    BindPairNetwork,
    ChangeCredential,
    CloseSessions,
    CreateRoom,
    DeclareNetwork,
    DeclareRoom,
    OpenSession,
    Prune,
    RecordEvents,
    RegisterAgent,
    RemoveAgent,
    RemoveRoom,
    RestoreRoom,
    UpdateMembers,
    UpdateRoom,
)
from moltnet.storage.marks import Mark, MarkKind, MuteAgent, NoteSeen, SwitchPairing, mark_id
from moltnet.storage.outbox import DropRelays, RetryRelays, SettleRelays
from moltnet.storage.records import (
    OldEvent,
    OldMessage,
    PairNetwork,
    StoredAgent,
    StoredApproval,
    StoredMessage,
    StoredRoom,
    microseconds,
)


@attrs.define
class Needs:
    """The keys that a batch depends on.

    Of ``posted_rooms`` only the existence matters: a message must not make a backend load a thousand members. Of each
    of ``members``, all rooms are needed in which that very text is a member. ``oldest_…`` say how many rows are needed
    from the beginning of the log. Of approvals, those of ``approvals``, how many of each of ``pending_of`` are pending,
    and ``swept_approvals`` of those that are due, and of those that are old.
    """

    messages: set[MessageId] = attrs.Factory(set)
    threads: set[ThreadId] = attrs.Factory(set)
    directs: set[DirectId] = attrs.Factory(set)
    posted_rooms: set[RoomId] = attrs.Factory(set)
    rooms: set[RoomId] = attrs.Factory(set)
    members: set[str] = attrs.Factory(set)
    agents: set[AgentId] = attrs.Factory(set)
    pair_keys: set[str] = attrs.Factory(set)
    marks: set[str] = attrs.Factory(set)
    dead_letters: set[tuple[str, MessageId]] = attrs.Factory(set)
    oldest_events: int = 0
    oldest_messages: int = 0
    approvals: set[ApprovalId] = attrs.Factory(set)
    pending_of: set[AgentId] = attrs.Factory(set)
    approvals_due_us: int = 0
    approvals_old_us: int = 0
    swept_approvals: int = 0


@attrs.define
class Facts:
    """The rows found for those keys. ``plan`` updates them, so that a later command sees an earlier one's effect.

    ``rooms`` holds removed rooms too; ``posted_rooms`` the ids of live rooms among those of ``Needs.posted_rooms``;
    ``dead_letters`` the places in the outbox of a pairing's message, usually one.
    ``due_approvals`` are pending and expire up to ``Needs.approvals_due_us``, ``old_approvals`` were decided before
    ``Needs.approvals_old_us``; both the oldest first.
    """

    newest_seq: int
    messages: dict[MessageId, StoredMessage] = attrs.Factory(dict)
    threads: dict[ThreadId, Thread] = attrs.Factory(dict)
    directs: dict[DirectId, DirectConversation] = attrs.Factory(dict)
    posted_rooms: set[RoomId] = attrs.Factory(set)
    rooms: dict[RoomId, StoredRoom] = attrs.Factory(dict)
    agents: dict[AgentId, StoredAgent] = attrs.Factory(dict)
    pair_networks: dict[str, PairNetwork] = attrs.Factory(dict)
    marks: dict[str, Mark] = attrs.Factory(dict)
    dead_letters: dict[tuple[str, MessageId], tuple[int, ...]] = attrs.Factory(dict)
    oldest_events: Sequence[OldEvent] = ()
    oldest_messages: Sequence[OldMessage] = ()
    approvals: dict[ApprovalId, StoredApproval] = attrs.Factory(dict)
    pending_approvals: dict[AgentId, int] = attrs.Factory(dict)
    due_approvals: Sequence[StoredApproval] = ()
    old_approvals: Sequence[StoredApproval] = ()

    def live_room(self, room_id: RoomId) -> StoredRoom | None:
        stored = self.rooms.get(room_id)
        return None if stored is None or stored.removed_at else stored


def needs(commands: Iterable[AnyCommand]) -> Needs:
    """The keys of all rows that ``plan`` may look at for these commands."""
    found = Needs()
    for command in commands:
        match command:
            case AppendMessage(message=message):
                found.messages.add(message.id)
                match message.target.kind:
                    case TargetKind.DM:
                        found.directs.add(message.target.dm_id)
                    case TargetKind.THREAD:
                        found.threads.add(message.target.thread_id)
                        found.posted_rooms.add(message.target.room_id)
                    case _:
                        found.posted_rooms.add(message.target.room_id)
            case CreateRoom(room=room) | DeclareRoom(room=room):
                found.rooms.add(room.id)
            case UpdateMembers(room_id=room_id) | RemoveRoom(room_id=room_id) | RestoreRoom(room_id=room_id):
                found.rooms.add(room_id)
            case UpdateRoom(room_id=room_id):
                found.rooms.add(room_id)
            case MuteAgent(agent_id=agent_id):
                found.agents.add(agent_id)
                found.marks.add(mark_id(MarkKind.MUTE, agent_id))
            case NoteSeen(seen=seen, about=about):
                found.agents.update(agent_id for agent_id, _ in (*seen, *about))
            case SwitchPairing(pairing_id=pairing_id):
                found.marks.add(mark_id(MarkKind.PAIRING, pairing_id))
            case RemoveAgent(address=address):
                found.agents.add(address.agent_id)
                found.members.update(address.spellings)
            case ApplyNetwork(agents=agents, rooms=rooms):
                found.agents.update(agent.id for agent in agents)
                found.rooms.update(room.id for room in rooms)
            case DeclareNetwork(agents=agents, rooms=rooms):
                found.agents.update(agent.id for agent in agents)
                found.rooms.update(declared.room.id for declared in rooms)
            case ChangeCredential(agent_id=agent_id):
                found.agents.add(agent_id)
            case RegisterAgent(agent=agent) | BindAgent(agent=agent):
                found.agents.add(agent.id)
            case BindPairNetwork(pair=pair):
                found.pair_keys.add(pair.credential_key)
            case Prune(messages_before=messages_before, limit=limit):
                # One more event: the first that stays says which messages may go.
                found.oldest_events = max(found.oldest_events, limit + 1)
                if messages_before is not None:
                    found.oldest_messages = max(found.oldest_messages, limit)
            case RequestApproval(approval=approval):
                found.approvals.add(approval.id)
                found.agents.add(approval.agent_id)
                found.pending_of.add(approval.agent_id)
            case DecideApproval(approval_id=approval_id):
                found.approvals.add(approval_id)
            case SweepApprovals(at=at, decided_before=decided_before, limit=limit):
                found.approvals_due_us = max(found.approvals_due_us, microseconds(parse_timestamp(at)))
                if decided_before is not None:
                    found.approvals_old_us = max(found.approvals_old_us, microseconds(decided_before))
                found.swept_approvals = max(found.swept_approvals, limit)
            case RetryRelays() | DropRelays():
                found.dead_letters.update((command.pairing_id, message_id) for message_id in command.message_ids)
            case RecordEvents() | OpenSession() | CloseSessions() | SettleRelays():
                pass
    return found
