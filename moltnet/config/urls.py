"""Addresses in configuration files: base URLs of networks and runtimes, browser origins, what a server listens on.

Nothing here resolves a name or opens a connection.
"""

import ipaddress
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import SplitResult, urlsplit

import attrs

from moltnet.config.limits import DEFAULT_PORT, MAX_PORT

HTTP_SCHEMES: Final = ("http", "https")
WEBSOCKET_SCHEMES: Final = ("ws", "wss")
LOOPBACK_HOST: Final = "127.0.0.1"

_HOST_NAME: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_WILDCARD_HOSTS: Final = ("", "0.0.0.0", "::")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def url_problem(text: str, schemes: Sequence[str] = HTTP_SCHEMES) -> str | None:
    """Why ``text`` is not a URL with a host that we could call, as a phrase that follows the field's name."""
    url = _split(text)
    if url is None or any(ord(character) < 0x21 or ord(character) == 0x7F for character in text):
        return "is not a valid URL"
    if url.scheme not in schemes:
        return f"must start with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    if not url.hostname or not _is_host(url.hostname):
        return "needs a host"
    if url.username is not None or url.password is not None:
        return "must not hold a user or password; URLs are logged"
    return None


def base_url(text: str) -> str:
    """A valid URL in the form that paths are appended to: no query, no fragment, no slash at the end."""
    url = urlsplit(text)
    return url._replace(query="", fragment="", path=url.path.rstrip("/")).geturl()


def origin_problem(text: str) -> str | None:
    """Why ``text`` cannot match a browser's ``Origin``, as a phrase that follows the field's name."""
    if "*" in text:
        return "must not be a wildcard; list every origin"
    if (problem := url_problem(text)) is not None:
        return problem
    url = urlsplit(text)
    if url.path not in ("", "/") or url.query or url.fragment:
        return "must be scheme://host[:port] only"
    return None


def origin(text: str) -> str:
    """A valid origin as browsers send it: lower case, without slash and without the scheme's own port."""
    url = urlsplit(text.lower())
    own_port = f":{_DEFAULT_PORTS[url.scheme]}"
    return f"{url.scheme}://{url.netloc.removesuffix(own_port)}"


@attrs.frozen
class ListenAddress:
    """Where a server accepts connections. An empty ``host`` means every interface, port 0 any free port."""

    host: str
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect. A name other than ``localhost`` may resolve to anything."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_wildcard(self) -> bool:
        return self.host in _WILDCARD_HOSTS


def parse_listen_address(text: str) -> ListenAddress:
    """``:8787``, ``host:8787`` or ``[::1]:8787``. Raises ``ValueError`` with a phrase that follows the field's name."""
    host, colon, port = text.strip().rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > MAX_PORT:
        raise ValueError(f"must be host:port or :port, with a port of 0 to {MAX_PORT}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise ValueError("may have brackets around an IPv6 address only")
    elif ":" in host:
        raise ValueError("needs brackets around an IPv6 address, as in [::1]:8787")
    if host and not _is_host(host):
        raise ValueError("does not name a host or an IP address")
    return ListenAddress(host, int(port))


def derived_origins(address: ListenAddress) -> tuple[str, ...]:
    """The browser origins of a server that is not told any: its own pages, opened on this machine or by its host.

    A caller that listens on port 0 asks again with the port it was given.
    """
    hosts = ["localhost", LOOPBACK_HOST]
    if not address.is_wildcard:
        hosts.append(f"[{address.host}]" if ":" in address.host else address.host.lower())
    return tuple(
        dict.fromkeys(origin(f"{scheme}://{host}:{address.port}") for host in hosts for scheme in HTTP_SCHEMES)
    )


def _split(text: str) -> SplitResult | None:
    try:
        url = urlsplit(text)
        _ = url.port  # parsed here, and out of range is a ValueError
    except ValueError:
        return None
    return url


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return len(host) <= 253 and _HOST_NAME.fullmatch(host) is not None
    return True
