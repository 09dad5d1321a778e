"""Commands about approvals of wakes, and what can come of each. Decided in ``moltnet.storage.plan_approvals``."""

from datetime import datetime

import attrs

from moltnet.protocol.approvals import Approval, ApprovalState
from moltnet.protocol.ids import AgentId, ApprovalId
from moltnet.protocol.times import Timestamp
from moltnet.storage.command import Command


@attrs.frozen
class ApprovalStored:
    """As it is now: new, or what became of it since somebody first asked."""

    approval: Approval
    created: bool


@attrs.frozen
class TooManyPending:
    """So many wakes of the agent wait for a decision already."""

    pending: int


@attrs.frozen
class AskerMissing:
    """The agent is not registered, or not any more."""

    agent_id: AgentId


@attrs.frozen
class RequestApproval(Command[ApprovalStored | TooManyPending | AskerMissing]):
    """Ask whether a wake may happen. Asked again, it is the same approval, whatever the second one says."""

    approval: Approval
    max_pending: int


@attrs.frozen
class ApprovalGiven:
    """It was pending, and is decided now."""

    approval: Approval


@attrs.frozen
class ApprovalSettled:
    """It was decided, or had expired, before. Nothing is changed."""

    approval: Approval


@attrs.frozen
class ApprovalMissing:
    approval_id: ApprovalId


@attrs.frozen
class DecideApproval(Command[ApprovalGiven | ApprovalSettled | ApprovalMissing]):
    """Decide a pending approval. Of several decisions the first counts; ``by`` names a credential."""

    approval_id: ApprovalId
    state: ApprovalState
    by: str
    note: str
    at: Timestamp


@attrs.frozen
class ApprovalsSwept:
    """How many expired, and how many were forgotten. If it is as many as might go, there may be more."""

    expired: int
    forgotten: int


@attrs.frozen
class SweepApprovals(Command[ApprovalsSwept]):
    """Let pending approvals expire whose time is over at ``at``, and forget those that were decided before.

    At most ``limit`` of each. ``decided_before`` is ``None`` if nothing is to be forgotten.
    """

    at: Timestamp
    decided_before: datetime | None
    limit: int


ApprovalCommand = RequestApproval | DecideApproval | SweepApprovals
ApprovalOutcome = (
    ApprovalStored | TooManyPending | AskerMissing | ApprovalGiven | ApprovalSettled | ApprovalMissing | ApprovalsSwept
)
