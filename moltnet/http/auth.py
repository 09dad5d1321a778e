"""The gate of Quart's routes: the rules of ``moltnet.http.call`` for the request that is being handled."""

import attrs

from moltnet.app import App
from moltnet.auth.claims import Claims
from moltnet.auth.leases import Lease, Suffices
from moltnet.config.settings import Scope
from moltnet.core.access import Viewer
from moltnet.http.client_address import ClientAddress
from moltnet.http.current import current_call
from moltnet.http.entrance import claims_of


@attrs.frozen
class Gate:
    """Asked by every route that is not open to all. Each method does and raises what that of ``Call`` does."""

    app: App

    def claims(self) -> Claims:
        return current_call().claims()

    def claims_of(self, authorization: str | None) -> Claims:
        """Who presents a header of one's own. Raises ``Unauthenticated``."""
        return claims_of(self.app, authorization)

    @property
    def session_id(self) -> str:
        return current_call().session_id

    @property
    def cookie_name(self) -> str:
        return current_call().cookie_name

    async def presented(self, token: str) -> Claims:
        return await current_call().presented(token)

    def require_own_page(self, *, if_any: bool = False) -> None:
        current_call().require_own_page(if_any=if_any)

    @property
    def client(self) -> ClientAddress:
        return current_call().client

    def require(self, *any_of: Scope) -> Claims:
        return current_call().require(*any_of)

    def reader(self, *any_of: Scope) -> tuple[Claims, Viewer]:
        return current_call().reader(*any_of)

    def lease(self, claims: Claims, suffices: Suffices) -> Lease:
        return current_call().lease(claims, suffices)

    def network_reader(self) -> Claims:
        return current_call().network_reader()
