"""Deciding about approvals: asked for once, decided once, expired in time, forgotten one day.

Each change comes with an event about the agent, in the same transaction.
"""

import attrs

from moltnet.protocol.approvals import Approval, ApprovalState
from moltnet.protocol.events import Event, EventType
from moltnet.protocol.times import Timestamp, parse_timestamp
from moltnet.storage.approval_commands import (
    ApprovalGiven,
    ApprovalMissing,
    ApprovalSettled,
    ApprovalsSwept,
    ApprovalStored,
    AskerMissing,
    DecideApproval,
    RequestApproval,
    SweepApprovals,
    TooManyPending,
)
from moltnet.storage.draft import Draft
from moltnet.storage.records import EventRecord, StoredApproval, microseconds


def request_approval(draft: Draft, command: RequestApproval) -> ApprovalStored | TooManyPending | AskerMissing:
    wanted = command.approval
    if wanted.agent_id not in draft.facts.agents:
        return AskerMissing(wanted.agent_id)
    known = draft.facts.approvals.get(wanted.id)
    if known is not None:
        return ApprovalStored(_up_to_date(draft, known, wanted.requested_at).approval, created=False)
    pending = draft.facts.pending_approvals.get(wanted.agent_id, 0)
    if pending >= command.max_pending:
        return TooManyPending(pending)
    record = _report(draft, EventType.APPROVAL_REQUESTED, wanted, wanted.requested_at)
    draft.keep_approval(StoredApproval(record.seq, wanted))
    draft.facts.pending_approvals[wanted.agent_id] = pending + 1
    return ApprovalStored(wanted, created=True)


def decide_approval(draft: Draft, command: DecideApproval) -> ApprovalGiven | ApprovalSettled | ApprovalMissing:
    known = draft.facts.approvals.get(command.approval_id)
    if known is None:
        return ApprovalMissing(command.approval_id)
    known = _up_to_date(draft, known, command.at)
    if known.approval.is_decided:
        return ApprovalSettled(known.approval)
    decided = attrs.evolve(
        known.approval, state=command.state, decided_at=command.at, decided_by=command.by, note=command.note
    )
    return ApprovalGiven(_settle(draft, known, decided, command.at).approval)


def sweep_approvals(draft: Draft, command: SweepApprovals) -> ApprovalsSwept:
    facts = draft.facts
    due_us = microseconds(parse_timestamp(command.at))
    due = [facts.approvals.get(stored.id, stored) for stored in facts.due_approvals]
    due = [stored for stored in due if not stored.approval.is_decided and stored.moment_us <= due_us]
    for stored in due[: command.limit]:
        _expire(draft, stored, command.at)
    old = []
    if command.decided_before is not None:
        before_us = microseconds(command.decided_before)
        old = [stored for stored in facts.old_approvals if stored.moment_us < before_us][: command.limit]
        gone = {stored.id for stored in old}
        facts.old_approvals = [stored for stored in facts.old_approvals if stored.id not in gone]
        for stored in old:
            draft.forget_approval(stored.id)
    return ApprovalsSwept(min(len(due), command.limit), len(old))


def _up_to_date(draft: Draft, known: StoredApproval, at: Timestamp) -> StoredApproval:
    """What an approval is at that moment: one whose time is over expires now, whoever looks first."""
    if known.approval.is_decided or known.moment_us > microseconds(parse_timestamp(at)):
        return known
    return _expire(draft, known, at)


def _expire(draft: Draft, known: StoredApproval, at: Timestamp) -> StoredApproval:
    expired = attrs.evolve(known.approval, state=ApprovalState.EXPIRED, decided_at=known.approval.expires_at)
    return _settle(draft, known, expired, at)


def _settle(draft: Draft, known: StoredApproval, decided: Approval, at: Timestamp) -> StoredApproval:
    _report(draft, EventType.APPROVAL_DECIDED, decided, at)
    settled = attrs.evolve(known, approval=decided)
    draft.keep_approval(settled)
    pending = draft.facts.pending_approvals
    if decided.agent_id in pending:
        pending[decided.agent_id] -= 1
    return settled


def _report(draft: Draft, kind: EventType, approval: Approval, at: Timestamp) -> EventRecord:
    event = Event(id=draft.new_id(), type=kind, network_id=draft.network_id, created_at=at, approval=approval)
    return draft.record_event(event)
