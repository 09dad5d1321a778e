"""One call of the HTTP API as its rules see it, whoever has read it from a socket: what is asked, and who asks.

``begin`` is what holds for every call, before any route looks at it. The methods of ``Call`` lead from the request's
headers to what its caller may do (HTTP API §2). No framework in here: Quart's routes, the front before them and the
fast lane all make one of these, so that there is one behaviour.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Final, TypeVar
from urllib.parse import parse_qsl

import attrs
import werkzeug.urls  # teaches ``parse_qsl`` to leave what is no text as it was written  # noqa: F401
from werkzeug.http import parse_cookie

from moltnet.app import App
from moltnet.auth.claims import Claims
from moltnet.auth.leases import Lease, Suffices
from moltnet.auth.sessions import cookie_name, session_digest
from moltnet.auth.tokens import InvalidCredential
from moltnet.config.settings import AuthMode, Scope
from moltnet.core.access import Viewer, require, viewer_of
from moltnet.core.errors import Forbidden, Unauthenticated, Unavailable
from moltnet.http.checks import check_accept, check_body
from moltnet.http.client_address import ClientAddress
from moltnet.http.entrance import (
    ALIVE_PATH,
    admitted,
    claims_of,
    look_for,
    nobody_can_say,
    require_host,
    require_origin,
)
from moltnet.http.exchange import Exchange
from moltnet.http.request_headers import RequestHeaders
from moltnet.protocol.codec import decode
from moltnet.protocol.errors import ErrorCode

T = TypeVar("T")
ReceiveBody = Callable[["Call"], Awaitable[bytes]]

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# Scopes that read everything.
READ: Final = (Scope.OBSERVE, Scope.ADMIN)

_AUTHORIZATION: Final = b"authorization"
_COOKIE: Final = b"cookie"
_BAD_TEXT: Final = "werkzeug.url_quote"


class HungUp(Exception):
    """The client left before its request was whole. Nobody is there to be answered."""


async def no_body(_call: "Call") -> bytes:
    return b""


@attrs.define(eq=False, slots=False)
class Call:
    """One request. ``path`` is decoded, ``query`` is not; ``receive_body`` waits for the whole body.

    ``is_session_over`` says that a cookie came with it whose session has ended.
    """

    app: App
    exchange: Exchange
    method: str
    path: str
    query: bytes
    headers: RequestHeaders
    receive_body: ReceiveBody = no_body
    is_session_over: bool = attrs.field(default=False, init=False)
    _claims: Claims | None = attrs.field(default=None, init=False)
    _was_alone: bool = attrs.field(default=False, init=False)

    @property
    def client(self) -> ClientAddress:
        """Where the request comes from, and by which address of ours."""
        return self.exchange.client

    @cached_property
    def args(self) -> Mapping[str, str]:
        """The parameters of the query; of one that comes twice the first counts."""
        if not self.query:
            return {}
        return dict(reversed(parse_qsl(self.query.decode(), keep_blank_values=True, errors=_BAD_TEXT)))

    async def read_body(self) -> bytes:
        """The whole body. Raises ``RateLimited`` if too many large ones have begun and not come whole, or answers 408,
        413 or 415."""
        data = await self.receive_body(self)
        if data:
            check_body(self.headers)
            self.check_again()
        return data

    async def read_json(self, kind: type[T]) -> T:
        """The body as a typed value. Raises ``DecodeError``, and as ``read_body`` does."""
        return decode(await self.read_body(), kind)

    def claims(self) -> Claims:
        """Who calls. Raises ``Unauthenticated`` for a credential that is no good; none at all is anonymous."""
        claims = self._claims
        if claims is None:
            claims = self._claims = self._identify()
            self.exchange.identified(claims)
        return claims

    def _identify(self) -> Claims:
        header = self.headers.get(_AUTHORIZATION) or ""
        if header.strip() or self.app.config.auth.mode is AuthMode.NONE or not (session_id := self.session_id):
            try:
                return claims_of(self.app, header)
            except Unauthenticated:
                self._check_that_others_were_asked()
                raise
        try:
            claims = self.app.authenticator.in_session(session_digest(session_id))
        except InvalidCredential:
            self._check_that_others_were_asked()
            # The browser sends it along with everything: what is public stays so after the session's end.
            self.is_session_over = True
            return claims_of(self.app, None)
        if self.method not in READING:
            self.require_own_page()
        return claims

    def _check_that_others_were_asked(self) -> None:
        """A credential is not called bad while nobody can say. Raises ``Unavailable``."""
        if self._was_alone:
            raise nobody_can_say()

    @property
    def session_id(self) -> str:
        """What the request's cookie holds; empty without one."""
        if _COOKIE not in self.headers:
            return ""
        with suppress(UnicodeDecodeError):  # bytes that are no text, which no cookie of ours has
            return parse_cookie(self.headers.all_of(_COOKIE, b";")).get(self.cookie_name, "")
        return ""

    @property
    def cookie_name(self) -> str:
        return cookie_name(self.app.context.id, is_secure=self.client.scheme == "https")

    def check_again(self) -> None:
        """After a body, which may have been long on its way: what the route knows of its caller still holds.

        Raises ``Unauthenticated``.
        """
        claims = self._claims
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
        source = self.client.source
        await look_for(self.app, source, authorization=authorization)
        return admitted(self.app, source, lambda: claims_of(self.app, authorization), presents=True)

    def require_own_page(self, *, if_any: bool = False) -> None:
        """Refuse a change that the page of somebody else made in our user's name; ``if_any``: or no page at all.

        Raises ``Forbidden``.
        """
        origin = self.headers.get(b"origin")
        if origin is None and not if_any:
            raise Forbidden(
                ErrorCode.ORIGIN_FORBIDDEN,
                "who changes something by the console's cookie must name its Origin; programs send a token instead",
            )
        require_origin(self.app, origin, self.client)

    async def admit(self) -> None:
        """Count the request, before any route looks at it. Raises ``RateLimited``."""
        source = self.client.source
        try:
            authorization = self.headers.get(_AUTHORIZATION)
            await look_for(self.app, source, authorization=authorization, session_id=self.session_id)
        except Unavailable:
            self._was_alone = True
        presents = _AUTHORIZATION in self.headers or _COOKIE in self.headers
        # A route that asks for a credential will say itself what is wrong with it; others do not care.
        with suppress(Unauthenticated, Unavailable):
            admitted(self.app, source, self.claims, presents=presents)

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


async def begin(call: Call) -> None:
    """What holds for each call that a route answers: what it takes, and all of ``admit``.

    Raises ``Refused``, or answers 406. Its path comes before.
    """
    check_accept(call.headers, call.path)
    await admit(call)


async def admit(call: Call) -> None:
    """What holds for each call: by which name it came, how often, from which page. Raises ``Refused``."""
    app, client = call.app, call.exchange.client
    require_host(app, client)
    if call.path != ALIVE_PATH:
        await call.admit()
    if app.config.auth.mode is AuthMode.NONE and call.method not in READING:
        # Nobody is asked for a token, so any web page that this machine's browser shows could write (design §3.8).
        require_origin(app, call.headers.get(b"origin"), client)
