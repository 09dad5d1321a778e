"""Approvals: an agent's node asks before it wakes the agent, and an operator decides (design §3.19).

What follows from a request or a decision, also of two at once, is decided in ``moltnet.storage.plan_approvals``.
"""

from datetime import datetime, timedelta

import attrs

from moltnet.auth.claims import Claims, CredentialKind
from moltnet.config.settings import Scope
from moltnet.core.access import agents_behind, attached_viewer, can_see, require
from moltnet.core.errors import Conflict, Forbidden, Invalid, NotFound, RateLimited
from moltnet.core.network import NetworkContext
from moltnet.core.pages import stored_page_json, unknown_cursor
from moltnet.log import get_logger
from moltnet.protocol import limits
from moltnet.protocol.approvals import (
    Approval,
    ApprovalPage,
    ApprovalState,
    DecisionRequest,
    RequestApprovalRequest,
    approval_id_of,
)
from moltnet.protocol.codec import Problem, decode
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.events import Event, EventType
from moltnet.protocol.identity import AgentAddress, member_problem, parse_address
from moltnet.protocol.ids import AgentId, ApprovalId, is_id
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.times import Timestamp, format_timestamp
from moltnet.storage.approval_commands import (
    ApprovalGiven,
    ApprovalMissing,
    ApprovalSettled,
    ApprovalStored,
    AskerMissing,
    DecideApproval,
    RequestApproval,
    SweepApprovals,
    TooManyPending,
)
from moltnet.storage.limits import MAX_PRUNED_ROWS
from moltnet.storage.records import ApprovalFilter, EventRecord, StoredApproval, StoredPage, microseconds
from moltnet.storage.store import UnknownCursor

log = get_logger("approvals")


async def request_approval(
    context: NetworkContext, agent_id: str, request: RequestApprovalRequest, claims: Claims
) -> tuple[Approval, bool]:
    """Ask whether a message may wake an agent; the flag tells whether it was not asked before.

    Asked again, the answer is what became of the first request. For who may attach as the agent. Raises ``Refused``,
    ``StorageError``.
    """
    address = _check_may_ask(context, agent_id, claims)
    request = request.trimmed()
    if problems := request.problems():
        raise Invalid.from_problems(problems)
    known = await context.store.approval(approval_id_of(address.agent_id, request.event_id))
    now = context.clock()
    if known is None:
        wanted = await _new_approval(context, address, request, claims, now)
    else:
        # Its message may be forgotten by now. Only if the approval went in between, this is what is stored.
        wanted = attrs.evolve(known.approval, requested_at=format_timestamp(now))
        wanted = attrs.evolve(wanted, state=ApprovalState.PENDING, decided_at=Timestamp(""), decided_by="", note="")
    outcome = await context.journal.commit(RequestApproval(wanted, limits.MAX_PENDING_APPROVALS))
    match outcome:
        case ApprovalStored(approval=approval, created=created):
            if created:
                log.info("approval asked for", approval_id=approval.id, agent_id=approval.agent_id)
            return approval, created
        case TooManyPending(pending=pending):
            raise RateLimited(
                f'{pending} wakes of agent "{address.agent_id}" wait for a decision already',
                retry_after_seconds=limits.RETRY_APPROVAL_SECONDS,
                code=ErrorCode.TOO_MANY_APPROVALS,
            )
        case AskerMissing():
            raise NotFound(ErrorCode.UNKNOWN_AGENT, f'unknown agent "{agent_id}"')


async def decide_approval(
    context: NetworkContext, approval_id: str, state: ApprovalState, request: DecisionRequest, claims: Claims
) -> Approval:
    """Approve or deny. The first decision counts, for good: whoever comes later gets ``Conflict``, which says so.

    For administrators. Raises ``Refused``, ``StorageError``.
    """
    require(claims, Scope.ADMIN)
    request = request.trimmed()
    if problems := request.problems():
        raise Invalid.from_problems(problems)
    if not is_id(approval_id):
        raise _unknown(approval_id)
    command = DecideApproval(ApprovalId(approval_id), state, claims.key, request.note, context.now())
    outcome = await context.journal.commit(command)
    match outcome:
        case ApprovalGiven(approval=approval):
            log.info(
                "approval decided", approval_id=approval.id, agent_id=approval.agent_id, state=state, by=claims.key
            )
            return approval
        case ApprovalSettled(approval=approval):
            raise Conflict(ErrorCode.APPROVAL_DECIDED, _outcome_text(approval))
        case ApprovalMissing():
            raise _unknown(approval_id)


async def show_approval(context: NetworkContext, approval_id: str, claims: Claims) -> Approval:
    """One approval. One of an agent that is not the caller's is not found. Raises ``Refused``, ``StorageError``."""
    _check_may_read(context, claims)
    while True:
        found = await context.store.approval(ApprovalId(approval_id))
        if found is None or not _may_see(context, claims, found.approval):
            raise _unknown(approval_id)
        if not _is_over(context, found.approval):
            return found.approval
        await _let_expire(context)


