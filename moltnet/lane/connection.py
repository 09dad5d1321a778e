"""One connection of the fast lane: canonical requests of the hot routes, served in the connection's own task.

    LaneConnection.run            one scope, which ends what was idle for too long, or took too long for a head
    ├── read_head                 what is not canonical goes to the full parser, with all that was read (``Unread``)
    ├── HotAnswers.answer         the same functions as Quart's routes
    └── serve_attach_raw, serve_events_raw      until the session ends

There is no task but the one that accepted the connection, and one of the server that looks after all of them. Requests
that come in one piece are answered in their order; what has been handed over never comes back. Rules live in
``moltnet.http``; the grammar in ``moltnet.lane.head``.
"""

import os
import socket
from collections.abc import Callable, Sequence
from time import time
from typing import Final

import attrs
import trio
from hypercorn.config import Config
from werkzeug.exceptions import RequestTimeout

from moltnet.app import App
from moltnet.http.answer import Answer
from moltnet.http.backlog import Backlog
from moltnet.http.call import Call, HungUp, begin
from moltnet.http.client_address import ClientAddress, IpNetwork, client_at
from moltnet.http.connection import Unread, peer_of
from moltnet.http.exchange import CLIENT_LEFT, CRASHED, Exchange
from moltnet.http.failures import failure
from moltnet.http.floods import flood
from moltnet.http.front import Front
from moltnet.http.headers import request_id_from
from moltnet.http.http1 import refusal
from moltnet.lane.answers import answer_bytes
from moltnet.lane.events import serve_events_raw
from moltnet.lane.head import Head, Raw, Verdict, read_head
from moltnet.lane.websocket import serve_attach_raw
from moltnet.lane.wire import Wire
from moltnet.protocol import limits

_RECEIVE_BYTES: Final = 64 * limits.KIB
# The least of all times here is HEAD_SECONDS. To ask whether a client has left takes a system call.
_LOOK_SECONDS: Final = 1.0
_FORWARDED: Final = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host")
_HOST: Final = b"host"
_REQUEST_ID: Final = b"x-request-id"


@attrs.define(eq=False)
class Lane:
    """What the connections of one server share. ``is_draining`` says that no more requests are taken."""

    front: Front
    config: Config
    backlog: Backlog
    is_draining: Callable[[], bool]
    app: App = attrs.field(init=False)
    open: set["LaneConnection"] = attrs.field(factory=set, init=False)
    _fields: bytes = attrs.field(default=b"", init=False)
    _fields_of: int = attrs.field(default=0, init=False)

    @app.default
    def _app_of_front(self) -> App:
        return self.front.app

    def connect(self, stream: trio.SocketStream) -> "LaneConnection":
        return LaneConnection(self, Wire(stream, self.backlog, peer_of(stream)))

    async def look_after(self) -> None:
        """End what is overdue, and requests that are under way for long and whose client has left. Until cancelled.

        So no connection needs a timer of its own, each of which would be set and taken back for every request.
        """
        while True:
            await trio.sleep(_LOOK_SECONDS)
            now = trio.current_time()
            for connection in tuple(self.open):
                connection.look(now)

    def end_idle(self) -> None:
        """Take no more requests from those that wait for one."""
        for connection in tuple(self.open):
            connection.end_if_idle()

    def fields(self) -> bytes:
        """The header lines that Hypercorn adds to every answer, one of which is the time in seconds."""
        second = int(time())
        if second != self._fields_of:
            lines = (b"%b: %b\r\n" % field for field in self.config.response_headers("h11"))
            self._fields, self._fields_of = b"".join(lines), second
        return self._fields


