"""Who a message is from: may this caller speak as this actor, and how is the actor recorded (auth §6, §7; design §3.6).

Pure: claims, policy and the directory in, an ``Actor`` with server-set fields out, or a refusal.
"""

import attrs

from moltnet.auth.claims import Claims, CredentialKind
from moltnet.auth.policy import AuthPolicy
from moltnet.config.settings import AuthMode, Scope
from moltnet.core.errors import Conflict, Forbidden, Unauthenticated
from moltnet.directory import Directory
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.identity import AgentAddress, is_qualified, parse_address
from moltnet.protocol.ids import NetworkId
from moltnet.protocol.messages import AGENT, HUMAN, Actor, MessageOrigin


@attrs.frozen
class Sender:
    """A proven sender."""

    actor: Actor
    address: AgentAddress


def prove_sender(
    claimed: Actor, origin: MessageOrigin, claims: Claims, policy: AuthPolicy, directory: Directory
) -> Sender:
    """The sender of a trimmed request. Raises ``Unauthenticated``, ``Forbidden``, ``Conflict``."""
    local = directory.network_id
    address = _claimed_address(claimed, local)
    if claimed.type == HUMAN and not policy.human_ingress:
        raise Forbidden(ErrorCode.HUMAN_INGRESS_DISABLED, "human ingress is disabled for this network")
    if origin.network_id and origin.network_id != local:
        _check_relayed(claimed, address, NetworkId(origin.network_id), claims, directory)
        return Sender(_actor(claimed, address, claimed.name), address)
    if address.network_id != local:
        raise Forbidden(
            ErrorCode.REMOTE_ACTOR_FORBIDDEN,
            f'"{address.fqid}" belongs to another network; only that network\'s pair token may send as it',
        )
    if claimed.type == HUMAN:
        _check_human(address, claims, policy, directory)
        return Sender(_actor(claimed, address, claimed.name), address)
    _check_agent(address, claims, policy, directory)
    registered = directory.agent(address.agent_id)
    name = claimed.name if registered is None else registered.registration.display_name
    return Sender(_actor(claimed, address, name), address)


def _claimed_address(claimed: Actor, local: NetworkId) -> AgentAddress:
    if is_qualified(claimed.id):
        return parse_address(claimed.id, local)
    if claimed.fqid and (named := parse_address(claimed.fqid, local)).network_id != local:
        return AgentAddress(named.network_id, parse_address(claimed.id, local).agent_id)
    return parse_address(claimed.id, NetworkId(claimed.network_id) if claimed.network_id else local)


def _actor(claimed: Actor, address: AgentAddress, name: str) -> Actor:
    return Actor(
        type=claimed.type or AGENT,
        id=address.agent_id,
        name=name,
        network_id=address.network_id,
        fqid=address.fqid,
    )


def spoken_for(claims: Claims, directory: Directory) -> NetworkId | None:
    """The network that a pair token belongs to: the file says so, or its first message did; ``None`` before that."""
    return claims.network or directory.pair_network(claims.key)


def _check_relayed(
    claimed: Actor, address: AgentAddress, origin: NetworkId, claims: Claims, directory: Directory
) -> None:
    """A message from another network: its pair token, and an actor of that same network in every field."""
    if claims.kind is CredentialKind.ANONYMOUS:
        raise Unauthenticated(ErrorCode.UNAUTHORIZED, "relaying a message needs a token with scope pair")
    if Scope.PAIR not in claims.scopes:
        raise Forbidden(ErrorCode.REMOTE_ACTOR_FORBIDDEN, "relaying a message needs a token with scope pair")
    bound = spoken_for(claims, directory)
    if bound not in (None, origin):
        raise wrong_network(bound, origin)
    unnamed = NetworkId("")
    named = {claimed.network_id, address.network_id, parse_address(claimed.fqid or f"{origin}:x", unnamed).network_id}
    if named != {origin}:
        raise Forbidden(
            ErrorCode.REMOTE_ACTOR_FORBIDDEN,
            f'the sender must belong to the network of origin "{origin}" in all its fields',
        )


def wrong_network(bound: NetworkId | None, origin: NetworkId) -> Forbidden:
    """The refusal of a pair token that speaks for ``bound``, with a message from ``origin``."""
    return Forbidden(ErrorCode.REMOTE_ACTOR_FORBIDDEN, f'this pair token belongs to network "{bound}", not "{origin}"')


def _check_human(address: AgentAddress, claims: Claims, policy: AuthPolicy, directory: Directory) -> None:
    if policy.mode is AuthMode.NONE:
        return
    if claims.kind is CredentialKind.ANONYMOUS:
        raise Unauthenticated(ErrorCode.UNAUTHORIZED, "sending as a human needs a token with scope write")
    if claims.kind is CredentialKind.AGENT or not claims.has(Scope.WRITE):
        raise Forbidden(ErrorCode.MISSING_SCOPE, "sending as a human needs an operator's token with scope write")
    if claims.agents:
        raise Forbidden(ErrorCode.AGENT_NOT_ALLOWED, "this token may send only as its agents, not as a human")
    registered = directory.agent(address.agent_id)
    if registered is not None and not claims.may_write_as_admin:
        raise Conflict(ErrorCode.AGENT_OWNED_BY_OTHER, f'"{address.agent_id}" is an agent; a human needs another id')


def _check_agent(address: AgentAddress, claims: Claims, policy: AuthPolicy, directory: Directory) -> None:
    agent_id = address.agent_id
    if claims.kind is CredentialKind.ANONYMOUS:
        raise Unauthenticated(ErrorCode.UNAUTHORIZED, "sending needs a token")
    if not claims.has(Scope.WRITE):
        raise Forbidden(ErrorCode.MISSING_SCOPE, "sending as an agent of this network needs a token with scope write")
    if not claims.may_act_as(agent_id):
        raise Forbidden(ErrorCode.AGENT_NOT_ALLOWED, f'this token may not send as agent "{agent_id}"')
    registered = directory.agent(agent_id)
    if registered is None:
        if policy.mode is AuthMode.NONE or claims.may_write_as_admin:
            return
        refusal = Unauthenticated if policy.mode is AuthMode.OPEN else Forbidden
        raise refusal(
            ErrorCode.AGENT_NOT_REGISTERED,
            f'agent "{agent_id}" must be registered before it sends: attach it, or POST /v1/agents/register',
        )
    if registered.credential_key != claims.key and not claims.may_write_as_admin:
        raise Conflict(ErrorCode.AGENT_OWNED_BY_OTHER, f'agent "{agent_id}" is registered with other credentials')
