"""HTTP/1.1 as Hypercorn speaks it, where we want it otherwise: when it writes, and how it says no.

What its parser refuses, and an upgrade that is none, never reach the application. Their answers are made here, with the
envelope and the headers of all others.
"""

from collections.abc import Mapping
from typing import Final

import h11
import trio
from hypercorn.events import RawData
from hypercorn.protocol.events import Body, Response
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import WSStream
from hypercorn.typing import H11SendableEvent

from moltnet.auth.rates import RateLimiter
from moltnet.config.server_limits import Rate
from moltnet.http.envelope import error_body
from moltnet.http.headers import REQUEST_ID_STATE, encoded, error_fields, request_id_of
from moltnet.log import get_logger
from moltnet.protocol.errors import ErrorCode

log = get_logger("http")

_NO_HANDSHAKE: Final = (
    "this is no proper WebSocket handshake: it takes a Sec-WebSocket-Key and Sec-WebSocket-Version 13"
)
# Anybody can send nonsense for ever, and such requests are no business of the limits on requests.
REFUSALS_TOLD: Final = Rate(per_second=1 / 60, burst=20)
_REFUSALS: Final[Mapping[int, tuple[ErrorCode, str]]] = {
    400: (ErrorCode.BAD_REQUEST, "this is no proper HTTP request"),
    414: (ErrorCode.REQUEST_LINE_TOO_LONG, "the request line is too long"),
    431: (ErrorCode.HEADERS_TOO_LARGE, "the headers of the request are too large"),
    501: (ErrorCode.BAD_REQUEST, "this transfer coding is not understood"),
}
_CRASHED: Final = (ErrorCode.INTERNAL_ERROR, "internal server error")
# A request with both may end elsewhere for a proxy in front of us. Nothing that follows it is believed (RFC 9112 §6.3).
_FRAMINGS: Final = frozenset({b"content-length", b"transfer-encoding"})
# All that Hypercorn itself says when it refuses something.
_BARE: Final = [(b"content-length", b"0"), (b"connection", b"close")]


class Http1(H11Protocol):
    """HTTP/1.1 and nothing else: an upgrade to HTTP/2 that a client offers is not taken, as RFC 9110 §7.8 allows."""

    told: RateLimiter = RateLimiter(None)  # how often the log tells of each peer; a server has one of its own
    _head: bytes = b""
    _is_ambiguous: bool = False

    async def stream_send(self, event: StreamEvent) -> None:
        if not (isinstance(event, Response) and event.headers == _BARE):
            if self._is_ambiguous and isinstance(event, Response):
                event = Response(event.stream_id, [*event.headers, (b"connection", b"close")], event.status_code)
            await super().stream_send(event)
            return
        headers, body = self._refusal(event.status_code)
        await super().stream_send(Response(event.stream_id, headers, event.status_code))
        if getattr(self.stream, "scope", {}).get("method") != "HEAD":
            await super().stream_send(Body(event.stream_id, body))

    async def _check_protocol(self, event: h11.Request) -> None:
        names = {name for name, _ in event.headers}
        self._is_ambiguous = names.issuperset(_FRAMINGS)

    async def _send_h11_event(self, event: H11SendableEvent) -> None:
        """The head of an answer waits for what follows it, as ASGI wants it, so that both leave in one write."""
        try:
            data = self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state is not h11.ERROR:
                raise
            return
        if isinstance(event, h11.Response):
            self._head = data
            return
        data, self._head = self._head + data, b""
        if data:
            await self.send(RawData(data))

    async def _send_error_response(self, status_code: int) -> None:
        """Answer what the parser refuses."""
        if status_code == 431 and self.stream is not None:
            status_code = 400  # a line of the framing within a body, which no client writes that long
        elif status_code == 431 and b"\n" not in self.connection.trailing_data[0]:
            status_code = 414  # all that came is the first line
        headers, body = self._refusal(status_code)
        headers += self.config.response_headers("h11")
        await self._send_h11_event(h11.Response(status_code=status_code, headers=headers))
        await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())

    def _refusal(self, status: int) -> tuple[list[tuple[bytes, bytes]], bytes]:
        scope = getattr(self.stream, "scope", {})
        _, message = _REFUSALS.get(status, _CRASHED)
        if status == 400 and isinstance(self.stream, WSStream):
            message = _NO_HANDSHAKE
        request_id: str = scope.get("state", {}).get(REQUEST_ID_STATE, "")
        if not request_id:  # else it came to the application, which has told of it
            request_id = request_id_of(scope.get("headers", ()))
            peer = self.client[0] if self.client else ""
            if self.told.take(peer, trio.current_time()) == 0:
                log.warning("request refused", status=status, reason=message, request_id=request_id, client=peer)
        headers, body = refusal(status, request_id, message)
        length = {**headers, "Content-Length": str(len(body)), "Connection": "close"}
        return encoded(length), body


def refusal(status: int, request_id: str, message: str = "") -> tuple[dict[str, str], bytes]:
    """What the parser says to what it refuses: headers, but for those of framing, and the envelope."""
    code, text = _REFUSALS.get(status, _CRASHED)
    return error_fields(request_id), error_body(code, message or text, request_id) + b"\n"
