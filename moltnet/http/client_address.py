"""Who calls, and by which address: the peer of the connection, or what a trusted proxy in front of us says of it.

Only ``X-Forwarded-For``, ``-Proto`` and ``-Host`` count, and only from a peer in ``server.trusted_proxies``.
``Forwarded`` (RFC 7239) is not read: a proxy that sets one kind and hands on the other as it came would let every
caller choose its address. What is told here serves limits, origins and logs; what a caller may do is decided by its
credential.
"""

import functools
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from moltnet.http.request_headers import RequestHeaders
from moltnet.protocol.limits import CACHED_ADDRESSES, MAX_PROXIES

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

# The prefix that a provider gives to one customer: within it an address costs nothing.
IPV6_CUSTOMER_BITS: Final = 64

_SCHEMES: Final = ("http", "https")
_NAMES: Final = (b"host", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host")
_HOST: Final = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_.])?|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?")
_PORT: Final = re.compile(r":[0-9]+$")
_WITH_PORT: Final = re.compile(r"\[([0-9A-Fa-f:.]{2,45})\](?::[0-9]{1,5})?|([0-9.]{7,15}):[0-9]{1,5}")


@attrs.frozen
class ClientAddress:
    """One caller, as seen from outside of our proxies.

    ``ip`` is in its shortest form, empty if the connection has none (a Unix socket). ``scheme`` is ``http`` or
    ``https``. ``host`` is what the caller's URL has, ``name[:port]`` in lower case; empty if it was not told or is
    garbage, which ``names_host`` tells apart. ``named_host`` is the same of whoever connected to us: the proxy, or
    somebody on its machine who pretends to be one. ``is_forwarded`` says that a trusted proxy told the address,
    ``is_unheard`` that somebody nearby did, perhaps a proxy that nobody has named to us.
    """

    ip: str = ""
    scheme: str = "http"
    host: str = ""
    named_host: str = ""
    names_host: bool = False
    is_forwarded: bool = False
    is_unheard: bool = False

    @property
    def source(self) -> str:
        """What limits count by: the address, or for IPv6 its /64, all of which one customer has."""
        return source_of(self.ip)

    @property
    def origin(self) -> str:
        """Our own address as that caller's browser writes it in ``Origin``; empty if the host is not known."""
        own_port = ":443" if self.scheme == "https" else ":80"
        return f"{self.scheme}://{self.host.removesuffix(own_port)}" if self.host else ""

    @property
    def host_names(self) -> frozenset[str]:
        """The names that were used to reach us: without a port, without brackets around an IPv6 address."""
        return frozenset(map(_without_port, (self.host, self.named_host)))


NOBODY: Final = ClientAddress()


def client_of(scope: Mapping[str, Any], trusted: Sequence[IpNetwork] = ()) -> ClientAddress:
    """The caller of an ASGI request or WebSocket; ``trusted`` are the networks of our proxies.

    Whatever the headers hold, this answers; it raises nothing.
    """
    peer = str((scope.get("client") or ("",))[0])
    scheme = "https" if scope.get("scheme") in ("https", "wss") else "http"
    headers = RequestHeaders.of(field for field in scope["headers"] if field[0] in _NAMES)
    return client_at(peer, scheme, headers, trusted)


def client_at(peer_text: str, scheme: str, headers: RequestHeaders, trusted: Sequence[IpNetwork]) -> ClientAddress:
    """The caller whose connection comes from ``peer_text``, as ``client_of``."""
    peer = parse_ip(peer_text)
    hosts = headers.every(b"host")
    host = _checked_host(hosts[0].decode("latin-1")) if len(hosts) == 1 else ""
    ip = "" if peer is None else str(peer)
    forwarded_for = headers.every(b"x-forwarded-for")
    if not is_trusted(peer, trusted):
        is_unheard = bool(forwarded_for) and peer is not None and peer.is_private
        return ClientAddress(ip, scheme, host, host, names_host=bool(hosts), is_unheard=is_unheard)
    address, hops = _behind_proxies(_items(forwarded_for), trusted)
    told_scheme = _told_at(hops, _items(headers.every(b"x-forwarded-proto"))).lower()
    told_host = _checked_host(_told_at(hops, _items(headers.every(b"x-forwarded-host"))))
    return ClientAddress(
        ip if address is None else str(address),
        told_scheme if told_scheme in _SCHEMES else scheme,
        told_host or host,
        host,
        names_host=bool(hosts),
        is_forwarded=address is not None,
    )


@functools.lru_cache(CACHED_ADDRESSES)
def parse_ip(text: str) -> IpAddress | None:
    """An address as a socket or a proxy writes it, perhaps with a port; ``None`` if it is none.

    An IPv4 address in IPv6 clothes is the IPv4 address.
    """
    match = _WITH_PORT.fullmatch(text)
    try:
        address = ipaddress.ip_address((match[1] or match[2]) if match else text.partition("%")[0])
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, ipaddress.IPv6Address) else address


@functools.lru_cache(CACHED_ADDRESSES)
def source_of(ip: str) -> str:
    """What limits count by. See ``ClientAddress.source``."""
    if ":" not in ip:
        return ip
    network = ipaddress.ip_network((ip, IPV6_CUSTOMER_BITS), strict=False)
    return str(network)


def is_trusted(address: IpAddress | None, trusted: Sequence[IpNetwork]) -> bool:
    """Whether one of ``trusted`` has this address. Who comes without one, over a Unix socket, is on this machine."""
    if address is None:
        return any(network.is_loopback for network in trusted)
    return any(address in network for network in trusted)


def connection_source(peer: str, trusted: Sequence[IpNetwork]) -> str:
    """What limits of connections count by; empty for a proxy of ours, behind which there may be anybody."""
    address = parse_ip(peer)
    return "" if address is None or is_trusted(address, trusted) else source_of(str(address))


def _behind_proxies(told: Sequence[str], trusted: Sequence[IpNetwork]) -> tuple[IpAddress | None, int]:
    """The nearest address that no trusted proxy has, and how many proxies stand before it (at least one).

    Each proxy adds its peer on the right. What stands left of the first address that we do not trust was said by
    somebody whom we do not trust; the same goes for what is no address.
    """
    client: IpAddress | None = None
    hops = 1
    for hops, text in enumerate(reversed(told[-MAX_PROXIES:]), start=1):
        address = parse_ip(text)
        if address is None:
            return client, max(1, hops - 1)
        client = address
        if not is_trusted(address, trusted):
            break
    return client, hops


def _told_at(hops: int, told: Sequence[str]) -> str:
    """What the outermost trusted proxy said: as many from the right as there are proxies, or the only one there is."""
    return told[-min(hops, len(told))] if told else ""


def _items(values: Iterable[bytes]) -> Sequence[str]:
    """The items of a list header, in order; a header that comes twice is one list."""
    return [item.strip().strip('"') for value in values for item in value.decode("latin-1").split(",")]


def _without_port(host: str) -> str:
    return (host if host.endswith("]") else _PORT.sub("", host)).strip("[]")


def _checked_host(text: str) -> str:
    lower = text.lower()
    return lower if _HOST.fullmatch(lower) else ""
