"""Approvals: wakes that wait until an operator lets them through, and what was decided (design §3.19).

A node asks before it wakes an agent whose policy says ``reply: manual``. When it asks is decided by ``bridge.policy``.
"""

import hashlib
from enum import StrEnum
from typing import Final

import attrs

from moltnet.protocol.codec import Problem, wire
from moltnet.protocol.ids import AgentId, ApprovalId, EventId, MessageId, id_problem
from moltnet.protocol.limits import (
    APPROVAL_SECONDS,
    LONGEST_APPROVAL_SECONDS,
    MAX_APPROVAL_NOTE_CHARACTERS,
    MAX_APPROVAL_REASON_CHARACTERS,
)
from moltnet.protocol.messages import Target
from moltnet.protocol.pages import PageInfo
from moltnet.protocol.times import Timestamp


class ApprovalState(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    """Nobody decided in time."""


DECISIONS: Final = (ApprovalState.APPROVED, ApprovalState.DENIED)


@attrs.frozen
class Approval:
    """One wake of one agent, and what became of the question whether it may happen.

    ``reason`` is what the asker says would wake the agent. Which message it is, who wrote it and where is the server's
    own knowledge of the event. ``decided_by`` names a credential, never its value; of an expired one it is empty.
    """

    id: ApprovalId
    agent_id: AgentId
    event_id: EventId
    message_id: MessageId
    state: ApprovalState
    requested_at: Timestamp
    expires_at: Timestamp
    sender: str = ""
    target: Target | None = None
    reason: str = ""
    decided_at: Timestamp = attrs.field(default=Timestamp(""))
    decided_by: str = ""
    note: str = ""

    @property
    def is_decided(self) -> bool:
        return self.state is not ApprovalState.PENDING


@attrs.frozen
class RequestApprovalRequest:
    """``event_id`` is that of the message which would wake the agent; ``expires_in_seconds`` how long to wait."""

    event_id: str = ""
    reason: str = ""
    expires_in_seconds: int = APPROVAL_SECONDS

    def trimmed(self) -> "RequestApprovalRequest":
        return attrs.evolve(self, event_id=self.event_id.strip(), reason=self.reason.strip())

    def problems(self) -> list[Problem]:
        """What is wrong with a trimmed request."""
        found = []
        if (problem := id_problem(self.event_id)) is not None:
            found.append(Problem("$.event_id", problem))
        if len(self.reason) > MAX_APPROVAL_REASON_CHARACTERS:
            found.append(Problem("$.reason", f"must be {MAX_APPROVAL_REASON_CHARACTERS} characters or fewer"))
        if not 1 <= self.expires_in_seconds <= LONGEST_APPROVAL_SECONDS:
            found.append(Problem("$.expires_in_seconds", f"must be 1 to {LONGEST_APPROVAL_SECONDS}"))
        return found


@attrs.frozen
class DecisionRequest:
    """``note`` is for whoever looks later why it was decided like that. The agent sees it too."""

    note: str = ""

    def trimmed(self) -> "DecisionRequest":
        return DecisionRequest(self.note.strip())

    def problems(self) -> list[Problem]:
        if len(self.note) > MAX_APPROVAL_NOTE_CHARACTERS:
            return [Problem("$.note", f"must be {MAX_APPROVAL_NOTE_CHARACTERS} characters or fewer")]
        return []


@attrs.frozen
class ApprovalPage:
    approvals: tuple[Approval, ...] = attrs.field(default=(), metadata=wire(always=True))
    page: PageInfo = attrs.field(default=PageInfo(), metadata=wire(always=True))


def approval_id_of(agent_id: str, event_id: str) -> ApprovalId:
    """The id of the approval of one wake. Whoever asks again asks for the same one."""
    # No blank is in an id, so two different pairs are never written alike.
    digest = hashlib.sha256(f"{agent_id} {event_id}".encode()).hexdigest()
    return ApprovalId(f"apr_{digest[:32]}")
