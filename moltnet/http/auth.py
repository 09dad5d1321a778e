"""From a request's headers to what its caller may do (HTTP API §2)."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

import attrs
from quart import g, request

from moltnet.app import App
from moltnet.auth.claims import ANONYMOUS, Claims
from moltnet.auth.leases import Lease, Suffices
from moltnet.auth.sessions import cookie_name, session_digest
from moltnet.auth.tokens import InvalidCredential
from moltnet.config.settings import AuthMode, Scope
from moltnet.core.access import Viewer, require, viewer_of
from moltnet.core.errors import Forbidden, Unauthenticated, Unavailable
from moltnet.http.client_address import NOBODY, ClientAddress
from moltnet.http.exchange import exchange_of
from moltnet.journal import JournalClosed
from moltnet.protocol.errors import ErrorCode
from moltnet.storage.store import StorageError

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@attrs.frozen
class Gate:
    """Asked by every route that is not open to all."""

    app: App

    async def look_for(self, source: str, *, authorization: str | None, session_id: str = "") -> None:
        """Before a credential is looked at: if it is not known here, another server may have given it just now.

        Raises ``RateLimited`` for who has shown too many that are no good, ``Unavailable`` if nobody can say.
        """
        if self.app.authenticator.may_be_new(authorization, session_digest(session_id) if session_id else ""):
            self.app.admission.check_guesses(source)
            try:
                await self.app.context.catch_up()
            except (StorageError, JournalClosed):
                raise _nobody_can_say() from None

    def claims(self) -> Claims:
        """Who calls. Raises ``Unauthenticated`` for a credential that is no good; none at all is anonymous."""
        claims: Claims | None = g.get("claims")
        if claims is None:
            claims = g.claims = self._claims()
            exchange_of(request.scope).identified(claims)
        return claims

    def _claims(self) -> Claims:
        header = request.headers.get("Authorization", "")
        if header.strip() or self.app.config.auth.mode is AuthMode.NONE or not (session_id := self.session_id):
            try:
                return self.claims_of(header)
            except Unauthenticated:
                self._check_that_others_were_asked()
                raise
        try:
            claims = self.app.authenticator.in_session(session_digest(session_id))
        except InvalidCredential:
            self._check_that_others_were_asked()
            # The browser sends it along with everything: what is public stays so after the session's end.
            g.session_is_over = True
            return self.claims_of(None)
        if request.method not in READING:
            self.require_own_page()
        return claims

    def _check_that_others_were_asked(self) -> None:
        """A credential is not called bad while nobody can say. Raises ``Unavailable``."""
        if g.get("was_alone", False):
            raise _nobody_can_say()

    @property
    def session_id(self) -> str:
        """What the request's cookie holds; empty without one."""
        return request.cookies.get(self.cookie_name, "")

    @property
    def cookie_name(self) -> str:
        return cookie_name(self.app.context.id, is_secure=self.client.scheme == "https")

    def check_again(self) -> None:
        """After a body, which may have been long on its way: what the route knows of its caller still holds.

        Raises ``Unauthenticated``.
        """
        claims: Claims | None = g.get("claims")
        if claims is None:
            return
        try:
            still = self.app.authenticator.renewed(claims)
        except InvalidCredential as error:
            raise Unauthenticated(ErrorCode.INVALID_TOKEN, str(error)) from None
        if still != claims:
            raise Unauthenticated(
                ErrorCode.INVALID_TOKEN, "the token was changed while the request was under way; send it again"
            )

    async def presented(self, token: str) -> Claims:
        """Who holds a token that came in a body. Raises ``Unauthenticated``, and as ``look_for`` does."""
        authorization = f"Bearer {token}"
        await self.look_for(self.client.source, authorization=authorization)
        return self.admitted(self.client.source, lambda: self.claims_of(authorization), presents=True)

    def require_own_page(self, *, if_any: bool = False) -> None:
        """Refuse a change that the page of somebody else made in our user's name; ``if_any``: or no page at all.

        Raises ``Forbidden``.
        """
        origin = request.headers.get("Origin")
        if origin is None and not if_any:
            raise Forbidden(
                ErrorCode.ORIGIN_FORBIDDEN,
                "who changes something by the console's cookie must name its Origin; programs send a token instead",
            )
        require_origin(self.app, origin, self.client)

    @property
    def client(self) -> ClientAddress:
        """Where the request comes from, and by which address of ours."""
        return exchange_of(request.scope).client

    async def admit(self) -> None:
        """Count the request, before any route looks at it. Raises ``RateLimited``."""
        source = self.client.source
        try:
            authorization = request.headers.get("Authorization")
            await self.look_for(source, authorization=authorization, session_id=self.session_id)
        except Unavailable:
            g.was_alone = True
        presents = "Authorization" in request.headers or "Cookie" in request.headers
        # A route that asks for a credential will say itself what is wrong with it; others do not care.
        with suppress(Unauthenticated, Unavailable):
            self.admitted(source, self.claims, presents=presents)

    def admitted(self, source: str, identify: Callable[[], Claims], *, presents: bool) -> Claims:
        """Who calls, after the call was counted; ``presents`` says that a credential comes with it.

        Raises ``RateLimited``, and ``Unauthenticated`` as ``identify`` does.
        """
        admission = self.app.admission
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

    def claims_of(self, authorization: str | None) -> Claims:
        """The same for a header of one's own, as an upgrade has it. Raises ``Unauthenticated``."""
        try:
            return self.app.authenticator.authenticate(authorization)
        except InvalidCredential as error:
            raise Unauthenticated(ErrorCode.INVALID_TOKEN, str(error)) from None

    def require(self, *any_of: Scope) -> Claims:
        """A caller that holds one of these scopes. Raises ``Unauthenticated``, ``Forbidden``."""
        claims = self.claims()
        require(claims, *any_of)
        return claims

    def reader(self, *any_of: Scope) -> tuple[Claims, Viewer]:
        """A caller that may read at least something: by scope, as an agent, or as the public."""
        claims = self.claims()
        viewer = viewer_of(claims, self.app.context.policy, self.app.context.directory)
        if viewer.sees_nothing:
            require(claims, *any_of)
        return claims, viewer

    def lease(self, claims: Claims, suffices: Suffices) -> Lease:
        """For a caller that goes on using its credential. Raises ``Unauthenticated`` if it has died meanwhile."""
        try:
            return self.app.leases.grant(claims, suffices)
        except InvalidCredential as error:
            raise Unauthenticated(ErrorCode.INVALID_TOKEN, str(error)) from None

    def network_reader(self) -> Claims:
        """A caller that may see the network's own document."""
        claims = self.claims()
        # What the public may see, a credential of whatever scope may see too.
        if not self.app.context.policy.anonymous_reads:
            require(claims, Scope.OBSERVE, Scope.ADMIN, Scope.PAIR, Scope.ATTACH)
        return claims


def _nobody_can_say() -> Unavailable:
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
