"""Operations on credentials: agents' own tokens, and taking over a changed config file."""

from typing import Final

from moltnet.config.settings import Scope
from moltnet.http.openapi.operation import ADMINS, STORED, Access, Operation, Success, Tag, in_path, kept, paged
from moltnet.http.openapi.schemas import ref
from moltnet.protocol.administration import ReloadResult
from moltnet.protocol.agents import AgentRegistration
from moltnet.protocol.credentials import AgentCredential, CredentialPage, TokenPage
from moltnet.protocol.errors import ErrorCode

_AGENT_ID: Final = in_path("agent_id", "The agent, registered in this network.", "clerk", ref("AgentAddressInput"))
_ITSELF: Final = Access(
    (Scope.ADMIN, Scope.ATTACH, Scope.WRITE),
    note="`admin`, and the agent itself with the token that the server made for it.",
)
_CHANGES: Final = {
    404: (ErrorCode.UNKNOWN_AGENT,),
    409: (ErrorCode.AGENT_DECLARED, ErrorCode.CREDENTIAL_CHANGED, ErrorCode.TOKENS_NOT_ASKED),
}

CREDENTIAL_OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "listCredentials",
        "GET",
        "/v1/credentials",
        Tag.AGENTS,
        "By which credential each agent is held, by id",
        _ITSELF,
        (kept("A page of credentials, without their values.", CredentialPage),),
        description="An agent sees its own, an administrator all of them.",
        parameters=paged(),
    ),
    Operation(
        "replaceAgentToken",
        "POST",
        "/v1/agents/{agent_id}/token",
        Tag.AGENTS,
        "Give an agent a new token",
        _ITSELF,
        (Success(200, "The registration, with the new token, which is shown once.", AgentRegistration),),
        description="What held the agent before stops at once: its attachments and streams are closed, the caller's "
        "own too. Of two requests at the same time one gets 409. An agent that the configuration gives to a token "
        "keeps that one.",
        parameters=(_AGENT_ID,),
        refusals=_CHANGES,
    ),
    Operation(
        "revokeAgentToken",
        "DELETE",
        "/v1/agents/{agent_id}/token",
        Tag.AGENTS,
        "Revoke the token of an agent",
        _ITSELF,
        (Success(200, "Nobody holds the agent now.", AgentCredential),),
        description="The agent stays registered and a member of its rooms; nobody can act as it until an administrator "
        "gives it a new token.",
        parameters=(_AGENT_ID,),
        refusals=_CHANGES,
    ),
    Operation(
        "listTokens",
        "GET",
        "/v1/tokens",
        Tag.ADMINISTRATION,
        "Tokens of the configuration, by id",
        ADMINS,
        (kept("A page of tokens, without their values.", TokenPage),),
        description="Those that the server goes by, since its last start or reload. Tokens that it made for agents are "
        "in `listCredentials`.",
        parameters=paged({"type": "string"}),
    ),
    Operation(
        "reload",
        "POST",
        "/v1/admin/reload",
        Tag.ADMINISTRATION,
        "Take over the changed configuration file",
        ADMINS,
        (Success(200, "It is in force.", ReloadResult),),
        description="All of it or nothing: a file with problems (422), or one that changes what only a restart can "
        "(409), changes nothing. Attachments and streams whose credential still holds go on.",
        refusals={409: (ErrorCode.NEEDS_RESTART,), 422: (ErrorCode.CONFIG_INVALID,), **STORED},
    ),
)