@attrs.define(eq=False)
class LaneConnection:
    """One connection, until it ends or is handed over."""

    _lane: Lane
    wire: Wire
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _due: float = attrs.field(default=float("inf"), init=False)
    _is_idle: bool = attrs.field(default=True, init=False)
    _has_begun: bool = attrs.field(default=False, init=False)
    _answered: int = attrs.field(default=0, init=False)
    _exchange: Exchange | None = attrs.field(default=None, init=False)
    _busy_since: float = attrs.field(default=0.0, init=False)
    _last_head: tuple[bytes, Head] | None = attrs.field(default=None, init=False)
    _last_client: tuple[bytes, Sequence[IpNetwork], ClientAddress] | None = attrs.field(default=None, init=False)

    async def run(self) -> Unread | None:
        """Serve until the peer has left, stayed idle for too long, or an answer said that it is the last one: then
        ``None``. Otherwise what was read and not served, for another parser to go on with."""
        self._lane.open.add(self)
        try:
            with self._scope:
                unread = await self._serve()
                if unread is None and not (self._is_idle or self.wire.is_broken):
                    with trio.CancelScope(shield=True):
                        await self.wire.linger(limits.CLOSE_SECONDS)
                return unread
        finally:
            self._lane.open.discard(self)
        return None

    def end_if_idle(self) -> None:
        if self._is_idle:
            self._scope.cancel(reason="the server stops")

    def cut(self) -> None:
        """Close the socket. Whoever waits for it sees an end or a broken connection."""
        self.wire.cut()

    def look(self, now: float) -> None:
        """End it if it is overdue, or if it waits for an answer that nobody will read."""
        if now > self._due:
            self._scope.cancel(reason="nothing came in time")
        exchange = self._exchange
        if exchange is not None and now - self._busy_since > _LOOK_SECONDS and _has_left(self.wire):
            exchange.ending = CLIENT_LEFT
            self._scope.cancel(reason="the client has hung up")

    async def _serve(self) -> Unread | None:
        while True:
            self._begin_idle()
            head = await self._next_head()
            if not isinstance(head, Head):
                return head
            self._is_idle, self._due = False, float("inf")
            del self.wire.received[: head.size_bytes]
            if isinstance(head.route, Raw):
                # It may last for days: whoever serves it keeps what it needs of its head.
                serving, self._last_head, self._last_client = self._serve_raw(head, head.route), None, None
                del head
                await serving
                return None
            if not await self._answer(head):
                return None

    async def _next_head(self) -> Head | Unread | None:
        """The next request; ``None`` at the end of the connection."""
        wire = self.wire
        while True:
            if wire.received:
                found = self._read_head()
                if isinstance(found, Head):
                    return found
                if found is Verdict.HAND_OVER:
                    return self._unread()
                # A request has begun; however it drips, it has this long for its head.
                if not self._has_begun:
                    self._has_begun = True
                    self._due = min(self._due, trio.current_time() + limits.HEAD_SECONDS)
            if not await wire.receive(_RECEIVE_BYTES):
                return self._ended()

    def _ended(self) -> Unread | None:
        """The peer sends no more. What it sent last may be half a request, which the full parser answers."""
        if self.wire.received and not self.wire.is_broken:
            return self._unread()
        return None

    def _unread(self) -> Unread:
        return Unread(bytes(self.wire.received), self._due)

    def _read_head(self) -> Head | Verdict:
        received = self.wire.received
        last = self._last_head
        if last is not None and received.startswith(last[0]):
            return last[1]
        head = read_head(received)
        if isinstance(head, Head):
            # A client asks for the same again and again, with the same headers. The blank line is part of it.
            self._last_head = (bytes(received[: head.size_bytes]), head)
        return head

    async def _answer(self, head: Head) -> bool:
        """Answer one request; whether another may follow."""
        body = _Body(self.wire, head.body_bytes)
        with self._exchange_of(head) as exchange:
            self._exchange, self._busy_since = exchange, trio.current_time()
            call = self._call(head, exchange, body)
            assert not isinstance(head.route, Raw)
            try:
                answer = await self._lane.front.hot.answer(call, head.route, head.wanted)
            except HungUp:
                exchange.ending = CLIENT_LEFT
                self.wire.write(self._half_a_request(exchange))
                return False
            finally:
                self._exchange = None
            is_last = head.is_last or self._answered >= self._lane.config.keep_alive_max_requests
            self._answered += 1
            await self._write(exchange, answer, is_last=is_last)
        return body.skip() and not (is_last or self.wire.is_broken or self._lane.is_draining())

    def _half_a_request(self, exchange: Exchange) -> bytes:
        """For a client that sends no more and may still read, what the full parser says to it."""
        headers, body = refusal(400, exchange.request_id)
        return answer_bytes(Answer(400, body, headers), self._lane.fields(), is_last=True)

    async def _serve_raw(self, head: Head, route: Raw) -> None:
        with self._exchange_of(head) as exchange:
            call = self._call(head, exchange, _Body(self.wire, 0))
            del head
            try:
                if route is Raw.ATTACH:
                    await serve_attach_raw(call, self.wire)
                else:
                    if (refusal := flood(call.app, call.path, call.headers, exchange)) is not None:
                        raise refusal
                    exchange.route = route.value
                    await begin(call)
                    await serve_events_raw(call, self.wire)
            except Exception as error:
                refused = failure(error, exchange.request_id, asked_for_room=False)
                if refused.status == 500:
                    exchange.ending = CRASHED
                if not exchange.status:
                    answer = await self._lane.front.hot.finish(call, refused)
                    await self._write(exchange, answer, is_last=True)

    async def _write(self, exchange: Exchange, answer: Answer, *, is_last: bool) -> None:
        exchange.answered(answer.status, len(answer.body))
        self.wire.write(answer_bytes(answer, self._lane.fields(), is_last=is_last))
        if self.wire.unsent_bytes:
            await self.wire.flush()
        if self.wire.is_broken:
            exchange.ending = CLIENT_LEFT

    def _exchange_of(self, head: Head) -> Exchange:
        given, client = head.headers.get(_REQUEST_ID), self._client(head)
        self._lane.front.unheard.look_at(client)
        metrics = self._lane.app.metrics.http
        return Exchange(head.method, head.path, request_id_from(given), client, metrics)

    def _call(self, head: Head, exchange: Exchange, body: "_Body") -> Call:
        return Call(self._lane.app, exchange, head.method, head.path, head.query, head.headers, body.whole)

    def _client(self, head: Head) -> ClientAddress:
        """Who calls: for all requests of a connection the same, unless the headers say otherwise."""
        first = head.headers.first
        proxies = self._lane.app.config.server.trusted_proxies
        if any(name in first for name in _FORWARDED):
            return client_at(self.wire.peer, "http", head.headers, proxies)
        host, last = first[_HOST], self._last_client
        # A reload brings other proxies.
        if last is None or last[0] != host or last[1] is not proxies:
            last = self._last_client = (host, proxies, client_at(self.wire.peer, "http", head.headers, proxies))
        return last[2]

    def _begin_idle(self) -> None:
        self._is_idle, self._has_begun = True, False
        if self._lane.is_draining():
            self._scope.cancel(reason="the server stops")
        self._due = trio.current_time() + self._lane.config.keep_alive_timeout


