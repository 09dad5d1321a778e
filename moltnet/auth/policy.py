"""Which modes a network runs in, and from a presented credential to claims (auth §1, §2).

What claims allow is decided in ``moltnet.core.access`` and ``moltnet.core.senders``.
"""

from collections.abc import Callable
from typing import Final

import attrs

from moltnet.auth.claims import ANONYMOUS, UNCHECKED, Claims, CredentialKind
from moltnet.auth.sessions import FindSession, Session, is_behind, no_session
from moltnet.auth.tokens import InvalidCredential, TokenTable, agent_key, bearer_token, is_agent_token
from moltnet.config.settings import AuthMode, Registration, Scope
from moltnet.protocol.ids import AgentId
from moltnet.protocol.times import WallClock, utc_now

EXPIRED: Final = "the token has expired; ask the operator for a new one"
REVOKED: Final = "the token was revoked"
SIGNED_OUT: Final = "the session has ended; sign in again"


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


@attrs.frozen(eq=False)
class Authenticator:
    """Turns an ``Authorization`` header, or a session of the console, into claims.

    ``agents_of`` looks up who owns an agent token's key, ``find_session`` a session by the digest of its id.

    Nothing in it changes: a reload makes another one, so that switches and tokens are never of two files.
    """

    policy: AuthPolicy
    tokens: TokenTable
    agents_of: Callable[[str], frozenset[AgentId]]
    clock: WallClock = utc_now
    find_session: FindSession = no_session

    def authenticate(self, authorization: str | None) -> Claims:
        """Raises ``InvalidCredential`` for anything presented that is not good; nothing presented is ``ANONYMOUS``."""
        if self.policy.mode is AuthMode.NONE:
            return UNCHECKED
        token = bearer_token(authorization)
        if token is None:
            return ANONYMOUS
        static = self.tokens.find(token)
        if static is not None:
            return self._unexpired(static.claims)
        if is_agent_token(token):
            key = agent_key(token)
            agents = self.agents_of(key)
            if agents:
                return agent_claims(key, agents)
        raise InvalidCredential("the token is not valid on this network")

    def may_be_new(self, authorization: str | None, session: str) -> bool:
        """Whether a credential is presented that we don't know and that is none of the file's: its header, or the
        digest of a session's id, which counts where there is no header."""
        if self.policy.mode is AuthMode.NONE:
            return False
        try:
            token = bearer_token(authorization)
        except InvalidCredential:
            return False
        if token is None:
            return bool(session) and self.find_session(session) is None
        return is_agent_token(token) and self.tokens.find(token) is None and not self.agents_of(agent_key(token))

    def renewed(self, claims: Claims) -> Claims:
        """What the credential behind ``claims`` allows now, for whoever goes on using it without presenting it again.

        Raises ``InvalidCredential`` if it is good no more; the text says why, for its holder.
        """
        if claims.session:
            return self.in_session(claims.session)
        match claims.kind:
            case CredentialKind.STATIC:
                static = self.tokens.find_digest(claims.digest)
                if static is None or static.claims.key != claims.key:
                    raise InvalidCredential(REVOKED)
                return self._unexpired(static.claims)
            case CredentialKind.AGENT:
                agents = self.agents_of(claims.key)
                if not agents:
                    raise InvalidCredential(REVOKED)
                return agent_claims(claims.key, agents)
            case _:
                return claims

    def in_session(self, digest: str) -> Claims:
        """What the credential that opened a session is worth now. Raises ``InvalidCredential`` if either is over."""
        session = self.find_session(digest)
        if session is None or session.expires_at <= self.clock():
            raise InvalidCredential(SIGNED_OUT)
        claims = self._unexpired(self._behind(session))
        ends = (session.expires_at, claims.expires_at or session.expires_at)
        return attrs.evolve(claims, session=digest, expires_at=min(ends))

    def _behind(self, session: Session) -> Claims:
        for static in self.tokens.tokens:
            if is_behind(static.digest, static.claims.key, session):
                return static.claims
        agents = self.agents_of(session.key)
        if not agents:
            raise InvalidCredential(REVOKED)
        return agent_claims(session.key, agents)

    def _unexpired(self, claims: Claims) -> Claims:
        if claims.expires_at is not None and claims.expires_at <= self.clock():
            raise InvalidCredential(EXPIRED)
        return claims


def agent_claims(key: str, agents: frozenset[AgentId]) -> Claims:
    """What the holder of a generated token may do: attach and write, as its agent."""
    return Claims(CredentialKind.AGENT, key, frozenset({Scope.WRITE, Scope.ATTACH}), agents)
