"""Signing in to the console and out of it, and telling callers who they are (design §3.9)."""

from collections.abc import Iterator
from datetime import timedelta

from moltnet.auth.claims import Claims, CredentialKind
from moltnet.auth.sessions import new_session_id, session_digest, session_key
from moltnet.config.settings import Scope
from moltnet.core.access import agents_behind
from moltnet.core.errors import Conflict
from moltnet.core.network import NetworkContext
from moltnet.protocol import limits
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.sessions import WhoAmI
from moltnet.protocol.times import Timestamp, format_timestamp, parse_timestamp
from moltnet.storage.commands import CloseSessions, OpenSession
from moltnet.storage.records import StoredSession


async def sign_in(context: NetworkContext, claims: Claims, lifetime: timedelta) -> str:
    """Open a session for a credential that was just presented; returns its id, for the cookie.

    Raises ``Conflict`` in mode none, where there is nothing to sign in with, and ``StorageError``.
    """
    if claims.kind is CredentialKind.UNCHECKED:
        raise Conflict(
            ErrorCode.TOKENS_NOT_ASKED, "this network asks nobody for a token: there is nothing to sign in to"
        )
    now = context.clock()
    session_id = new_session_id()
    stored = StoredSession(
        session_digest(session_id), session_key(claims), format_timestamp(now), format_timestamp(now + lifetime)
    )
    await context.journal.commit(OpenSession(stored, closing=tuple(_to_close(context, stored.credential_key))))
    return session_id


async def sign_out(context: NetworkContext, session_id: str) -> None:
    """Forget a session; one that is not there is no error."""
    await context.journal.commit(CloseSessions((session_digest(session_id),)))


def who_am_i(context: NetworkContext, claims: Claims) -> WhoAmI:
    """What this network takes the caller for."""
    scopes = frozenset(Scope) if claims.kind is CredentialKind.UNCHECKED else claims.scopes
    agents = agents_behind(claims, context.directory) if claims.scopes else ()
    return WhoAmI(
        kind=claims.kind.value,
        credential_id=_credential_id(claims),
        scopes=tuple(sorted(scopes)),
        agents=tuple(sorted(agents)),
        signed_in=bool(claims.session),
        expires_at=Timestamp("") if claims.expires_at is None else format_timestamp(claims.expires_at),
    )


def _credential_id(claims: Claims) -> str:
    """The id of a static token. An agent's credential has none: its key is the hash of a secret."""
    return claims.key.partition(":")[2] if claims.kind is CredentialKind.STATIC else ""


def _to_close(context: NetworkContext, key: str) -> Iterator[str]:
    """Sessions that are over, and the oldest of this credential beyond what one may have."""
    now = context.clock()
    own = []
    for session in context.directory.sessions():
        if parse_timestamp(session.expires_at) <= now:
            yield session.digest
        elif session.credential_key == key:
            own.append(session)
    own.sort(key=lambda session: parse_timestamp(session.created_at))
    for session in own[: max(0, len(own) + 1 - limits.MAX_SESSIONS_PER_CREDENTIAL)]:
        yield session.digest
