"""The life of agents' own tokens after the claim: listing, replacing and revoking them.

Tokens of the config file live and die there; ``moltnet.reload`` takes over what changed.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from moltnet.auth.claims import ANONYMOUS_KEY, NOBODY_KEY, Claims, CredentialKind
from moltnet.auth.tokens import AGENT_PREFIX, STATIC_PREFIX, agent_key, key_fingerprint, new_agent_token
from moltnet.config.settings import AuthMode, Scope, TokenSettings
from moltnet.core.access import require
from moltnet.core.errors import Conflict, NotFound
from moltnet.core.network import NetworkContext
from moltnet.core.pages import id_page_json, merged_keys, unknown_cursor
from moltnet.log import get_logger
from moltnet.protocol.agents import AgentRegistration
from moltnet.protocol.credentials import AgentCredential, ConfiguredToken, Holder
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.identity import parse_address
from moltnet.protocol.ids import AgentId
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.times import Timestamp, format_timestamp
from moltnet.storage.commands import AgentMissing, ChangeCredential, CredentialChanged, CredentialElsewhere
from moltnet.storage.records import StoredAgent

log = get_logger("auth")


def list_credentials(context: NetworkContext, claims: Claims, page: PageRequest) -> bytes:
    """By what each agent is held, by id, as JSON: all of them for an administrator, its own for an agent.

    Raises ``Unauthenticated``, ``Forbidden``, and ``Invalid`` for a foreign cursor.
    """
    if claims.kind is not CredentialKind.AGENT:
        require(claims, Scope.ADMIN)
    ids = sorted(claims.agents) if claims.kind is CredentialKind.AGENT else context.directory.known_ids()
    cursor = page.before or page.after
    if cursor and (cursor not in ids or context.directory.agent(cursor) is None):
        raise unknown_cursor(page)
    return id_page_json("credentials", _described(context, merged_keys(ids, page=page)), page)


def list_tokens(context: NetworkContext, tokens: Iterable[TokenSettings], page: PageRequest) -> bytes:
    """The tokens of the config file, by id, as JSON: what they are good for, never what they are.

    Raises ``Invalid`` for a foreign cursor.
    """
    by_id = {token.id: token for token in tokens}
    cursor = page.before or page.after
    if cursor and cursor not in by_id:
        raise unknown_cursor(page)
    now = context.clock()
    found = (_configured(by_id[id], now) for id in merged_keys(sorted(by_id), page=page))
    return id_page_json("tokens", found, page)


def _configured(token: TokenSettings, now: datetime) -> ConfiguredToken:
    ends = token.previous_expires_at
    return ConfiguredToken(
        id=token.id,
        scopes=tuple(sorted(token.scopes)),
        agents=token.agents,
        network=token.network or "",
        expires_at=_time(token.expires_at),
        is_expired=token.expires_at is not None and token.expires_at <= now,
        is_rotating=token.previous_value is not None and (ends is None or ends > now),
        previous_expires_at=_time(ends),
    )


def _time(moment: datetime | None) -> Timestamp:
    return Timestamp("") if moment is None else format_timestamp(moment)


async def replace_token(context: NetworkContext, agent_id: str, claims: Claims) -> AgentRegistration:
    """Give an agent a new token, which this answer shows and nothing ever again. The old credential stops at once.

    For the agent itself and for administrators. Of two at the same time one fails with ``Conflict``. Raises
    ``Refused``, ``StorageError``. Cancelled, the new token may be in force without anybody who knows it.
    """
    token = new_agent_token()
    agent = await _change(context, agent_id, claims, agent_key(token))
    log.info("agent token replaced", agent_id=agent.id, by=_author(claims))
    return agent.registration.with_token(token)


async def revoke_token(context: NetworkContext, agent_id: str, claims: Claims) -> AgentCredential:
    """Leave an agent to nobody, until an administrator replaces its token. It stays registered, and a member.

    For the agent itself and for administrators. Raises ``Refused``, ``StorageError``.
    """
    agent = await _change(context, agent_id, claims, NOBODY_KEY)
    log.info("agent token revoked", agent_id=agent.id, by=_author(claims))
    return describe_credential(agent)


def describe_credential(agent: StoredAgent) -> AgentCredential:
    key = agent.credential_key
    return AgentCredential(
        agent_id=agent.id,
        holder=_holder(key),
        created_at=agent.registration.created_at,
        updated_at=agent.registration.updated_at,
        fingerprint=key_fingerprint(key),
        token_id=key.removeprefix(STATIC_PREFIX) if key.startswith(STATIC_PREFIX) else "",
    )


def _described(context: NetworkContext, agent_ids: Iterator[str]) -> Iterator[AgentCredential]:
    agents = (context.directory.agent(agent_id) for agent_id in agent_ids)
    return (describe_credential(agent) for agent in agents if agent is not None)


def _holder(key: str) -> Holder:
    if key.startswith(AGENT_PREFIX):
        return Holder.AGENT_TOKEN
    if key.startswith(STATIC_PREFIX):
        return Holder.CONFIGURED_TOKEN
    return {ANONYMOUS_KEY: Holder.ANYBODY, NOBODY_KEY: Holder.NOBODY}.get(key, Holder.UNKNOWN)


async def _change(context: NetworkContext, agent_id: str, claims: Claims, credential_key: str) -> StoredAgent:
    address = parse_address(agent_id, context.id)
    known = context.directory.agent(address.agent_id) if address.network_id == context.id else None
    its_own = claims.kind is CredentialKind.AGENT and known is not None and known.credential_key == claims.key
    if not its_own:
        require(claims, Scope.ADMIN)
    if context.policy.mode is AuthMode.NONE:
        raise Conflict(ErrorCode.TOKENS_NOT_ASKED, "this network asks nobody for a token: its auth.mode is none")
    if known is None:
        raise NotFound(ErrorCode.UNKNOWN_AGENT, f'unknown agent "{agent_id}"')
    if (declared := context.terms.declared_agents.get(known.id)) is not None:
        raise Conflict(
            ErrorCode.AGENT_DECLARED,
            f'the config file gives agent "{known.id}" to the token "{declared}": change that token\'s value there',
        )
    command = ChangeCredential(AgentId(known.id), known.credential_key, credential_key, context.now())
    outcome = await context.journal.commit(command)
    match outcome:
        case CredentialChanged(agent=agent):
            return agent
        case CredentialElsewhere():
            raise Conflict(
                ErrorCode.CREDENTIAL_CHANGED, f'the credential of agent "{known.id}" has just been changed by another'
            )
        case AgentMissing():
            raise NotFound(ErrorCode.UNKNOWN_AGENT, f'unknown agent "{agent_id}"')


def _author(claims: Claims) -> str:
    return "itself" if claims.kind is CredentialKind.AGENT else claims.key
