"""``server.limits`` and ``server.trusted_proxies``: their keys, their rules, and what holds without them.

A rate is written ``500/s`` or ``100/h burst 1000``, a cap as a number; either may be ``unlimited``. Nothing is counted
here: see ``moltnet.core.admission``.
"""

import ipaddress
import re
from typing import Final

import attrs

from moltnet.config.limits import MAX_LIMIT
from moltnet.config.problems import Findings

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
CountSpec = int | str
"""A number, a rate, or the word ``unlimited``."""

UNLIMITED: Final = "unlimited"
_RATE: Final = re.compile(r"([0-9]{1,10})\s*/\s*([smh])(?:\s*,?\s*burst\s+([0-9]{1,10}))?")
_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}

_LOOPBACK: Final = ("127.0.0.0/8", "::1/128")
# What is never routed on the internet: RFC 1918, RFC 6598, RFC 4193, and link-local addresses.
_PRIVATE: Final = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
)
_NETWORK_WORDS: Final = {"loopback": _LOOPBACK, "private": _PRIVATE}


@attrs.frozen
class Rate:
    """At most ``burst`` at once, and ``per_second`` in the long run."""

    per_second: float
    burst: int

    def __attrs_post_init__(self) -> None:
        if not (0 < self.per_second < float("inf") and self.burst >= 1):
            raise ValueError(f"a rate needs more than nothing per second and a burst of 1 or more: {self}")


@attrs.frozen
class LimitSettings:
    """What a server allows; ``None`` means without limit.

    The defaults are for a network of 1,000 agents on one host with one token, all of them busy: a turn of a model takes
    15 s or more and makes about five requests, and after a restart of the server all come back at once.
    """

    # 1,000 agents that each make 5 requests in 15 s: 333 each second. All back at once: 1,000 times the look at the
    # network, the upgrade and the look at a few rooms.
    requests_per_credential: Rate | None = Rate(500, 10_000)
    # Callers without a token. An office of 50 that opens the console at once makes 1,000; a node of 1,000 agents that
    # claim their ids for the first time makes 2,000.
    requests_per_address: Rate | None = Rate(100, 2_000)
    # 1,000 agents that each say something in each turn: 67 each second. A question to all is answered 1,000 times.
    messages_per_credential: Rate | None = Rate(200, 5_000)
    # A token that was revoked under 30 agents of one host: older bridges come back every 15 s. A guess each half second
    # finds no token of 16 characters.
    failed_authentications_per_address: Rate | None = Rate(2, 200)
    # New agents without a token: a host of 1,000 claims its ids in one go, and what it forgets is 100 each hour.
    registrations_per_address: Rate | None = Rate(100 / 3600, 1_000)
    # About 25 KiB each. A node that restarts is there twice until the server has seen its old connections end.
    attachments: int | None = 10_000
    attachments_per_credential: int | None = 4_000
    # From the upgrade to IDENTIFY, 10 s at the most; honest ones need one round trip.
    pending_handshakes: int | None = 4_000
    pending_handshakes_per_address: int | None = 1_000
    # Consoles, and programs that watch. Agents attach instead.
    streams: int | None = 1_000
    streams_per_caller: int | None = 16
    # Each takes a file descriptor; a server that may open fewer files takes fewer connections. An attachment is one,
    # and agents have a second for what they say.
    connections: int | None = 16_000
    connections_per_address: int | None = 8_000

    def without_rates(self) -> "LimitSettings":
        """The caps alone: what every process needs that must not run out of descriptors or memory."""
        return attrs.evolve(self, **dict.fromkeys(RATES))


DEFAULT_LIMITS: Final = LimitSettings()
RATES: Final = tuple(field.name for field in attrs.fields(LimitSettings) if isinstance(field.default, Rate))
CAPS_ONLY: Final = DEFAULT_LIMITS.without_rates()
NO_LIMITS: Final = LimitSettings(**{field.name: None for field in attrs.fields(LimitSettings)})


