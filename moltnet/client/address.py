"""Where a server is: its base URL, taken apart once."""

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import attrs

from moltnet.client.errors import BadServerAddress
from moltnet.config.urls import base_url, url_problem

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@attrs.frozen
class ServerAddress:
    """A base URL. ``prefix`` is the path in front of ``/v1/…``, without a slash at its end; often empty."""

    scheme: str
    host: str
    port: int
    prefix: str = ""

    @property
    def is_tls(self) -> bool:
        return self.scheme == "https"

    @property
    def is_this_host(self) -> bool:
        """Whether it is on the loopback interface, by name or number."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def authority(self) -> str:
        """``host``, or ``host:port`` if the port is not the scheme's own; IPv6 in brackets."""
        own_port = self.port == _DEFAULT_PORTS[self.scheme]
        return self.endpoint.removesuffix(f":{self.port}") if own_port else self.endpoint

    @property
    def endpoint(self) -> str:
        """``host:port``, always with the port."""
        return endpoint(self.host, self.port)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.prefix}"


def endpoint(host: str, port: int) -> str:
    """``host:port``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_server_address(text: str) -> ServerAddress:
    """``https://chat.example.org:8443/moltnet/`` to a ``ServerAddress``.

    Raises:
        BadServerAddress: not ``http`` or ``https``, no host, or a user name or password, which would end up in logs.
    """
    text = text.strip()
    if (problem := url_problem(text)) is not None:
        raise BadServerAddress(f"the server's address {problem}")
    url = urlsplit(base_url(text))
    assert url.hostname is not None
    return ServerAddress(url.scheme, url.hostname, url.port or _DEFAULT_PORTS[url.scheme], url.path)
