"""One request from its head to its end, whatever becomes of it: what is known of it, its line in the log, its metrics.

``moltnet.asgi`` opens an exchange around everything that it serves, so that requests, event streams, attachments,
hang-ups and crashes all end here, once. Routes and gates tell it what they find out. Nothing in here answers.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Self

import attrs

from moltnet.auth.claims import Claims, CredentialKind
from moltnet.http.client_address import ClientAddress, IpNetwork, client_of
from moltnet.http.headers import REQUEST_ID_STATE, request_id_of
from moltnet.log import LineLogger
from moltnet.metrics import UNMATCHED, HttpMetrics

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log: Final = LineLogger("http")

_KEY: Final = "moltnet.exchange"
ATTACH_ROUTE: Final = "GET /v1/attach"
# Asked every few seconds by machines: a line for each would bury those of people and agents.
PROBE_ROUTES: Final = frozenset({"GET /healthz", "GET /readyz", "GET /metrics"})

UPGRADED: Final = 200
"""How an upgrade counts. Its status on the wire is 101; dashboards for the reference know it so (HTTP API §9)."""
TOO_MANY: Final = 429
UNANSWERED: Final = 499
"""The status of a request that got no answer, because its client hung up or the server had to stop."""

# How an exchange ends other than by a whole answer. An attachment ends as its own reports say.
CLIENT_LEFT: Final = "client_left"
CANCELLED: Final = "cancelled"
CRASHED: Final = "crashed"
CUT: Final = "cut"


@attrs.define(eq=False)
class Held:
    """What is let go at the end. Most requests hold nothing, and one that lasts for days should take little for it."""

    _held: tuple[AbstractContextManager[object], ...] = attrs.field(default=(), init=False)

    def enter_context(self, held: AbstractContextManager[object]) -> None:
        """Hold something until the end. Raises what entering it raises."""
        held.__enter__()
        self._held = (held, *self._held)

    def close(self) -> None:
        """Let go of everything, the last first."""
        held, self._held = self._held, ()
        for each in held:
            each.__exit__(None, None, None)


@attrs.define(eq=False)
class Exchange:
    """A request, a stream or an attachment while it lasts; leaving the block ends it.

    ``client`` is who calls, ``held`` is let go at the end. ``route`` is a registered pattern, ``status`` 0 until
    there is an answer, ``ending`` empty as long as nothing is wrong with it. ``credential_id`` names a credential and
    never holds one; it is empty if nobody was asked for one.
    """

    method: str
    path: str
    request_id: str
    client: ClientAddress
    _metrics: HttpMetrics
    route: str = attrs.field(default=UNMATCHED, init=False)
    credential_id: str = attrs.field(default="", init=False)
    status: int = attrs.field(default=0, init=False)
    ending: str = attrs.field(default="", init=False)
    held: Held = attrs.field(factory=Held, init=False)
    _body_bytes: int = attrs.field(default=0, init=False)
    _is_whole: bool = attrs.field(default=False, init=False)
    _is_stream: bool = attrs.field(default=False, init=False)
    _began: float = attrs.field(factory=time.perf_counter, init=False)

    @classmethod
    def of(cls, scope: Message, metrics: HttpMetrics, proxies: Sequence[IpNetwork] = ()) -> Self:
        """What an ASGI scope tells: a request's, or an upgrade's. ``proxies`` are those that are believed."""
        request_id = request_id_of(scope["headers"])
        # For whoever answers in our place, should we crash.
        scope.get("state", {})[REQUEST_ID_STATE] = request_id
        return cls(
            scope.get("method", "GET"),
            scope["path"],
            request_id,
            client_of(scope, proxies),
            metrics,
        )

    def within(self, scope: Message) -> Message:
        """The scope of a request, in which ``exchange_of`` finds this again."""
        return {**scope, _KEY: self}

    def identified(self, claims: Claims) -> None:
        """The caller is known: by the id of its token, or by the agents whose token it has."""
        match claims.kind:
            case CredentialKind.UNCHECKED:
                pass
            case CredentialKind.AGENT:
                # Its key is a hash of the token.
                self.credential_id = f"agent:{','.join(sorted(claims.agents))}"
            case _:
                self.credential_id = claims.key

    def answered(self, status: int, body_bytes: int = 0) -> None:
        """There was an answer, past ``send_from``."""
        self.status, self._body_bytes, self._is_whole = status, body_bytes, True

    def begin_stream(self) -> None:
        """What is answered is an event stream: it counts as open until this ends."""
        if not self._is_stream:
            self._is_stream = True
            self._metrics.streams += 1

    def receive_from(self, receive: Receive) -> Receive:
        """``receive``, which also tells us when the client hangs up."""

        async def received() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" and not self._is_whole:
                self.ending = CLIENT_LEFT
            return message

        return received

    def send_from(self, send: Send) -> Send:
        """``send``, which also tells us what is answered."""

        async def sent(message: Message) -> None:
            # Before it goes out: a server may tell of the end of the connection before it returns.
            if message["type"] == "http.response.body":
                self._body_bytes += len(message.get("body", b""))
                self._is_whole = not message.get("more_body", False)
            elif message["type"] == "http.response.start":
                self.status = message["status"]
            await send(message)

        return sent

    def __enter__(self) -> Self:
        self._metrics.in_progress += 1
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        self.held.close()
        seconds = time.perf_counter() - self._began
        self._metrics.in_progress -= 1
        self._metrics.streams -= self._is_stream
        if error is not None:
            self.ending = CRASHED if isinstance(error, Exception) else self.ending or CANCELLED
        elif not self._is_whole:
            self.ending = self.ending or CUT
        if not self.status:
            self.status = 500 if self.ending == CRASHED else UNANSWERED
        self._metrics.ended(self.method, self.route, self.status, seconds)
        log.log(self._level, "request", self._line(seconds))

    @property
    def _level(self) -> int:
        if self.status == TOO_MANY:
            # The limit tells of itself, once a minute: a flood must not fill the disk with lines about it.
            return logging.DEBUG
        if self.status >= 400:
            # Not as an error: who refuses does what it should, and a crash has been logged, with its traceback.
            return logging.WARNING
        return logging.DEBUG if self.route in PROBE_ROUTES else logging.INFO

    def _line(self, seconds: float) -> dict[str, object]:
        line: dict[str, object] = {
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "duration_ms": round(seconds * 1000, 2),
            "route": self.route,
            "request_id": self.request_id,
            "client": self.client.ip,
        }
        if self.credential_id:
            line["credential_id"] = self.credential_id
        if self._body_bytes:
            line["body_bytes"] = self._body_bytes
        if self.ending:
            line["ended"] = self.ending
        return line


def exchange_of(scope: Message) -> Exchange:
    """The exchange that a request of ours belongs to."""
    exchange: Exchange = scope[_KEY]
    return exchange
