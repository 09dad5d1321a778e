"""What a server admits: how often somebody may ask, and how much it may hold open at once (design §3.10).

Who is known by a credential is counted by that, everybody else by its *source*: an IPv4 address, an IPv6 /64. The
numbers come from ``server.limits``. Who may do what is decided in ``access`` and ``senders``.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

import attrs
import trio

from moltnet.auth.claims import UNCHECKED, Claims, CredentialKind
from moltnet.auth.places import NoPlace, Places
from moltnet.auth.rates import RateLimiter
from moltnet.config.server_limits import CAPS_ONLY, LimitSettings, Rate
from moltnet.core.errors import RateLimited
from moltnet.log import get_logger
from moltnet.metrics import LimitMetrics
from moltnet.protocol import limits as wire
from moltnet.protocol.errors import ErrorCode
from moltnet.storage.spending import Spending

log = get_logger("admission")

# Of the log, for each limit and source.
_LINES: Final = Rate(1 / 60, 1)
_TOO_MANY_ANONYMOUS: Final = "too many requests without a token from this address"
_NAMELESS: Final = frozenset({CredentialKind.ANONYMOUS, CredentialKind.UNCHECKED})


class Limit(StrEnum):
    """What can be refused; the label of its metric."""

    REQUESTS = "requests"
    MESSAGES = "messages"
    FAILED_AUTHENTICATIONS = "failed_authentications"
    REGISTRATIONS = "registrations"
    ATTACHMENTS = "attachments"
    HANDSHAKES = "pending_handshakes"
    STREAMS = "streams"
    CONNECTIONS = "connections"
    BODIES = "request_bodies"


def _unlimited() -> RateLimiter:
    return RateLimiter(None)


def _places_for_bodies() -> Places:
    return Places(wire.MAX_UNFINISHED_BODIES, wire.MAX_UNFINISHED_BODIES_PER_ADDRESS)


@attrs.define(eq=False)
class Admission:
    """Asked before anything costly is done. Only ``confirm_registration`` waits. ``clock`` is in seconds, ever onwards.

    What is refused raises ``RateLimited``, except for connections. Where several servers serve one network,
    ``spending`` is what callers have used up at all of them, ``attached_elsewhere`` tells how many attachments a
    credential has at the others, and ``hurry`` lets them know at once (``moltnet.core.sharing``).
    """

    limits: LimitSettings = CAPS_ONLY
    metrics: LimitMetrics = attrs.field(factory=LimitMetrics.on)
    clock: Callable[[], float] = trio.current_time
    descriptors: int | None = None
    spending: Spending | None = None
    attached_elsewhere: Callable[[str], int] = lambda _key: 0
    hurry: Callable[[], None] = attrs.field(default=lambda: None, init=False)
    _requests: RateLimiter = attrs.field(factory=_unlimited, init=False)
    _anonymous_requests: RateLimiter = attrs.field(factory=_unlimited, init=False)
    _messages: RateLimiter = attrs.field(factory=_unlimited, init=False)
    _failures: RateLimiter = attrs.field(factory=_unlimited, init=False)
    _registrations: RateLimiter = attrs.field(factory=_unlimited, init=False)
    _lines: RateLimiter = attrs.field(factory=lambda: RateLimiter(_LINES), init=False)
    attachments: Places = attrs.field(factory=Places, init=False)
    handshakes: Places = attrs.field(factory=Places, init=False)
    streams: Places = attrs.field(factory=Places, init=False)
    connections: Places = attrs.field(factory=Places, init=False)
    bodies: Places = attrs.field(factory=_places_for_bodies, init=False)

    def __attrs_post_init__(self) -> None:
        if self.spending is not None:
            for limiter in self.shared_rates().values():
                limiter.is_shared = True
        self.adopt(self.limits)

    def shared_rates(self) -> Mapping[str, RateLimiter]:
        """Those of which servers tell each other what was used up, by name. They ask for registrations beforehand."""
        return {
            "requests": self._requests,
            "anonymous requests": self._anonymous_requests,
            "messages": self._messages,
            "failures": self._failures,
        }

    def adopt(self, limits: LimitSettings) -> None:
        """Go on with other limits. What exists stays; a rate that has changed begins anew."""
        self.limits = limits
        self._requests = _going_on(self._requests, limits.requests_per_credential)
        self._anonymous_requests = _going_on(self._anonymous_requests, limits.requests_per_address)
        self._messages = _going_on(self._messages, limits.messages_per_credential)
        self._failures = _going_on(self._failures, limits.failed_authentications_per_address)
        self._registrations = _going_on(self._registrations, limits.registrations_per_address)
        connections, per_address = limits.connections, limits.connections_per_address
        if self.descriptors is not None:
            files = max(self.descriptors - wire.RESERVED_DESCRIPTORS, self.descriptors // 2, 1)
            connections = files if connections is None else min(connections, files)
            # However few there are, one address must not have them all.
            half = max(1, connections // 2)
            per_address = per_address and min(per_address, half)
        for places, total, per_key in (
            (self.attachments, limits.attachments, limits.attachments_per_credential),
            (self.handshakes, limits.pending_handshakes, limits.pending_handshakes_per_address),
            (self.streams, limits.streams, limits.streams_per_caller),
            (self.connections, connections, per_address),
        ):
            places.total, places.per_key = total, per_key

    def fit(self, descriptors: int) -> None:
        """Take no more connections than this process may have files open."""
        self.descriptors = descriptors
        self.adopt(self.limits)

    def check_guesses(self, source: str) -> None:
        """Before a presented credential is looked at. Refused is whoever has shown too many that are no good."""
        wait_seconds = self._failures.wait_seconds(source, self.clock())
        self._refuse(
            Limit.FAILED_AUTHENTICATIONS, wait_seconds, "too many failed authentications from this address", source
        )

    def note_failed_authentication(self, source: str) -> None:
        self._failures.take(source, self.clock())
        self.hurry()

    def check_source(self, source: str, *, is_unchecked: bool) -> None:
        """Before anything is known of a caller but its address: whether a request without a credential has a chance.

        ``is_unchecked`` says that nobody has one. Counts nothing but the refusal.
        """
        requests = self._requests if is_unchecked else self._anonymous_requests
        text = f"too many requests {_with_what(UNCHECKED)}" if is_unchecked else _TOO_MANY_ANONYMOUS
        self._refuse(Limit.REQUESTS, requests.wait_seconds(source, self.clock()), text, source)

    def admit_request(self, claims: Claims, source: str) -> None:
        """One request, of whatever kind."""
        if claims.kind is CredentialKind.ANONYMOUS:
            wait_seconds = self._anonymous_requests.take(source, self.clock())
            self._refuse(Limit.REQUESTS, wait_seconds, _TOO_MANY_ANONYMOUS, source)
        else:
            wait_seconds = self._requests.take(_caller(claims, source), self.clock())
            self._refuse(Limit.REQUESTS, wait_seconds, f"too many requests {_with_what(claims)}", source)

    def admit_message(self, claims: Claims, source: str) -> None:
        """One message to be sent."""
        wait_seconds = self._messages.take(_caller(claims, source), self.clock())
        self._refuse(Limit.MESSAGES, wait_seconds, f"too many messages {_with_what(claims)}", source)

    def admit_registration(self, claims: Claims, source: str) -> None:
        """One claim of an agent id. Those made with a credential are the operator's own business."""
        if claims.kind in _NAMELESS:
            wait_seconds = self._registrations.take(source, self.clock())
            self._refuse(Limit.REGISTRATIONS, wait_seconds, "too many registrations from this address", source)

    async def confirm_registration(self, claims: Claims, source: str) -> None:
        """Make sure that the claim which was just admitted is so at all servers together.

        Raises ``RateLimited``, and ``StorageError`` if nobody can say.
        """
        rate = self._registrations.rate
        if self.spending is None or rate is None or claims.kind not in _NAMELESS:
            return
        asked_at = self.clock()
        most_seconds = (rate.burst - 1) / rate.per_second
        wait_seconds = await self.spending.take(
            f"registrations {source}", seconds=1 / rate.per_second, most_seconds=most_seconds
        )
        if wait_seconds > 0:
            self._registrations.catch_up(source, most_seconds + wait_seconds, asked_at)
        self._refuse(Limit.REGISTRATIONS, wait_seconds, "too many registrations from this address", source)

    @contextmanager
    def attachment(self, claims: Claims, source: str) -> Iterator[None]:
        """Hold a place for an attachment, from its upgrade to its end."""
        key = _caller(claims, source)
        text = f"too many attachments {_with_what(claims)}"
        self._take(Limit.ATTACHMENTS, self.attachments, key, text, source, elsewhere=self.attached_elsewhere(key))
        try:
            yield
        finally:
            self.attachments.leave(key)

    @contextmanager
    def handshake(self, source: str) -> Iterator[None]:
        """Hold a place for an attachment that has not said yet which agent it is."""
        text = "too many handshakes from this address wait for IDENTIFY"
        self._take(Limit.HANDSHAKES, self.handshakes, source, text, source)
        try:
            yield
        finally:
            self.handshakes.leave(source)

    @contextmanager
    def stream(self, claims: Claims, source: str) -> Iterator[None]:
        """Hold a place for an event stream."""
        key = _caller(claims, source)
        text = f"too many event streams {_with_what(claims)}"
        self._take(Limit.STREAMS, self.streams, key, text, source, ErrorCode.TOO_MANY_STREAMS)
        try:
            yield
        finally:
            self.streams.leave(key)

    @contextmanager
    def body(self, source: str) -> Iterator[None]:
        """Hold a place for a large request body that has not come whole."""
        text = "too many large request bodies from this address have begun and not come whole"
        self._take(Limit.BODIES, self.bodies, source, text, source)
        try:
            yield
        finally:
            self.bodies.leave(source)

    @contextmanager
    def connection(self, source: str) -> Iterator[bool]:
        """Hold a place for a connection; the block is told whether there is one. A proxy is no ``source``."""
        try:
            self.connections.take(source)
        except NoPlace:
            self._tell(Limit.CONNECTIONS, "too many connections", source)
            yield False
            return
        try:
            yield True
        finally:
            self.connections.leave(source)

    def _take(
        self,
        limit: Limit,
        places: Places,
        key: str,
        text: str,
        source: str,
        code: ErrorCode = ErrorCode.RATE_LIMITED,
        elsewhere: int = 0,
    ) -> None:
        try:
            places.take(key, elsewhere)
        except NoPlace as full:
            text = f"this server has no more places for {limit.replace('_', ' ')}" if full.is_shared else text
            self._tell(limit, text, source)
            raise RateLimited(text, retry_after_seconds=wire.RETRY_FULL_SECONDS, code=code) from None

    def _refuse(self, limit: Limit, wait_seconds: float, text: str, source: str) -> None:
        if wait_seconds > 0:
            self._tell(limit, text, source)
            raise RateLimited(text, retry_after_seconds=wait_seconds)

    def _tell(self, limit: Limit, text: str, source: str) -> None:
        """Count a refusal, and log one a minute: a flood must not fill the disk with lines about it."""
        self.metrics.refused(limit)
        if self._lines.take(f"{limit} {source}", self.clock()) == 0:
            log.warning("limit reached", limit=str(limit), reason=text, client=source)


def _going_on(limiter: RateLimiter, rate: Rate | None) -> RateLimiter:
    return limiter if limiter.rate == rate else RateLimiter(rate, is_shared=limiter.is_shared)


def _caller(claims: Claims, source: str) -> str:
    """What somebody is counted by. No key of a credential looks like an address."""
    return source if claims.kind in _NAMELESS else claims.key


def _with_what(claims: Claims) -> str:
    return "from this address" if claims.kind in _NAMELESS else "with this credential"
