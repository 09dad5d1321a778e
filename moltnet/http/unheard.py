"""Telling the operator of what may be a proxy that nobody has named to us: its callers then count as one."""

import attrs

from moltnet.http.client_address import ClientAddress
from moltnet.log import get_logger
from moltnet.protocol import limits

log = get_logger("server")


@attrs.frozen(eq=False)
class UnheardProxies:
    """Those of one server that were told of."""

    _told: set[str] = attrs.field(factory=set, init=False)

    def look_at(self, client: ClientAddress) -> None:
        """Warn once for each, and not for ever: anybody nearby can say to be a proxy."""
        if client.is_unheard and client.ip not in self._told and len(self._told) < limits.MAX_PROXIES:
            self._told.add(client.ip)
            text = "if this is a proxy, name it in server.trusted_proxies: its callers count as one"
            log.warning(text, address=client.ip)