@attrs.frozen
class LimitKeys:
    """As written; empty text for what is not there."""

    requests_per_credential: CountSpec = ""
    requests_per_address: CountSpec = ""
    messages_per_credential: CountSpec = ""
    failed_authentications_per_address: CountSpec = ""
    registrations_per_address: CountSpec = ""
    attachments: CountSpec = ""
    attachments_per_credential: CountSpec = ""
    pending_handshakes: CountSpec = ""
    pending_handshakes_per_address: CountSpec = ""
    streams: CountSpec = ""
    streams_per_caller: CountSpec = ""
    connections: CountSpec = ""
    connections_per_address: CountSpec = ""


UNWRITTEN: Final = LimitKeys()


def limit_settings(keys: LimitKeys, findings: Findings, *, rates_by_default: bool = True) -> LimitSettings:
    """The limits that ``keys`` describe. Without ``rates_by_default`` only rates that are written count."""
    default = DEFAULT_LIMITS if rates_by_default else CAPS_ONLY
    limits: dict[str, Rate | int | None] = {}
    for field in attrs.fields(LimitKeys):
        path = f"$.server.limits.{field.name}"
        written, usual = getattr(keys, field.name), getattr(default, field.name)
        if isinstance(written, str) and not written.strip():
            limits[field.name] = usual
            continue
        try:
            limits[field.name] = parse_rate(written) if field.name in RATES else parse_count(written)
        except ValueError as error:
            findings.add(path, str(error))
            limits[field.name] = usual
    for name in ("pending_handshakes", "connections"):
        total, share = limits[name], limits[f"{name}_per_address"]
        if isinstance(total, int) and isinstance(share, int) and share > total and getattr(keys, f"{name}_per_address"):
            findings.add(f"$.server.limits.{name}_per_address", f"is more than server.limits.{name} allows in all")
    return LimitSettings(**limits)  # type: ignore[arg-type]  # each name has the type of its default


def parse_rate(written: CountSpec) -> Rate | None:
    """``500/s``, ``30/m``, ``100/h burst 1000``; ``None`` if unlimited. Without a burst, that many at once.

    Raises ``ValueError`` with a phrase that follows the field's name.
    """
    text = str(written).strip()
    if text.lower() == UNLIMITED:
        return None
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f'must be a rate such as 500/s, 30/m or "100/h burst 1000", or {UNLIMITED}')
    number, burst = int(match[1]), int(match[3] or match[1])
    if not (1 <= number <= MAX_LIMIT and 1 <= burst <= MAX_LIMIT):
        raise ValueError(f"must have numbers from 1 to {MAX_LIMIT}; nothing at all can't be allowed, {UNLIMITED} can")
    return Rate(number / _UNIT_SECONDS[match[2]], burst)


def parse_count(written: CountSpec) -> int | None:
    """A number of 1 or more; ``None`` if unlimited. Raises ``ValueError`` as ``parse_rate`` does."""
    text = str(written).strip().lower()
    if text == UNLIMITED:
        return None
    if not re.fullmatch(r"[0-9]{1,10}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise ValueError(f"must be a number from 1 to {MAX_LIMIT}, or {UNLIMITED}; 0 is neither")
    return int(text)


def proxy_networks(texts: tuple[str, ...], findings: Findings, *, trust_forwarded_proto: bool) -> tuple[IpNetwork, ...]:
    """Whose forwarding headers count. ``trust_forwarded_proto`` alone, as older files have it, means a proxy on this
    machine or in its private network."""
    networks: dict[IpNetwork, None] = {}
    if not texts and trust_forwarded_proto:
        texts = tuple(_NETWORK_WORDS)
    for index, text in enumerate(texts):
        path = f"$.server.trusted_proxies[{index}]"
        for part in _NETWORK_WORDS.get(text.strip().lower(), (text.strip(),)):
            try:
                network = ipaddress.ip_network(part)
            except ValueError:
                words = " or ".join(_NETWORK_WORDS)
                findings.add(path, f"must be an address (10.0.0.7), a network (10.0.0.0/8, no host bits), or {words}")
                continue
            if network.prefixlen == 0:
                findings.add(path, "trusts everybody, and then anybody can say to be anybody")
            networks[network] = None
    return tuple(networks)