async def list_approvals(
    context: NetworkContext, state: str, agent_id: str, claims: Claims, page: PageRequest
) -> bytes:
    """A page of approvals as JSON, the newest first: all of them for who observes, an agent's own for the agent.

    Raises ``Refused``, ``StorageError``.
    """
    _check_may_read(context, claims)
    if state and state not in frozenset(ApprovalState):
        problem = f"must be one of {', '.join(ApprovalState)}"
        raise Invalid.from_problems([Problem("$.state", problem)])
    if agent_id and (unusable := member_problem(agent_id)) is not None:
        raise Invalid.from_problems([Problem("$.agent", unusable)])
    wanted = ApprovalFilter(_wanted_agents(context, agent_id, claims), state)
    while True:
        found = await _page(context, wanted, page)
        approvals = decode(b'{"approvals":[' + b",".join(found.items) + b"]}", ApprovalPage).approvals
        if not any(_is_over(context, approval) for approval in approvals):
            return stored_page_json("approvals", found, page)
        await _let_expire(context)


async def _page(context: NetworkContext, wanted: ApprovalFilter, page: PageRequest) -> StoredPage:
    try:
        return await context.store.approval_page(wanted, page)
    except UnknownCursor:
        raise unknown_cursor(page) from None


def _check_may_ask(context: NetworkContext, agent_id: str, claims: Claims) -> AgentAddress:
    """Who may attach as the agent may ask for it."""
    require(claims, Scope.ATTACH)
    address = parse_address(agent_id, context.id)
    if address.network_id != context.id:
        raise NotFound(ErrorCode.UNKNOWN_AGENT, f'agent "{agent_id}" is woken in its own network')
    known = context.directory.agent(address.agent_id)
    its_own = claims.kind is CredentialKind.UNCHECKED or (known is not None and known.credential_key == claims.key)
    if not claims.may_act_as(address.agent_id) or (known is not None and not its_own and not claims.has(Scope.ADMIN)):
        raise Forbidden(ErrorCode.AGENT_NOT_ALLOWED, f'this token may not ask for agent "{agent_id}"')
    if known is None:
        raise NotFound(ErrorCode.UNKNOWN_AGENT, f'unknown agent "{agent_id}"')
    return address


async def _new_approval(
    context: NetworkContext, address: AgentAddress, request: RequestApprovalRequest, claims: Claims, now: datetime
) -> Approval:
    """What is asked, with the message's facts as the server has them: the asker could tell the operator anything."""
    record = await _event(context, request.event_id)
    viewer = attached_viewer(claims, context.policy, address)
    message = None if record is None else decode(record.wire, Event).message
    if record is None or message is None or not can_see(viewer, record, context.policy, context.directory):
        raise NotFound(ErrorCode.UNKNOWN_EVENT, f'no message is known with event "{request.event_id}", or not any more')
    agent_id = AgentId(address.agent_id)
    return Approval(
        id=approval_id_of(agent_id, record.id),
        agent_id=agent_id,
        event_id=record.id,
        message_id=record.message_id,
        state=ApprovalState.PENDING,
        requested_at=format_timestamp(now),
        expires_at=format_timestamp(now + timedelta(seconds=request.expires_in_seconds)),
        sender=record.sender,
        target=message.target,
        reason=request.reason,
    )


async def _event(context: NetworkContext, event_id: str) -> EventRecord | None:
    seq = await context.store.event_seq(event_id)
    records = [] if seq is None else await context.store.events_after(seq - 1, 1)
    found = next(iter(records), None)
    return found if found is not None and (found.id, found.type) == (event_id, EventType.MESSAGE_CREATED) else None


def _wanted_agents(context: NetworkContext, agent_id: str, claims: Claims) -> tuple[AgentId, ...] | None:
    own = agents_behind(claims, context.directory)
    if not agent_id:
        return None if claims.observes else tuple(sorted(own))
    wanted = AgentId(parse_address(agent_id, context.id).local_or_scoped(context.id))
    if not claims.observes and wanted not in own:
        raise Forbidden(
            ErrorCode.MISSING_SCOPE, "approvals are for the agent itself, and for tokens with scope observe or admin"
        )
    return (wanted,)


def _check_may_read(context: NetworkContext, claims: Claims) -> None:
    acts = claims.has(Scope.ATTACH, Scope.WRITE) and agents_behind(claims, context.directory)
    if not acts:
        require(claims, Scope.OBSERVE, Scope.ADMIN)


def _may_see(context: NetworkContext, claims: Claims, approval: Approval) -> bool:
    return claims.observes or approval.agent_id in agents_behind(claims, context.directory)


def _is_over(context: NetworkContext, approval: Approval) -> bool:
    # As a sweep sees it, also where a backup from elsewhere holds what is no time.
    return not approval.is_decided and StoredApproval(0, approval).moment_us <= microseconds(context.clock())


async def _let_expire(context: NetworkContext) -> None:
    """Write down what has expired, before anybody is shown that it waits."""
    await context.journal.commit(SweepApprovals(context.now(), decided_before=None, limit=MAX_PRUNED_ROWS))


def _outcome_text(approval: Approval) -> str:
    if approval.state is ApprovalState.EXPIRED:
        return f'approval "{approval.id}" expired at {approval.expires_at}; the agent was not woken'
    return f'approval "{approval.id}" was {approval.state} at {approval.decided_at} by {approval.decided_by}'


def _unknown(approval_id: str) -> NotFound:
    return NotFound(ErrorCode.UNKNOWN_APPROVAL, f'unknown approval "{approval_id}"')
