"""What a batch of commands depends on: the keys to look for, and the rows that were found.

What follows from them is decided in ``moltnet.storage.plan``.
"""

from collections.abc import Iterable

import attrs

from moltnet.protocol.ids import AgentId, DirectId, MessageId, RoomId, ThreadId
from moltnet.protocol.messages import TargetKind
from moltnet.protocol.rooms import DirectConversation, Thread
from moltnet.storage.commands import (
    AnyCommand,
    AppendMessage,
    BindAgent,
    CreateRoom,
    DeclareRoom,
    RecordEvents,
    RegisterAgent,
    UpdateMembers,
)
from moltnet.storage.records import StoredAgent, StoredMessage, StoredRoom


@attrs.define
class Needs:
    """The keys that a batch depends on.

    Of ``posted_rooms`` only the existence matters: a message must not make a backend load a thousand members.
    """

    messages: set[MessageId] = attrs.Factory(set)
    threads: set[ThreadId] = attrs.Factory(set)
    directs: set[DirectId] = attrs.Factory(set)
    posted_rooms: set[RoomId] = attrs.Factory(set)
    rooms: set[RoomId] = attrs.Factory(set)
    agents: set[AgentId] = attrs.Factory(set)


@attrs.define
class Facts:
    """The rows found for those keys. ``plan`` updates them, so that a later command sees an earlier one's effect.

    ``rooms`` holds live rooms; ``removed_rooms`` ids that are taken by rooms which were removed; ``posted_rooms`` the
    ids of live rooms among those of ``Needs.posted_rooms``.
    """

    newest_seq: int
    messages: dict[MessageId, StoredMessage] = attrs.Factory(dict)
    threads: dict[ThreadId, Thread] = attrs.Factory(dict)
    directs: dict[DirectId, DirectConversation] = attrs.Factory(dict)
    posted_rooms: set[RoomId] = attrs.Factory(set)
    rooms: dict[RoomId, StoredRoom] = attrs.Factory(dict)
    removed_rooms: set[RoomId] = attrs.Factory(set)
    agents: dict[AgentId, StoredAgent] = attrs.Factory(dict)


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
            case UpdateMembers(room_id=room_id):
                found.rooms.add(room_id)
            case RegisterAgent(agent=agent) | BindAgent(agent=agent):
                found.agents.add(agent.id)
            case RecordEvents():
                pass
    return found
