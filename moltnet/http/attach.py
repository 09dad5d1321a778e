"""``GET /v1/attach``: the WebSocket gateway, straight on ASGI.

Without a framework in between, a disconnect is an answer to ``receive`` instead of a cancellation, and an idle
attachment holds less memory.
"""

from contextlib import ExitStack

import attrs
import trio
from wsproto.connection import ConnectionState

from moltnet.app import App
from moltnet.attach.link import CloseCode, LinkClosed
from moltnet.auth.claims import Claims, CredentialKind
from moltnet.config.settings import AuthMode, Registration, Scope
from moltnet.core.access import require
from moltnet.core.errors import Refused
from moltnet.http.auth import Gate, require_host, require_origin
from moltnet.http.envelope import STATUS, error_body, refusal_headers
from moltnet.http.exchange import ATTACH_ROUTE, UPGRADED, Exchange, Message, Receive, Send
from moltnet.http.headers import error_headers

_NORMAL, _GONE = 1000, 1006


@attrs.define(eq=False)
class AsgiLink:
    """An accepted ASGI WebSocket."""

    _receive: Receive
    _send: Send
    _open: bool = attrs.field(init=False, default=True)

    async def send(self, text: str) -> None:
        if self._open:
            await self._send({"type": "websocket.send", "bytes": None, "text": text})
        # Once the peer is gone, the server's send neither waits nor fails.
        await trio.lowlevel.checkpoint()

    async def receive(self) -> str | bytes:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            said_goodbye = self._open and _peer_said_goodbye(self._send)
            self._open = False
            raise LinkClosed(_NORMAL if said_goodbye else message.get("code") or _GONE)
        text: str | None = message.get("text")
        if text is not None:
            return text
        data: bytes = message["bytes"]
        return data

    async def close(self, code: CloseCode, reason: str) -> None:
        if self._open:
            self._open = False
            # A close frame takes 125 bytes, two of them for the code.
            short = reason.encode()[:120].decode(errors="ignore")
            await self._send({"type": "websocket.close", "code": int(code), "reason": short})


def _peer_said_goodbye(send: Send) -> bool:
    """Whether the peer has sent a close frame, before we sent one.

    Hypercorn 0.18 reports 1006 also then and keeps the code to itself; its connection knows that both sides are done.
    Under another server the answer is no.
    """
    connection = getattr(getattr(send, "__self__", None), "connection", None)
    return getattr(connection, "state", None) is ConnectionState.CLOSED


async def serve_attach(app: App, exchange: Exchange, scope: Message, receive: Receive, send: Send) -> None:
    """Check credential and origin, accept, and run the attachment until it ends."""
    exchange.route = ATTACH_ROUTE
    headers = _headers(scope)
    await receive()  # websocket.connect
    try:
        require_host(app, exchange.client)
        authorization = headers.get("authorization")
        await Gate(app).look_for(exchange.client.source, authorization=authorization)
        claims = _attach_claims(app, exchange, authorization)
        require_origin(app, headers.get("origin"), exchange.client)
        exchange.held.enter_context(app.admission.attachment(claims, exchange.client.source))
        pending = exchange.held.enter_context(ExitStack())
        pending.enter_context(app.admission.handshake(exchange.client.source))
    except Refused as error:
        app.metrics.attach.refused(error.code)
        await refuse(send, error, exchange)
        return

    async def identified() -> None:
        pending.close()
        if claims.kind is CredentialKind.ANONYMOUS:
            app.admission.admit_registration(claims, exchange.client.source)
            await app.admission.confirm_registration(claims, exchange.client.source)

    _refuse_compression(send)
    exchange.answered(UPGRADED)
    request_id = (b"x-request-id", exchange.request_id.encode())
    await send({"type": "websocket.accept", "subprotocol": None, "headers": [request_id]})
    exchange.ending = await app.gateway.serve(AsgiLink(receive, send), claims, identified)


def _refuse_compression(send: Send) -> None:
    """Accept without extensions, whatever the peer offers.

    Hypercorn 0.18 would agree to compress, always: 300 KiB more for each attachment, and 64 KiB from the peer could
    become 64 MiB here before their size is looked at.
    """
    handshake = getattr(getattr(send, "__self__", None), "handshake", None)
    if handshake is not None:
        handshake.extensions = None


def _attach_claims(app: App, exchange: Exchange, authorization: str | None) -> Claims:
    """Who attaches (attach protocol §1). Raises ``RateLimited``, ``Unauthenticated``, ``Forbidden``."""
    gate = Gate(app)
    claims = gate.admitted(
        exchange.client.source, lambda: gate.claims_of(authorization), presents=authorization is not None
    )
    exchange.identified(claims)
    policy = app.context.policy
    anonymous_may_claim = policy.effective_registration is Registration.OPEN and policy.mode is not AuthMode.NONE
    if not (claims.kind is CredentialKind.ANONYMOUS and anonymous_may_claim):
        require(claims, Scope.ATTACH)
    return claims


def _headers(scope: Message) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


async def refuse(send: Send, error: Refused, exchange: Exchange) -> None:
    """Answer an upgrade with an ordinary HTTP error instead of a WebSocket."""
    status = STATUS[type(error)]
    exchange.answered(status)
    body = error_body(error.code, error.message, exchange.request_id) + b"\n"
    headers = error_headers(exchange.request_id, {**refusal_headers(error), "Content-Length": str(len(body))})
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body, "more_body": False})
