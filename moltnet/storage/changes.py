"""What a batch of commands changes: the rows that a backend writes, and the JSON of the events among them.

Which changes follow from which commands is decided in ``moltnet.storage.plan``.
"""

import attrs

from moltnet.protocol.ids import AgentId, ArtifactId, DirectId, EventId, NetworkId, RoomId, ThreadId
from moltnet.protocol.messages import Message, Target
from moltnet.protocol.rooms import DirectConversation, Thread
from moltnet.protocol.times import Timestamp
from moltnet.storage.records import EventRecord, PairNetwork, StoredAgent, StoredRoom, StoredSession


@attrs.frozen
class MessageRow:
    """A new message; ``seq`` is that of its ``message.created`` event, and orders it in its conversation."""

    seq: int
    message: Message
    body: bytes
    digest: bytes


@attrs.frozen
class ArtifactRow:
    """A new artifact; rows come in the order in which they are listed. ``body`` is its JSON."""

    id: ArtifactId
    target: Target
    body: bytes


@attrs.define
class Changes:
    """What to write. Records are inserted, everything else is inserted or replaced by its id.

    A removed room is among ``rooms``; an agent that is removed and registered again in one batch is in both of
    ``removed_agents`` and ``agents``, in this order. A session is either opened or closed, whichever came last.

    Events up to ``events_pruned_to`` go, and so do messages, with their artifacts, up to ``messages_pruned_to``, which
    is never greater; before anything is inserted, since an id that went may come again.
    """

    records: list[EventRecord] = attrs.Factory(list)
    messages: list[MessageRow] = attrs.Factory(list)
    artifacts: list[ArtifactRow] = attrs.Factory(list)
    threads: dict[ThreadId, Thread] = attrs.Factory(dict)
    directs: dict[DirectId, DirectConversation] = attrs.Factory(dict)
    rooms: dict[RoomId, StoredRoom] = attrs.Factory(dict)
    removed_agents: set[AgentId] = attrs.Factory(set)
    agents: dict[AgentId, StoredAgent] = attrs.Factory(dict)
    closed_sessions: set[str] = attrs.Factory(set)
    sessions: dict[str, StoredSession] = attrs.Factory(dict)
    pair_networks: dict[str, PairNetwork] = attrs.Factory(dict)
    events_pruned_to: int = 0
    messages_pruned_to: int = 0


def event_wire(event_id: EventId, kind: str, network_id: NetworkId, at: Timestamp, payload: bytes) -> bytes:
    """An event as JSON around an already encoded payload (``b'"message":{…}'``). None of the parts needs escaping."""
    return (
        f'{{"id":"{event_id}","type":"{kind}","network_id":"{network_id}","created_at":"{at}",'.encode()
        + payload
        + b"}"
    )


def message_payload(body: bytes) -> bytes:
    """The payload of the event that reports a message."""
    return b'"message":' + body
