"""From a request's headers to what its caller may do (HTTP API §2)."""

import attrs
from quart import request

from moltnet.app import App
from moltnet.auth.claims import Claims
from moltnet.auth.tokens import InvalidCredential
from moltnet.config.settings import Scope
from moltnet.core.access import Viewer, require, viewer_of
from moltnet.core.errors import Forbidden, Unauthenticated
from moltnet.protocol.errors import ErrorCode


@attrs.frozen
class Gate:
    """Asked by every route that is not open to all."""

    app: App

    def claims(self) -> Claims:
        """Who calls. Raises ``Unauthenticated`` for a credential that is no good; none at all is anonymous."""
        return self.claims_of(request.headers.get("Authorization"))

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

    def network_reader(self) -> Claims:
        """A caller that may see the network's own document."""
        claims = self.claims()
        # What the public may see, a credential of whatever scope may see too.
        if not self.app.context.policy.anonymous_reads:
            require(claims, Scope.OBSERVE, Scope.ADMIN, Scope.PAIR, Scope.ATTACH)
        return claims


def require_origin(app: App, origin: str | None) -> None:
    """Refuse a web page that is not one of ours; programs other than browsers name no origin. Raises ``Forbidden``."""
    if not app.origins.permits(origin):
        raise Forbidden(ErrorCode.ORIGIN_FORBIDDEN, "web pages of this origin are not let in; see allowed_origins")