@attrs.define(eq=False)
class _Body:
    """The body of one request, which is small: most often all of it came together with the head."""

    _wire: Wire
    _waiting_bytes: int

    async def whole(self, _call: Call) -> bytes:
        """Raises ``HungUp``, or answers 408."""
        size_bytes, received = self._waiting_bytes, self._wire.received
        if len(received) < size_bytes:
            with trio.move_on_after(limits.BODY_SECONDS) as receiving:
                while len(received) < size_bytes:
                    if not await self._wire.receive(_RECEIVE_BYTES):
                        raise HungUp
            if receiving.cancelled_caught:
                raise RequestTimeout
        data = bytes(received[:size_bytes])
        self.skip()
        return data

    def skip(self) -> bool:
        """Pass over what nobody has read; whether it was all there, so that the next request can follow."""
        if len(self._wire.received) < self._waiting_bytes:
            return False
        del self._wire.received[: self._waiting_bytes]
        self._waiting_bytes = 0
        return True


def _has_left(wire: Wire) -> bool:
    """Whether the peer has said that it sends no more, or is gone. What it sent and nobody has read hides that."""
    if wire.is_broken:
        return True
    with socket.socket(fileno=os.dup(wire.stream.socket.fileno())) as peer:
        try:
            return not peer.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True
