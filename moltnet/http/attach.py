"""``GET /v1/attach``: the WebSocket gateway, straight on ASGI.

Without a framework in between, a disconnect is an answer to ``receive`` instead of a cancellation, and an idle
attachment holds less memory.
"""

from collections import deque
from contextlib import AbstractContextManager

import attrs
import trio
from wsproto.connection import ConnectionState

from moltnet.app import App
from moltnet.attach.link import CloseCode, LinkClosed, OneAtATime, short_reason
from moltnet.auth.claims import Claims, CredentialKind
from moltnet.config.settings import AuthMode, Registration, Scope
from moltnet.core.access import require
from moltnet.core.errors import Refused
from moltnet.fanout.frames import Sendable
from moltnet.http.entrance import admitted, claims_of, look_for, require_host, require_origin
from moltnet.http.envelope import STATUS, error_body, refusal_headers
from moltnet.http.exchange import ATTACH_ROUTE, UPGRADED, Exchange, Message, Receive, Send
from moltnet.http.headers import error_headers

_NORMAL, _GONE = 1000, 1006


@attrs.define(eq=False)
class AsgiLink:
    """An accepted ASGI WebSocket. It can't be sent anything without waiting, so what is pushed waits for ``flush``."""

    _receive: Receive
    _send: Send
    _open: bool = attrs.field(init=False, default=True)
    _unsent: deque[str] = attrs.field(init=False, factory=deque)
    _writing: OneAtATime = attrs.field(init=False, factory=OneAtATime)

    def push(self, what: Sendable) -> bool:
        if self._open:
            self._unsent.extend(what.texts)
        return not self._unsent

    async def flush(self) -> None:
        await self._writing.until(lambda: not self._unsent, self._write)

    async def send(self, text: str) -> None:
        if self._open:
            self._unsent.append(text)
            await self.flush()
        await trio.lowlevel.checkpoint()

    async def _write(self) -> None:
        while self._open and self._unsent:
            await self._send({"type": "websocket.send", "bytes": None, "text": self._unsent.popleft()})
        self._unsent.clear()
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
            await self.flush()  # a message that is on its way goes out whole; the others will come again
            await self._send({"type": "websocket.close", "code": int(code), "reason": short_reason(reason)})


def _peer_said_goodbye(send: Send) -> bool:
    """Whether the peer has sent a close frame, before we sent one.

    Hypercorn 0.18 reports 1006 also then and keeps the code to itself; its connection knows that both sides are done.
    Under another server the answer is no.
    """
    connection = getattr(getattr(send, "__self__", None), "connection", None)
    return getattr(connection, "state", None) is ConnectionState.CLOSED


@attrs.define(eq=False)
class Upgrade:
    """An upgrade that was let in. As a block it is its place among the handshakes, until the peer is ``identified``."""

    claims: Claims
    _app: App
    _source: str
    _handshake: AbstractContextManager[None] | None = attrs.field(default=None, init=False)

    def __enter__(self) -> None:
        self._handshake = self._app.admission.handshake(self._source)
        self._handshake.__enter__()

    def __exit__(self, *_error: object) -> None:
        handshake, self._handshake = self._handshake, None
        if handshake is not None:
            handshake.__exit__(None, None, None)

    async def identified(self) -> None:
        """The peer has said which agent it is. Raises ``RateLimited`` if its address has claimed too many."""
        self.__exit__()
        if self.claims.kind is CredentialKind.ANONYMOUS:
            self._app.admission.admit_registration(self.claims, self._source)
            await self._app.admission.confirm_registration(self.claims, self._source)


async def let_in(app: App, exchange: Exchange, *, authorization: str | None, origin: str | None) -> Upgrade:
    """Check who attaches, from where, and that there is a place for it. Raises ``Refused``, which has been counted."""
    exchange.route = ATTACH_ROUTE
    source = exchange.client.source
    try:
        require_host(app, exchange.client)
        await look_for(app, source, authorization=authorization)
        claims = _attach_claims(app, exchange, authorization)
        require_origin(app, origin, exchange.client)
        exchange.held.enter_context(app.admission.attachment(claims, source))
        upgrade = Upgrade(claims, app, source)
        exchange.held.enter_context(upgrade)
    except Refused as error:
        app.metrics.attach.refused(error.code)
        raise
    return upgrade


async def serve_attach(app: App, exchange: Exchange, scope: Message, receive: Receive, send: Send) -> None:
    """Check credential and origin, accept, and run the attachment until it ends."""
    headers = _headers(scope)
    await receive()  # websocket.connect
    try:
        upgrade = await let_in(app, exchange, authorization=headers.get("authorization"), origin=headers.get("origin"))
    except Refused as error:
        await refuse(send, error, exchange)
        return
    _refuse_compression(send)
    exchange.answered(UPGRADED)
    request_id = (b"x-request-id", exchange.request_id.encode())
    await send({"type": "websocket.accept", "subprotocol": None, "headers": [request_id]})
    exchange.ending = await app.gateway.serve(AsgiLink(receive, send), upgrade.claims, upgrade.identified)


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
    claims = admitted(
        app, exchange.client.source, lambda: claims_of(app, authorization), presents=authorization is not None
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
