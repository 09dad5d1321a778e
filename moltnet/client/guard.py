"""Which addresses a name may lead to: a guard against being sent to our own machine, network or cloud by others.

A name is looked up once, every address that it has is checked, and the connection goes to a checked address: what the
name means a moment later does not count.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import attrs
import trio

from moltnet.client.errors import ClientError

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""The numeric addresses of a host and port. Raises ``OSError``."""

# Services of cloud providers that answer every machine inside with its secrets; their addresses look like any other.
_METADATA: Final = frozenset(
    map(ipaddress.ip_address, ("168.63.129.16", "fd00:ec2::254", "100.100.100.200", "192.0.0.192"))
)
# Networks of one's own that Python's ``is_global`` lets pass: site-local addresses (RFC 3879), still routed inside
# where they were given out, and the block of RFC 6890 that it knows a part of.
_OWN: Final = tuple(map(ipaddress.ip_network, ("fec0::/10", "192.0.0.0/24")))
# IPv6 addresses that mean an IPv4 address, which is then what counts.
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_IPV4_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")
# Names that only a resolver of our own side answers: no stranger can make them mean something else.
_OWN_SUFFIXES: Final = (".local", ".internal", ".localhost", ".home.arpa")


class AddressRefused(ClientError):
    """The server's name leads to an address that it must not lead to. Nothing was sent."""


@attrs.frozen
class AddressGuard:
    """``allow_private`` lets in private networks and this machine; link-local and metadata addresses never."""

    allow_private: bool = False

    def problem(self, address: IpAddress) -> str | None:
        """Why nothing may be sent to ``address``, as a phrase; ``None`` if it may."""
        address = _meant(address)
        if address in _METADATA or address.is_link_local:
            return "is a link-local or metadata address"
        impossible = address.is_unspecified or address.is_multicast or address.is_reserved
        if impossible and not address.is_loopback:
            return "is no address of a host"
        is_own = any(address in network for network in _OWN)
        if (address.is_global and not is_own) or self.allow_private:
            return None
        return "is a private address"


async def checked_addresses(guard: AddressGuard, server: str, host: str, port: int, lookup: Lookup) -> Sequence[str]:
    """The addresses of ``host``, all of them allowed. Raises ``AddressRefused``, and ``OSError`` from ``lookup``."""
    literal = _ip(host)
    found = [host] if literal is not None else list(dict.fromkeys(await lookup(host, port)))
    for text in found:
        # A zone index is ours to choose, not part of what the address is.
        address = _ip(text.partition("%")[0])
        problem = "can't be read" if address is None else guard.problem(address)
        if problem is not None:
            raise AddressRefused(server, refusal(problem))
    return found


def refusal(problem: str) -> str:
    return f"its host {problem}, and nothing is sent there unless the configuration allows it (allow_private_address)"


def literal_problem(guard: AddressGuard, host: str) -> str | None:
    """What is wrong with a host that is written as a number or as ``localhost``; ``None`` for any other name."""
    address = ipaddress.ip_address("127.0.0.1") if _is_localhost(host) else _ip(host)
    return None if address is None else guard.problem(address)


def is_named_address(host: str) -> bool:
    """Whether a URL with this host says itself that it leads into our own side of the internet.

    So do numbers, and names that only a resolver of our own answers: without a dot, or of a suffix kept for that.
    """
    return _ip(host) is not None or "." not in host.rstrip(".") or host.rstrip(".").lower().endswith(_OWN_SUFFIXES)


async def system_lookup(host: str, port: int) -> Sequence[str]:
    """What the system's resolver says."""
    found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


def _meant(address: IpAddress) -> IpAddress:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if (inner := address.ipv4_mapped or address.sixtofour) is not None:
        return inner
    if address in _NAT64 or (address in _IPV4_COMPATIBLE and int(address) > 0xFFFF):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_localhost(host: str) -> bool:
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")


def _ip(text: str) -> IpAddress | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
