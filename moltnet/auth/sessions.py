"""Sessions of the console: their ids, and the credential that signed in (design §3.9).

A browser holds a random id in a cookie and never a token; what is stored is the hash of that id. The session is worth
what the very value that signed in is worth now: it ends with that value, with its own time, and by signing out.
"""

import hashlib
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Final

import attrs

from moltnet.auth.claims import Claims, CredentialKind

COOKIE: Final = "moltnet_session"
# Of the hash of a static token: enough to tell its values apart.
_VALUE_CHARACTERS: Final = 16
_ID_BYTES: Final = 32


@attrs.frozen
class Session:
    """A session that was opened. ``key`` names the credential and, of a static token, the value that signed in."""

    digest: str
    key: str
    expires_at: datetime


FindSession = Callable[[str], Session | None]


def no_session(_digest: str) -> Session | None:
    """Where nobody signs in."""
    return None


def new_session_id() -> str:
    """For the cookie; stored nowhere."""
    return secrets.token_urlsafe(_ID_BYTES)


def session_digest(session_id: str) -> str:
    """All that is stored of a session's id."""
    return hashlib.sha256(session_id.encode("utf-8", "surrogatepass")).hexdigest()


def session_key(claims: Claims) -> str:
    """What a session remembers of the credential that opened it."""
    if claims.kind is CredentialKind.STATIC:
        return f"{claims.key}@{claims.digest.hex()[:_VALUE_CHARACTERS]}"
    return claims.key


def is_behind(digest: bytes, key: str, session: Session) -> bool:
    """Whether a static token's value, by its hash, is the one that opened the session."""
    return session.key == f"{key}@{digest.hex()[:_VALUE_CHARACTERS]}"
