"""The front before Quart: plain requests of the hot routes, answered on ASGI (docs/decisions/0028).

Under every ASGI server, the plain ``hypercorn`` command included, they cost what the server itself costs, and no task,
context or routing of a framework.
"""

from contextlib import suppress
from typing import Final

import attrs
import trio
from werkzeug.exceptions import RequestTimeout

from moltnet.app import App
from moltnet.http.answer import Answer
from moltnet.http.call import Call, HungUp
from moltnet.http.exchange import Exchange, Message, Receive, Send
from moltnet.http.hot import HotAnswers, hot_route, is_plain
from moltnet.http.request_headers import RequestHeaders
from moltnet.http.unheard import UnheardProxies
from moltnet.protocol import limits

# How long a client may take to take an answer, as Quart has it for its own.
_ANSWER_SECONDS: Final = 60


@attrs.frozen(eq=False)
class Front:
    """``hot`` and ``unheard`` are shared with the fast lane."""

    app: App
    hot: HotAnswers = attrs.field(factory=HotAnswers)
    unheard: UnheardProxies = attrs.field(factory=UnheardProxies)

    async def serve(
        self, scope: Message, headers: RequestHeaders, exchange: Exchange, receive: Receive, send: Send
    ) -> bool:
        """Answer a request, if it is one for us. ``receive`` and ``send`` are those of the exchange."""
        method, path = scope["method"], scope["path"]
        found = hot_route(method, path)
        if found is None or not is_plain(method, headers):
            return False
        async with trio.open_nursery() as nursery:
            body = _Body(receive, nursery)
            if method != "POST":
                nursery.start_soon(body.watch)
            with suppress(HungUp):
                call = Call(self.app, exchange, method, path, scope["query_string"], headers, body.whole)
                answer = await self.hot.answer(call, *found)
                with trio.move_on_after(_ANSWER_SECONDS):
                    await _write(answer, send)
            nursery.cancel_scope.cancel(reason="the request has been answered")
        return True


async def _write(answer: Answer, send: Send) -> None:
    fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
    if answer.status != 304:
        fields.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": fields})
    # The end by itself: an answer is whole when it has been taken, not when it is being sent.
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@attrs.frozen(eq=False)
class _Body:
    """The body of one request, which is small. Who hangs up after it cancels the nursery: nobody would be answered."""

    _receive: Receive
    _nursery: trio.Nursery

    async def whole(self, _call: Call) -> bytes:
        """Raises ``HungUp``, or answers 408."""
        data = bytearray()
        with trio.move_on_after(limits.BODY_SECONDS):
            while True:
                message = await self._receive()
                if message["type"] != "http.request":
                    raise HungUp
                data += message.get("body", b"")
                if not message.get("more_body", False):
                    self._nursery.start_soon(self.watch)
                    return bytes(data)
        raise RequestTimeout

    async def watch(self) -> None:
        while (await self._receive())["type"] == "http.request":
            pass
        self._nursery.cancel_scope.cancel(reason="the client has hung up")
