"""A batch while it is being decided: the facts as they stand, and the changes so far.

Each ``plan_…`` module decides the commands about one subject on it.
"""

from collections.abc import Callable, Iterable

import attrs

from moltnet.protocol.codec import encode
from moltnet.protocol.events import AgentEvent, Event, EventType
from moltnet.protocol.identity import parse_address
from moltnet.protocol.ids import AgentId, ApprovalId, DirectId, EventId, MessageId, NetworkId, RoomId
from moltnet.protocol.times import Timestamp
from moltnet.storage.changes import Changes, event_wire
from moltnet.storage.facts import Facts
from moltnet.storage.marks import OF_AGENTS, Mark, mark_id
from moltnet.storage.records import EventRecord, PairNetwork, StoredAgent, StoredApproval, StoredRoom, StoredSession


@attrs.define(eq=False)
class Draft:
    """Keeping something changes the facts too, so that a later command of the batch sees it."""

    facts: Facts
    network_id: NetworkId
    new_id: Callable[[], EventId]
    changes: Changes = attrs.Factory(Changes)

    def keep_room(self, stored: StoredRoom) -> None:
        room_id = stored.room.id
        if stored.removed_at:
            self.facts.posted_rooms.discard(room_id)
        else:
            self.facts.posted_rooms.add(room_id)
        self.facts.rooms[room_id] = self.changes.rooms[room_id] = stored

    def keep_agent(self, agent: StoredAgent) -> None:
        self.facts.agents[agent.id] = self.changes.agents[agent.id] = agent

    def drop_agent(self, agent_id: AgentId) -> None:
        if self.facts.agents.pop(agent_id, None) is not None:
            self.changes.agents.pop(agent_id, None)
            self.changes.removed_agents.add(agent_id)
            self._drop_approvals_of(agent_id)
            for kind in OF_AGENTS:
                self.drop_mark(mark_id(kind, agent_id))

    def keep_session(self, session: StoredSession) -> None:
        self.changes.closed_sessions.discard(session.digest)
        self.changes.sessions[session.digest] = session

    def close_session(self, digest: str) -> None:
        self.changes.sessions.pop(digest, None)
        self.changes.closed_sessions.add(digest)

    def keep_pair_network(self, pair: PairNetwork) -> None:
        self.facts.pair_networks[pair.credential_key] = self.changes.pair_networks[pair.credential_key] = pair

    def keep_mark(self, mark: Mark) -> None:
        self.facts.marks[mark.id] = self.changes.marks[mark.id] = mark

    def drop_mark(self, id: str) -> None:
        self.facts.marks.pop(id, None)
        self.changes.marks.pop(id, None)
        self.changes.removed_marks.add(id)

    def keep_approval(self, stored: StoredApproval) -> None:
        self.changes.forgotten_approvals.discard(stored.id)
        self.facts.approvals[stored.id] = self.changes.approvals[stored.id] = stored

    def forget_approval(self, approval_id: ApprovalId) -> None:
        self.facts.approvals.pop(approval_id, None)
        self.changes.approvals.pop(approval_id, None)
        self.changes.forgotten_approvals.add(approval_id)

    def _drop_approvals_of(self, agent_id: AgentId) -> None:
        """They go with the agent, so that a later one of that id has none of them."""
        facts = self.facts
        for found in (facts.approvals, self.changes.approvals):
            for approval_id in [id for id, stored in found.items() if stored.approval.agent_id == agent_id]:
                del found[approval_id]
        facts.pending_approvals.pop(agent_id, None)
        facts.due_approvals = [each for each in facts.due_approvals if each.approval.agent_id != agent_id]
        facts.old_approvals = [each for each in facts.old_approvals if each.approval.agent_id != agent_id]

    def fqids(self, members: Iterable[str]) -> tuple[str, ...]:
        return tuple(parse_address(member, self.network_id).fqid for member in members)

    def record_event(self, event: Event) -> EventRecord:
        """Add an event that is about an agent, or about nobody."""
        agent = event.agent or event.approval or AgentEvent("")
        return self._append(
            EventRecord(
                seq=self.facts.newest_seq + 1,
                id=event.id,
                type=event.type,
                wire=encode(event),
                created_at=event.created_at,
                agent_id=AgentId(agent.agent_id),
                message_id=MessageId(agent.message_id),
            )
        )

    def record(
        self,
        kind: EventType,
        at: Timestamp,
        payload: bytes,
        *,
        event_id: EventId | None = None,
        room_id: RoomId = RoomId(""),
        direct_id: DirectId = DirectId(""),
        message_id: MessageId = MessageId(""),
        sender: str = "",
        addressed: tuple[str, ...] = (),
    ) -> EventRecord:
        """Add an event about a conversation, with a new id unless it has one."""
        event_id = self.new_id() if event_id is None else event_id
        return self._append(
            EventRecord(
                seq=self.facts.newest_seq + 1,
                id=event_id,
                type=kind,
                wire=event_wire(event_id, kind, self.network_id, at, payload),
                created_at=at,
                room_id=room_id,
                direct_id=direct_id,
                message_id=message_id,
                sender=sender,
                addressed=addressed,
            )
        )

    def _append(self, record: EventRecord) -> EventRecord:
        self.facts.newest_seq = record.seq
        self.changes.records.append(record)
        return record
