"""What a batch of commands changes: the rows that a backend writes, and the JSON of the events among them.

Which changes follow from which commands is decided in ``moltnet.storage.plan``.
"""

import attrs

from moltnet.protocol.ids import AgentId, ApprovalId, ArtifactId, DirectId, EventId, NetworkId, RoomId, ThreadId
from moltnet.protocol.messages import Message, Target
from moltnet.protocol.rooms import DirectConversation, Thread
from moltnet.protocol.times import Timestamp
from moltnet.storage.marks import Mark
from moltnet.storage.outbox import OutboxKey, OutboxRow, RelayState
from moltnet.storage.records import EventRecord, PairNetwork, StoredAgent, StoredApproval, StoredRoom, StoredSession


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
    ``removed_agents`` and ``agents``, in this order, and the approvals and marks that it had go with it. A session is
    either opened or closed, whichever came last, and so is an approval kept or forgotten. A mark may be removed and
    kept again, in this order.

    Events up to ``events_pruned_to`` go, and so do messages, with their artifacts, up to ``messages_pruned_to``, which
    is never greater; before anything is inserted, since an id that went may come again.

    A row of the outbox is added, changed or removed, and added before it is changed. ``relays_retried`` names the
    pairings of which something waits again that had been given up.
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
    marks: dict[str, Mark] = attrs.Factory(dict)
    removed_marks: set[str] = attrs.Factory(set)
    approvals: dict[ApprovalId, StoredApproval] = attrs.Factory(dict)
    forgotten_approvals: set[ApprovalId] = attrs.Factory(set)
    events_pruned_to: int = 0
    messages_pruned_to: int = 0
    outbox_added: dict[OutboxKey, OutboxRow] = attrs.Factory(dict)
    outbox_changed: dict[OutboxKey, RelayState] = attrs.Factory(dict)
    outbox_removed: set[OutboxKey] = attrs.Factory(set)
    relays_retried: set[str] = attrs.Factory(set)


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
