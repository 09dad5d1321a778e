"""Sessions of the console: their ids, and the credential that signed in (design §3.9).

A browser holds a random id in a cookie and never a token; what is stored is the hash of that id. The session is worth
what the very value that signed in is worth now: it ends with that value, with its own time, and by signing out.
"""

import functools
import hashlib
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Final

import attrs

from moltnet.auth.claims import Claims, CredentialKind

# How the names of all cookies with a session begin.
COOKIE: Final = "moltnet_session"
_NETWORK_CHARACTERS: Final = 8
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


@functools.lru_cache(maxsize=8)
def cookie_name(network_id: str, *, is_secure: bool) -> str:
    """The cookie of one network: a browser sends what one port of a host has set to all of them.

    Over HTTPS it is one that no other host of the same domain can plant (``__Host-``, RFC 6265bis §4.1.3).
    """
    name = f"{COOKIE}_{hashlib.sha256(network_id.encode()).hexdigest()[:_NETWORK_CHARACTERS]}"
    return f"__Host-{name}" if is_secure else name


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
