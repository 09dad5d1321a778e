"""Events: facts that are already committed, one class per kind of payload (message model §3).

``Event`` is the wire form: common fields and exactly one payload, told apart by ``type``.
"""

from enum import StrEnum
from typing import Final

import attrs

from moltnet.protocol.agents import Mute
from moltnet.protocol.approvals import Approval
from moltnet.protocol.codec import wire
from moltnet.protocol.ids import EventId, NetworkId
from moltnet.protocol.messages import Message, Target
from moltnet.protocol.pairings import Pairing
from moltnet.protocol.rooms import DirectConversation, Room, Thread
from moltnet.protocol.times import Timestamp


class EventType(StrEnum):
    MESSAGE_CREATED = "message.created"
    THREAD_CREATED = "thread.created"
    DM_CREATED = "dm.created"
    ROOM_CREATED = "room.created"
    ROOM_MEMBERS_UPDATED = "room.members.updated"
    ROOM_UPDATED = "room.updated"
    ROOM_REMOVED = "room.removed"
    AGENT_CONNECTED = "agent.connected"
    AGENT_DISCONNECTED = "agent.disconnected"
    AGENT_WAKE_DELIVERED = "agent.wake.delivered"
    AGENT_WAKE_FAILED = "agent.wake.failed"
    AGENT_REMOVED = "agent.removed"
    AGENT_MUTED = "agent.muted"
    AGENT_UNMUTED = "agent.unmuted"
    APPROVAL_REQUESTED = "approval.requested"
    APPROVAL_DECIDED = "approval.decided"
    PAIRING_UPDATED = "pairing.updated"
    REPLAY_GAP = "stream.replay_gap"


@attrs.frozen
class AgentEvent:
    """What happened to an agent: presence, a wake, that it was muted or removed."""

    agent_id: str = attrs.field(metadata=wire(always=True))
    network_id: str = ""
    fqid: str = ""
    name: str = ""
    message_id: str = ""
    reason: str = ""
    target: Target | None = None
    error: str = ""
    mute: Mute | None = None


@attrs.frozen
class ReplayGap:
    """A cursor that can't be resumed exactly: between it and ``oldest_event_id`` events may be missing."""

    requested_event_id: str = ""
    oldest_event_id: str = ""
    newest_event_id: str = ""


@attrs.frozen
class Event:
    id: EventId
    type: str
    network_id: NetworkId
    created_at: Timestamp
    message: Message | None = None
    thread: Thread | None = None
    dm: DirectConversation | None = None
    room: Room | None = None
    agent: AgentEvent | None = None
    approval: Approval | None = None
    pairing: Pairing | None = None
    replay_gap: ReplayGap | None = None


PAYLOAD_KEYS: Final = ("message", "thread", "dm", "room", "agent", "approval", "pairing", "replay_gap")
