"""Bearer tokens: hashing them, generating agents' own, and finding what a presented one stands for (auth §2, §4)."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import attrs

from moltnet.auth.claims import Claims, CredentialKind
from moltnet.config.secrets import AGENT_TOKEN_PREFIX
from moltnet.config.settings import Scope
from moltnet.protocol.ids import AgentId, NetworkId

STATIC_PREFIX: Final = "token:"
AGENT_PREFIX: Final = "agent-token:"
# Enough to tell two credentials apart, far too little to find either.
FINGERPRINT_CHARACTERS: Final = 8
_AGENT_TOKEN: Final = re.compile(r"magt_v1_[A-Za-z0-9_-]{43}")
_SCHEME: Final = "Bearer "


class InvalidCredential(Exception):
    """A credential was presented and is not good, any more or at all. It never counts as none."""


@attrs.frozen
class StaticToken:
    """One value of a token of the config file: its SHA-256, never the value itself.

    While a token rotates there are two with the same ``id``, which is what owns agents. ``expires_at`` is aware.
    """

    id: str
    digest: bytes = attrs.field(repr=False)
    scopes: frozenset[Scope]
    agents: frozenset[AgentId] = frozenset()
    network: NetworkId | None = None
    expires_at: datetime | None = None

    claims: Claims = attrs.field(init=False, repr=False, eq=False)

    @claims.default
    def _claims_of(self) -> Claims:
        return Claims(
            CredentialKind.STATIC,
            static_key(self.id),
            self.scopes,
            self.agents,
            self.network,
            self.digest,
            self.expires_at,
        )


def token_digest(value: str) -> bytes:
    # A header can hold what is no text. It hashes to something that no token has.
    return hashlib.sha256(value.strip().encode("utf-8", "surrogatepass")).digest()


def static_key(token_id: str) -> str:
    return STATIC_PREFIX + token_id


def agent_key(token: str) -> str:
    """The credential key of a generated agent token: all that is stored of it."""
    return AGENT_PREFIX + token_digest(token).hex()


def key_fingerprint(key: str) -> str:
    """The first characters of the hash of an agent's token; empty for a key of another kind."""
    return key.removeprefix(AGENT_PREFIX)[:FINGERPRINT_CHARACTERS] if key.startswith(AGENT_PREFIX) else ""


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
    _by_digest: Mapping[bytes, StaticToken] = attrs.field(init=False, repr=False, eq=False)

    @_by_digest.default
    def _index(self) -> Mapping[bytes, StaticToken]:
        return {token.digest: token for token in reversed(self.tokens)}

    def find(self, token: str) -> StaticToken | None:
        """The first token with this value.

        How long it takes tells nothing of a value: what is looked up is a hash, which nobody can choose byte by byte.
        """
        return self.find_digest(token_digest(token))

    def find_digest(self, digest: bytes) -> StaticToken | None:
        """The same for the hash of a value."""
        found = self._by_digest.get(digest)
        return found if found is not None and hmac.compare_digest(found.digest, digest) else None
