"""Which web pages may talk to us: by their own origin, and by the name under which they reached us (design §3.8).

Browsers send both; other programs send no ``Origin`` and name whatever host their URL has.
"""

import ipaddress
import socket
from collections.abc import Iterable
from typing import Final, Self
from urllib.parse import urlsplit

import attrs

# Names that no stranger can have in the public DNS: RFC 6762, RFC 8375, and what ICANN keeps for private use.
_PRIVATE_SUFFIXES: Final = (".local", ".home.arpa", ".internal", ".lan")
# What a container calls the machine that it runs on.
_CONTAINER_HOST: Final = "host.docker.internal"


@attrs.frozen
class OriginPolicy:
    """Exact ``scheme://host[:port]`` origins, as browsers write them. Programs other than browsers are let in.

    With ``same_origin`` so are pages that we served ourselves, under whatever name they reached us.
    """

    allowed: frozenset[str]
    same_origin: bool = False

    def permits(self, origin: str | None, own_origin: str = "") -> bool:
        """``own_origin`` is ours as that caller sees it; empty if it is not known."""
        if origin is None:
            return True
        plain = origin.removesuffix("/")
        return plain in self.allowed or (self.same_origin and bool(own_origin) and plain == own_origin)


@attrs.frozen
class HostPolicy:
    """Which names of ours a caller without a credential may have used.

    A page of ``evil.example`` may point that name to 127.0.0.1 and then ask *us*, as its own origin ("DNS rebinding").
    Where nobody is asked for a token, the name is all that tells. It can't be done with an address, nor with a name
    that the public DNS does not have. ``everywhere`` says that others than this machine can reach us, by names that
    only their network knows.
    """

    names: frozenset[str]
    everywhere: bool = False

    @classmethod
    def of(cls, origins: Iterable[str], *, everywhere: bool) -> Self:
        """The hosts of allowed origins, and this machine's own names."""
        listed = (urlsplit(origin).hostname or "" for origin in origins)
        return cls(frozenset({"localhost", _CONTAINER_HOST, *own_names(), *listed} - {""}), everywhere)

    def permits(self, host_name: str) -> bool:
        """``host_name`` is in lower case, without port and brackets; empty if it is none that we could understand."""
        name = host_name.removesuffix(".")
        if name in self.names or name.endswith(".localhost") or _is_address(name):
            return True
        return self.everywhere and bool(name) and ("." not in name or name.endswith(_PRIVATE_SUFFIXES))


def own_names() -> frozenset[str]:
    """What this machine calls itself. Asks no name server."""
    name = socket.gethostname().lower().removesuffix(".")
    short = name.partition(".")[0]
    return frozenset({name, short, f"{short}.local"})


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
