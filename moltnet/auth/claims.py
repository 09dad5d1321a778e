"""What a credential proves: its kind, its key, its scopes, and the agents it may act as (auth §2 to §4)."""

from datetime import datetime
from enum import Enum
from typing import Final

import attrs

from moltnet.config.settings import Scope
from moltnet.protocol.ids import AgentId, NetworkId


class CredentialKind(Enum):
    """How a caller showed who it is."""

    UNCHECKED = "unchecked"
    """Mode ``none``: nobody is asked, everybody may."""
    ANONYMOUS = "anonymous"
    STATIC = "static"
    AGENT = "agent"


ANONYMOUS_KEY: Final = "anonymous"
# Owns the agents whose token was revoked. No credential has this key, so nobody can be it.
NOBODY_KEY: Final = "nobody"


@attrs.frozen
class Claims:
    """What one caller may do. ``key`` identifies the owner of agents; ``agents`` empty means any agent.

    ``network`` binds a pair token to one remote network. ``digest`` is the SHA-256 of the static token that was
    presented, which of two under one id; a claims object never holds the token itself. ``expires_at`` is aware.
    ``session`` is the digest of the console's session, if one stands for the credential.
    """

    kind: CredentialKind
    key: str = ANONYMOUS_KEY
    scopes: frozenset[Scope] = frozenset()
    agents: frozenset[AgentId] = frozenset()
    network: NetworkId | None = None
    digest: bytes = attrs.field(default=b"", repr=False)
    expires_at: datetime | None = None
    session: str = ""

    def has(self, *any_of: Scope) -> bool:
        """Whether the caller holds at least one of these scopes. Mode ``none`` holds all."""
        return self.kind is CredentialKind.UNCHECKED or not self.scopes.isdisjoint(any_of)

    @property
    def observes(self) -> bool:
        """Sees everything: ``observe`` or ``admin``."""
        return self.has(Scope.OBSERVE, Scope.ADMIN)

    @property
    def may_write_as_admin(self) -> bool:
        return self.scopes.issuperset({Scope.ADMIN, Scope.WRITE})

    def may_act_as(self, agent_id: str) -> bool:
        """Whether the credential's own list of agents allows this one."""
        return not self.agents or agent_id in self.agents


UNCHECKED: Final = Claims(CredentialKind.UNCHECKED)
ANONYMOUS: Final = Claims(CredentialKind.ANONYMOUS)
