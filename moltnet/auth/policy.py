"""Which modes a network runs in, and from a presented credential to claims (auth §1, §2).

What claims allow is decided in ``moltnet.core.access`` and ``moltnet.core.senders``.
"""

from collections.abc import Callable

import attrs

from moltnet.auth.claims import ANONYMOUS, UNCHECKED, Claims, CredentialKind
from moltnet.auth.tokens import InvalidCredential, TokenTable, agent_key, bearer_token, is_agent_token
from moltnet.config.settings import AuthMode, Registration, Scope
from moltnet.protocol.ids import AgentId


@attrs.frozen
class AuthPolicy:
    """The switches of ``auth`` and ``server`` that decide access. Mode ``open`` implies the two public ones."""

    mode: AuthMode = AuthMode.NONE
    public_read: bool = False
    registration: Registration = Registration.DISABLED
    human_ingress: bool = True
    direct_messages: bool = True

    @property
    def anonymous_reads(self) -> bool:
        """Whether callers without a credential may read public rooms."""
        return self.mode is AuthMode.OPEN or (self.mode is not AuthMode.NONE and self.public_read)

    @property
    def effective_registration(self) -> Registration:
        return Registration.OPEN if self.mode is AuthMode.OPEN else self.registration

    @property
    def advertised_public_read(self) -> bool:
        return self.mode is AuthMode.OPEN or self.public_read


@attrs.define(eq=False)
class Authenticator:
    """Turns an ``Authorization`` header into claims. ``agents_of`` looks up who owns an agent token's key."""

    policy: AuthPolicy
    tokens: TokenTable
    agents_of: Callable[[str], frozenset[AgentId]]

    def authenticate(self, authorization: str | None) -> Claims:
        """Raises ``InvalidCredential`` for anything presented that is not good; nothing presented is ``ANONYMOUS``."""
        if self.policy.mode is AuthMode.NONE:
            return UNCHECKED
        token = bearer_token(authorization)
        if token is None:
            return ANONYMOUS
        static = self.tokens.find(token)
        if static is not None:
            return static.claims
        if is_agent_token(token):
            key = agent_key(token)
            agents = self.agents_of(key)
            if agents:
                scopes = frozenset({Scope.WRITE, Scope.ATTACH})
                return Claims(CredentialKind.AGENT, key, scopes, agents)
        raise InvalidCredential("the token is not valid on this network")
