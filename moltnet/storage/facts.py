"""What a batch of commands depends on: the keys to look for, and the rows that were found.

What follows from them is decided in ``moltnet.storage.plan``.
"""

from collections.abc import Iterable, Sequence

import attrs

from moltnet.protocol.ids import AgentId, DirectId, MessageId, RoomId, ThreadId
from moltnet.protocol.messages import TargetKind
from moltnet.protocol.rooms import DirectConversation, Thread
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
)
from moltnet.storage.records import OldEvent, OldMessage, PairNetwork, StoredAgent, StoredMessage, StoredRoom


@attrs.define
class Needs:
    """The keys that a batch depends on.

    Of ``posted_rooms`` only the existence matters: a message must not make a backend load a thousand members. Of each
    of ``members``, all rooms are needed in which that very text is a member. The last two say how many rows are needed
    from the beginning of the log.
    """

    messages: set[MessageId] = attrs.Factory(set)
    threads: set[ThreadId] = attrs.Factory(set)
    directs: set[DirectId] = attrs.Factory(set)
    posted_rooms: set[RoomId] = attrs.Factory(set)
    rooms: set[RoomId] = attrs.Factory(set)
    members: set[str] = attrs.Factory(set)
    agents: set[AgentId] = attrs.Factory(set)
    pair_keys: set[str] = attrs.Factory(set)
    oldest_events: int = 0
    oldest_messages: int = 0


@attrs.define
class Facts:
    """The rows found for those keys. ``plan`` updates them, so that a later command sees an earlier one's effect.

    ``rooms`` holds removed rooms too; ``posted_rooms`` the ids of live rooms among those of ``Needs.posted_rooms``.
    """

    newest_seq: int
    messages: dict[MessageId, StoredMessage] = attrs.Factory(dict)
    threads: dict[ThreadId, Thread] = attrs.Factory(dict)
    directs: dict[DirectId, DirectConversation] = attrs.Factory(dict)
    posted_rooms: set[RoomId] = attrs.Factory(set)
    rooms: dict[RoomId, StoredRoom] = attrs.Factory(dict)
    agents: dict[AgentId, StoredAgent] = attrs.Factory(dict)
    pair_networks: dict[str, PairNetwork] = attrs.Factory(dict)
    oldest_events: Sequence[OldEvent] = ()
    oldest_messages: Sequence[OldMessage] = ()

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
            case RecordEvents() | OpenSession() | CloseSessions():
                pass
    return found
