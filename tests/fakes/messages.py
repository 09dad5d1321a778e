"""Messages and their events for tests, on network `net`, whose agent under test is `agent-1`."""

from typing import Any

import attrs

from moltnet.protocol.events import Event, EventType, ReplayGap
from moltnet.protocol.identity import agent_fqid
from moltnet.protocol.ids import EventId, MessageId, NetworkId, event_id_of_message, gap_event_id
from moltnet.protocol.messages import AGENT, Actor, Message, MessageOrigin, Part, PartKind, Target, TargetKind
from moltnet.protocol.times import Timestamp

NETWORK = NetworkId("net")
NOW = Timestamp("2026-01-01T00:00:00Z")
ME = agent_fqid(NETWORK, "agent-1")


def sender(id: str = "alpha", *, network: str = NETWORK, type: str = AGENT, name: str = "") -> Actor:
    return Actor(type=type, id=id, name=name, network_id=network, fqid=agent_fqid(network, id))


def message(id: str = "msg_1", text: str = "hello", **fields: Any) -> Message:
    """A text of `alpha` in the room `general`, changed by `fields`; `room`, `thread` and `dm` set the target."""
    target = Target(kind=TargetKind.ROOM, room_id=fields.pop("room", "general"))
    if thread := fields.pop("thread", ""):
        target = attrs.evolve(target, kind=TargetKind.THREAD, thread_id=thread, parent_message_id=MessageId("msg_0"))
    if dm := fields.pop("dm", ""):
        target = Target(kind=TargetKind.DM, dm_id=dm, participant_ids=("agent-1", "alpha"))
    plain = Message(
        id=MessageId(id),
        network_id=NETWORK,
        origin=MessageOrigin(NETWORK, id),
        target=target,
        sender=sender(),
        parts=(Part(kind=PartKind.TEXT, text=text),),
        created_at=NOW,
    )
    return attrs.evolve(plain, **fields)


def created(message: Message) -> Event:
    """The event that reports a message."""
    return Event(event_id_of_message(message.id), EventType.MESSAGE_CREATED, NETWORK, NOW, message=message)


def noise(number: int) -> Event:
    """An event that wakes nobody."""
    return Event(EventId(f"evt_noise-{number}"), EventType.ROOM_CREATED, NETWORK, NOW)


def gap(cursor: str) -> Event:
    payload = ReplayGap(requested_event_id=cursor)
    return Event(gap_event_id(cursor), EventType.REPLAY_GAP, NETWORK, NOW, replay_gap=payload)
