"""Who is let in: rules about a credential, a page or a name of ours that need no more of a request than those.

``Call`` asks them for the headers of a request, the gateway for those of an upgrade. No framework in here.
"""

from collections.abc import Callable
from typing import Final

from moltnet.app import App
from moltnet.auth.claims import ANONYMOUS, Claims
from moltnet.auth.sessions import session_digest
from moltnet.auth.tokens import InvalidCredential
from moltnet.config.settings import AuthMode
from moltnet.core.errors import Forbidden, Unauthenticated, Unavailable
from moltnet.http.client_address import NOBODY, ClientAddress
from moltnet.journal import JournalClosed
from moltnet.protocol.errors import ErrorCode
from moltnet.storage.store import StorageError

# Whoever looks after the process must not take a busy network for a dead one.
ALIVE_PATH: Final = "/healthz"


async def look_for(app: App, source: str, *, authorization: str | None, session_id: str = "") -> None:
    """Before a credential is looked at: if it is not known here, another server may have given it just now.

    Raises ``RateLimited`` for who has shown too many that are no good, ``Unavailable`` if nobody can say.
    """
    if app.authenticator.may_be_new(authorization, session_digest(session_id) if session_id else ""):
        app.admission.check_guesses(source)
        try:
            await app.context.catch_up()
        except (StorageError, JournalClosed):
            raise nobody_can_say() from None


def claims_of(app: App, authorization: str | None) -> Claims:
    """Who presents this header. Raises ``Unauthenticated``."""
    try:
        return app.authenticator.authenticate(authorization)
    except InvalidCredential as error:
        raise Unauthenticated(ErrorCode.INVALID_TOKEN, str(error)) from None


def admitted(app: App, source: str, identify: Callable[[], Claims], *, presents: bool) -> Claims:
    """Who calls, after the call was counted; ``presents`` says that a credential comes with it.

    Raises ``RateLimited``, and ``Unauthenticated`` as ``identify`` does.
    """
    admission = app.admission
    if presents:
        admission.check_guesses(source)
    try:
        claims = identify()
    except Unauthenticated:
        admission.note_failed_authentication(source)
        admission.admit_request(ANONYMOUS, source)
        raise
    except Unavailable:
        admission.admit_request(ANONYMOUS, source)
        raise
    admission.admit_request(claims, source)
    return claims


def nobody_can_say() -> Unavailable:
    return Unavailable(
        ErrorCode.STORAGE_UNAVAILABLE, "whether the credential is good can't be told at this moment; try again"
    )


def require_origin(app: App, origin: str | None, client: ClientAddress = NOBODY) -> None:
    """Refuse a web page that is not one of ours; programs other than browsers name no origin. Raises ``Forbidden``."""
    if not app.origins.permits(origin, client.origin):
        raise Forbidden(ErrorCode.ORIGIN_FORBIDDEN, "web pages of this origin are not let in; see allowed_origins")


def require_host(app: App, client: ClientAddress) -> None:
    """Where nobody is asked for a token, refuse a caller that reached us by a name that is not ours.

    Raises ``Forbidden``.
    """
    if app.config.auth.mode is not AuthMode.NONE or not client.names_host:
        return
    if not all(map(app.hosts.permits, client.host_names)):
        raise Forbidden(
            ErrorCode.HOST_FORBIDDEN,
            "this network is not known by that name; use localhost or an address, or add its origin to allowed_origins",
        )
