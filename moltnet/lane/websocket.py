"""``GET /v1/attach`` on the fast lane: the server's side of a WebSocket, straight on the connection's socket.

What is checked, and what is said in a session, is the same as over ASGI (``moltnet.http.attach``, ``moltnet.attach``).
It differs in what it takes: no task beside the connection's own, and frames that were made for all readers at once.
Nothing is compressed, whatever the client offers, and no subprotocol is agreed on.
"""

from base64 import b64encode
from hashlib import sha1
from typing import Final

import attrs
import trio

from moltnet.attach.link import CloseCode, LinkClosed, OneAtATime, short_reason
from moltnet.fanout.frames import Sendable, text_message
from moltnet.http.attach import let_in
from moltnet.http.call import Call
from moltnet.http.exchange import UPGRADED
from moltnet.http.request_headers import RequestHeaders
from moltnet.lane.frames import BadFrame, ClientFrames, Closed, Pinged, close_frame, pong
from moltnet.lane.wire import Wire
from moltnet.protocol import limits

_ACCEPT_SALT: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_NO_HEADERS: Final = RequestHeaders({})
_NORMAL, _GOING_AWAY, _GONE = 1000, 1001, 1006
# What one read brings is worked off at a stretch, and nobody else runs meanwhile: some thirty ACKs. Of a message that
# is known to be longer, more is read at once.
_RECEIVE_BYTES: Final = 2 * limits.KIB
_RECEIVE_LONG_BYTES: Final = 64 * limits.KIB


async def serve_attach_raw(call: Call, wire: Wire) -> None:
    """Check credential and origin, accept, and run the attachment until it ends.

    The head is that of a proper handshake. Raises ``Refused`` before anything is written.
    """
    exchange = call.exchange
    upgrade = await let_in(
        call.app, exchange, authorization=call.headers.get(b"authorization"), origin=call.headers.get(b"origin")
    )
    exchange.answered(UPGRADED)
    wire.write(_switching(call.headers.get(b"sec-websocket-key") or "", exchange.request_id))
    call.headers = _NO_HEADERS  # an attachment lasts for days, and nobody asks for them again
    exchange.ending = await call.app.gateway.serve(WireLink(wire), upgrade.claims, upgrade.identified)


def accept_of(key: str) -> str:
    """The proof that we have understood the handshake (RFC 6455 §4.2.2)."""
    return b64encode(sha1(key.encode() + _ACCEPT_SALT, usedforsecurity=False).digest()).decode()


def _switching(key: str, request_id: str) -> bytes:
    return (
        "HTTP/1.1 101 Switching Protocols\r\n"
        "upgrade: WebSocket\r\n"
        "connection: Upgrade\r\n"
        f"sec-websocket-accept: {accept_of(key)}\r\n"
        f"x-request-id: {request_id}\r\n\r\n"
    ).encode()


@attrs.define(eq=False)
class WireLink:
    """An accepted WebSocket on a wire."""

    _wire: Wire
    _frames: ClientFrames = attrs.field(init=False, factory=ClientFrames)
    _open: bool = attrs.field(init=False, default=True)
    _flushing: OneAtATime | None = attrs.field(init=False, default=None)

    def push(self, what: Sendable) -> bool:
        if self._open:
            self._wire.write(what.messages)
        return self._is_flushed()

    async def flush(self) -> None:
        if self._is_flushed():
            return
        self._flushing = self._flushing or OneAtATime()  # most never need one
        await self._flushing.until(self._is_flushed, self._wire.flush)
        if self._wire.is_broken:
            self._wire.cut()  # so that who waits for the peer's next word learns of it

    async def send(self, text: str) -> None:
        if self._open:
            self._wire.write(text_message(text.encode()))
            await self.flush()
        await trio.lowlevel.checkpoint()

    async def receive(self) -> str | bytes:
        while True:
            try:
                heard = self._frames.next(self._wire.received)
            except BadFrame as bad:
                await self._say_goodbye(bad.code, str(bad))
                raise LinkClosed(_GONE) from bad
            match heard:
                case None:
                    wanted_bytes = min(self._frames.wanted_bytes, _RECEIVE_LONG_BYTES)
                    if not await self._wire.receive(max(wanted_bytes, _RECEIVE_BYTES)):
                        self._open = False
                        raise LinkClosed(_GONE)
                case Pinged(payload=payload):
                    self._wire.write(pong(payload))
                    await self.flush()
                case Closed(code=code):
                    await self._say_goodbye(code, "")
                    # As over ASGI, where nobody tells the code: who said goodbye has not failed.
                    raise LinkClosed(_GOING_AWAY if code == _GOING_AWAY else _NORMAL)
                case _:
                    return heard

    async def close(self, code: CloseCode, reason: str) -> None:
        await self._say_goodbye(code, short_reason(reason))

    async def _say_goodbye(self, code: int, reason: str) -> None:
        if self._open:
            self._open = False
            self._wire.write(close_frame(code, reason))
            with trio.move_on_after(limits.CLOSE_SECONDS):
                await self.flush()

    def _is_flushed(self) -> bool:
        return self._wire.is_broken or not self._wire.unsent_bytes
