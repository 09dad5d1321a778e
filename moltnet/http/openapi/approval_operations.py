"""Operations on approvals of wakes."""

from typing import Final

from moltnet.config.settings import Scope
from moltnet.http.openapi.operation import (
    ADMINS,
    Access,
    Link,
    Operation,
    Success,
    Tag,
    in_path,
    in_query,
    kept,
    paged,
)
from moltnet.http.openapi.schemas import ref
from moltnet.protocol.approvals import (
    Approval,
    ApprovalPage,
    ApprovalState,
    DecisionRequest,
    RequestApprovalRequest,
)
from moltnet.protocol.errors import ErrorCode

_AGENT_ID: Final = in_path("agent_id", "The agent, registered in this network.", "clerk", ref("AgentAddressInput"))
_APPROVAL_ID: Final = in_path("approval_id", "The approval.", "apr_0f9d7ac6a9aa4e0c8d2a58ccf2e1b0a7")
_READERS: Final = Access(
    (Scope.OBSERVE, Scope.ADMIN, Scope.ATTACH, Scope.WRITE),
    note="`observe` and `admin` see all, an agent its own.",
)
_ASKERS: Final = Access((Scope.ATTACH,), note="Who may attach as the agent.")
_DECISION: Final = {404: (ErrorCode.UNKNOWN_APPROVAL,), 409: (ErrorCode.APPROVAL_DECIDED,)}
# Who looks first writes down what has expired.
_READ: Final = {
    503: (ErrorCode.STORAGE_UNAVAILABLE, ErrorCode.STORAGE_FULL, ErrorCode.SHUTTING_DOWN),
}
_SHOW: Final = {"approval_id": "$response.body#/id"}

APPROVAL_OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "requestApproval",
        "POST",
        "/v1/agents/{agent_id}/approvals",
        Tag.APPROVALS,
        "Ask whether a message may wake an agent",
        _ASKERS,
        (
            Success(201, "It waits for a decision.", Approval),
            Success(200, "It was asked for before; this is what became of it.", Approval),
        ),
        description="A node asks where its file says `reply: manual`. Who asks again for the same agent and event gets "
        "the same approval. What it shows of the message is what the server knows.",
        parameters=(_AGENT_ID,),
        takes=RequestApprovalRequest,
        refusals={
            403: (ErrorCode.AGENT_NOT_ALLOWED,),
            404: (ErrorCode.UNKNOWN_AGENT, ErrorCode.UNKNOWN_EVENT),
            429: (ErrorCode.TOO_MANY_APPROVALS,),
        },
        links=(
            Link("showApproval", _SHOW, 201),
            Link("approveWake", _SHOW, 201),
        ),
    ),
    Operation(
        "listApprovals",
        "GET",
        "/v1/approvals",
        Tag.APPROVALS,
        "Approvals, newest first",
        _READERS,
        (kept("A page of approvals.", ApprovalPage),),
        description="Decided ones are kept for as long as events are.",
        parameters=(
            in_query(
                "state",
                "Only those in this state.",
                {"type": "string", "enum": ["", *map(str, ApprovalState)]},
                "pending",
            ),
            in_query("agent", "Only those of this agent.", ref("MemberInput"), "clerk"),
            *paged(),
        ),
        refusals={**_READ, 422: (ErrorCode.INVALID_FIELD,)},
    ),
    Operation(
        "showApproval",
        "GET",
        "/v1/approvals/{approval_id}",
        Tag.APPROVALS,
        "One approval",
        _READERS,
        (kept("The approval.", Approval),),
        description="One of an agent that is not the caller's is not found.",
        parameters=(_APPROVAL_ID,),
        refusals={**_READ, 404: (ErrorCode.UNKNOWN_APPROVAL,)},
    ),
    Operation(
        "approveWake",
        "POST",
        "/v1/approvals/{approval_id}/approve",
        Tag.APPROVALS,
        "Let a message wake the agent",
        ADMINS,
        (Success(200, "It is approved.", Approval),),
        description="The first decision counts. Who comes later, or after the approval expired, gets 409 and is told "
        "what it came to.",
        parameters=(_APPROVAL_ID,),
        takes=DecisionRequest,
        body_optional=True,
        refusals=_DECISION,
    ),
    Operation(
        "denyWake",
        "POST",
        "/v1/approvals/{approval_id}/deny",
        Tag.APPROVALS,
        "Let a message pass without waking the agent",
        ADMINS,
        (Success(200, "It is denied.", Approval),),
        description="As `approveWake`, with the other outcome.",
        parameters=(_APPROVAL_ID,),
        takes=DecisionRequest,
        body_optional=True,
        refusals=_DECISION,
    ),
)
