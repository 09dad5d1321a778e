"""Which proxy a connection takes, from ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY``.

The rules are those of most command line tools: the lower-case spelling wins, loopback is never proxied, and upper-case
``HTTP_PROXY`` does not count in a CGI process, where a request's ``Proxy:`` header could have set it. Only ``http://``
proxies are spoken to; ``https`` servers are reached through them by CONNECT, so the proxy sees no content.
"""

import base64
import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

import attrs

from moltnet.client.address import ServerAddress, endpoint
from moltnet.client.errors import BadServerAddress

_DEFAULT_PORT: Final = 80


@attrs.frozen
class Proxy:
    """An HTTP proxy. ``authorization`` is the value of a ``Proxy-Authorization`` header, or empty."""

    host: str
    port: int
    authorization: str = attrs.field(default="", repr=False)

    def __str__(self) -> str:
        return endpoint(self.host, self.port)


def find_proxy(server: ServerAddress, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy for connections to ``server``; ``None`` for a direct one.

    Raises:
        BadServerAddress: the variable that applies does not hold an ``http://`` URL.
    """
    if server.is_this_host or _is_exempt(server, _setting(environ, "no_proxy")):
        return None
    name = f"{server.scheme}_proxy"
    text = _setting(environ, name)
    return _parse(text, name.upper()) if text else None


def _parse(text: str, name: str) -> Proxy:
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        host, port = url.hostname, url.port
    except ValueError as error:
        raise BadServerAddress(f"{name} does not hold a valid URL") from error
    if url.scheme != "http" or not host or not host.isascii() or not host.isprintable():
        raise BadServerAddress(f"{name} must be the http:// URL of a proxy")
    authorization = ""
    if url.username is not None:
        pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
        authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return Proxy(host, port or _DEFAULT_PORT, authorization)


def _setting(environ: Mapping[str, str], name: str) -> str:
    text = environ.get(name, "")
    if not text and not (name == "http_proxy" and "REQUEST_METHOD" in environ):
        text = environ.get(name.upper(), "")
    return text.strip()


def _is_exempt(server: ServerAddress, no_proxy: str) -> bool:
    return any(_covers(entry.strip().lower(), server) for entry in no_proxy.split(",") if entry.strip())


def _covers(entry: str, server: ServerAddress) -> bool:
    """Whether an entry of ``NO_PROXY`` means this server: ``*``, a name and what is under it, an address, a network."""
    if entry == "*":
        return True
    address = _ip(server.host)
    if address is not None:
        network = _network(entry)
        return entry == server.endpoint or (network is not None and address in network)
    name, _, port = entry.partition(":")
    if port and port != str(server.port):
        return False
    name = name.removeprefix("*").removeprefix(".")
    return server.host == name or server.host.endswith(f".{name}")


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
