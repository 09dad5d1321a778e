"""Bearer tokens: hashing them, generating agents' own, and finding what a presented one stands for (auth §2, §4)."""

import hashlib
import hmac
import re
import secrets
from typing import Final

import attrs

from moltnet.auth.claims import Claims, CredentialKind
from moltnet.config.secrets import AGENT_TOKEN_PREFIX
from moltnet.config.settings import Scope
from moltnet.protocol.ids import AgentId, NetworkId

_AGENT_TOKEN: Final = re.compile(r"magt_v1_[A-Za-z0-9_-]{43}")
_SCHEME: Final = "Bearer "


class InvalidCredential(Exception):
    """A credential was presented and is not good. It never counts as none."""


@attrs.frozen
class StaticToken:
    """A token from the config file: the SHA-256 of its value, never the value."""

    id: str
    digest: bytes = attrs.field(repr=False)
    scopes: frozenset[Scope]
    agents: frozenset[AgentId] = frozenset()
    network: NetworkId | None = None

    @property
    def claims(self) -> Claims:
        return Claims(CredentialKind.STATIC, static_key(self.id), self.scopes, self.agents, self.network)


def token_digest(value: str) -> bytes:
    return hashlib.sha256(value.strip().encode()).digest()


def static_key(token_id: str) -> str:
    return f"token:{token_id}"


def agent_key(token: str) -> str:
    """The credential key of a generated agent token: all that is stored of it."""
    return f"agent-token:{token_digest(token).hex()}"


def new_agent_token() -> str:
    """``magt_v1_`` and 32 random bytes. Shown once to the agent, stored nowhere."""
    return AGENT_TOKEN_PREFIX + secrets.token_urlsafe(32)


def is_agent_token(text: str) -> bool:
    return _AGENT_TOKEN.fullmatch(text) is not None


def bearer_token(header: str | None) -> str | None:
    """The token of an ``Authorization`` header; ``None`` if there is no header. Raises ``InvalidCredential``."""
    if header is None or not header.strip():
        return None
    header = header.strip()
    if not header.startswith(_SCHEME) or not header[len(_SCHEME) :].strip():
        raise InvalidCredential('the Authorization header must read "Bearer <token>"')
    return header[len(_SCHEME) :].strip()


@attrs.frozen
class TokenTable:
    """The static tokens of a network, in the order of the config file."""

    tokens: tuple[StaticToken, ...] = ()

    def find(self, token: str) -> StaticToken | None:
        """The first token with this value. Takes the same time whichever matches, or none."""
        digest = token_digest(token)
        found = [candidate for candidate in self.tokens if hmac.compare_digest(candidate.digest, digest)]
        return found[0] if found else None
