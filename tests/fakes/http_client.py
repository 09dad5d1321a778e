"""An HTTP client for tests of the server: one request per connection, any bytes, and event streams.

h11 over a Trio socket. It shares no code with `moltnet.client`, so that the two sides can't agree on a mistake. Every
answer is held against the OpenAPI document on the way.
"""

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import h11
import orjson
import trio

from moltnet.protocol.codec import unstructure
from tests.fakes.conformance import check_answer, check_event
from tests.fakes.network import TestServer, secret_of

PATIENCE_SECONDS: Final = 30.0
"""Bounds a test that hangs; no passing test waits for it."""


@attrs.frozen
class HttpAnswer:
    """Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def code(self) -> str:
        """The machine code of an error."""
        return str(self.json()["code"])


@attrs.define(eq=False)
class HttpConnection:
    """One connection. What is sent is up to the test."""

    stream: trio.SocketStream
    host: str = "lab.test"
    _asked: tuple[str, str] = attrs.field(init=False, default=("", ""))
    _http: h11.Connection = attrs.field(init=False, factory=lambda: h11.Connection(h11.CLIENT))

    async def send_request(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"", *, chunk_bytes: int = 0
    ) -> None:
        """Send a request; with `chunk_bytes` its body is chunked and its length not told."""
        framing = {"Transfer-Encoding": "chunked"} if chunk_bytes else {"Content-Length": str(len(body))}
        if method in ("GET", "HEAD", "OPTIONS") and not body:
            framing = {}
        fields = {"Host": self.host, **framing, **headers}
        self._asked = method, target
        raw_fields = [(name.encode(), value.encode("latin-1")) for name, value in fields.items()]
        head = h11.Request(method=method, target=target, headers=raw_fields)
        step = chunk_bytes or max(1, len(body))
        pieces = [body[start : start + step] for start in range(0, len(body), step)]
        events: list[h11.Event] = [head, *(h11.Data(data=piece) for piece in pieces), h11.EndOfMessage()]
        data = b"".join(self._http.send(event) or b"" for event in events)
        with suppress(trio.BrokenResourceError):  # the server has answered early and does not read on
            await self.stream.send_all(data)

    def expect_answer(self) -> None:
        """After bytes that this connection did not make: be ready for an answer to them."""
        request = h11.Request(method="GET", target="/", headers=[("Host", "lab.test")])
        for event in (request, h11.EndOfMessage()):
            self._http.send(event)

    def next_cycle(self) -> None:
        """After a whole answer: make ready for another request."""
        self._http.start_next_cycle()

    async def next_event(self) -> h11.Event:
        """The next event of the answer. Raises `h11.RemoteProtocolError` at an end that came too early."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            try:
                self._http.receive_data(bytes(await self.stream.receive_some()))
            except trio.BrokenResourceError:
                self._http.receive_data(b"")
        assert isinstance(event, h11.Event), event
        return event

    async def receive_head(self) -> h11.Response:
        while not isinstance(event := await self.next_event(), h11.Response):
            pass
        return event

    async def receive_answer(self) -> HttpAnswer:
        head, body = await self.receive_head(), b""
        while isinstance(event := await self.next_event(), h11.Data):
            body += bytes(event.data)
        answer = HttpAnswer(head.status_code, headers_of(head), body)
        method, target = self._asked
        if method:  # else nobody knows what was asked for
            check_answer(method, target, answer.status, answer.headers, body)
        return answer


def headers_of(head: h11.Response) -> Mapping[str, str]:
    return {name.decode(): value.decode() for name, value in head.headers}


def bearer(token_id: str) -> dict[str, str]:
    """The header of a token that `network.token` made; of a token's own text if it begins like an agent's."""
    return {"Authorization": f"Bearer {token_id if token_id.startswith('magt_') else secret_of(token_id)}"}


@asynccontextmanager
async def open_connection(url: str) -> AsyncIterator[HttpConnection]:
    address = urlsplit(url)
    assert address.hostname is not None
    assert address.port is not None
    stream = await trio.open_tcp_stream(address.hostname, address.port)
    try:
        yield HttpConnection(stream, address.netloc)
    finally:
        await trio.aclose_forcefully(stream)


@attrs.frozen
class HttpClient:
    """Requests to one server, as the holder of one token or of none."""

    url: str
    token_id: str = ""

    async def request(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        chunk_bytes: int = 0,
    ) -> HttpAnswer:
        """One exchange. `body` is bytes as they are, or a wire value, or plain JSON values."""
        data = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(unstructure(body))
        everything = {**(bearer(self.token_id) if self.token_id else {}), **(headers or {})}
        with trio.fail_after(PATIENCE_SECONDS):
            async with open_connection(self.url) as connection:
                await connection.send_request(method, target, everything, data, chunk_bytes=chunk_bytes)
                return await connection.receive_answer()

    async def get(self, target: str, **headers: str) -> HttpAnswer:
        """GET; `headers` have underscores for dashes."""
        return await self.request("GET", target, headers={name.replace("_", "-"): headers[name] for name in headers})

    async def post(self, target: str, body: object) -> HttpAnswer:
        return await self.request("POST", target, body)

    async def delete(self, target: str) -> HttpAnswer:
        return await self.request("DELETE", target)

    async def patch(self, target: str, body: object) -> HttpAnswer:
        return await self.request("PATCH", target, body)

    @asynccontextmanager
    async def stream_events(
        self,
        target: str = "/v1/events/stream",
        *,
        last_event_id: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator["EventSource"]:
        """An event stream that has begun."""
        headers = {**(bearer(self.token_id) if self.token_id else {}), **(headers or {})}
        if last_event_id:
            headers["Last-Event-ID"] = last_event_id
        async with open_connection(self.url) as connection:
            source = EventSource(connection)
            with trio.fail_after(PATIENCE_SECONDS):
                await connection.send_request("GET", target, headers)
                source.head = await connection.receive_head()
                assert source.head.status_code == 200, source.head
                assert await source.next_block() == ": stream-open"
            yield source


@attrs.frozen
class SentEvent:
    """One server-sent event."""

    id: str
    type: str
    event: dict[str, Any]

    @property
    def text(self) -> str:
        """The text of a message."""
        return str(self.event["message"]["parts"][0]["text"])


@attrs.define(eq=False)
class EventSource:
    """An open event stream."""

    connection: HttpConnection
    head: h11.Response | None = attrs.field(init=False, default=None)
    _buffer: bytes = attrs.field(init=False, default=b"")

    async def next_block(self) -> str | None:
        """The next block of lines, comments too; `None` at the end of the stream."""
        while b"\n\n" not in self._buffer:
            event = await self.connection.next_event()
            if not isinstance(event, h11.Data):
                assert isinstance(event, h11.EndOfMessage), event
                assert not self._buffer, "the stream ended within an event"
                return None
            self._buffer += bytes(event.data)
        block, _, self._buffer = self._buffer.partition(b"\n\n")
        return block.decode()

    async def next_event(self) -> SentEvent | None:
        """The next event; `None` at the end of the stream."""
        with trio.fail_after(PATIENCE_SECONDS):
            while (block := await self.next_block()) is not None:
                if not block.startswith(":"):
                    fields = dict(line.split(": ", 1) for line in block.split("\n"))
                    assert fields.keys() == {"id", "event", "data"}
                    check_event(fields["data"])
                    return SentEvent(fields["id"], fields["event"], orjson.loads(fields["data"]))
        return None

    async def next_of(self, event_type: str) -> SentEvent:
        """The next event of a type; others are passed over."""
        while (event := await self.next_event()) is not None:
            if event.type == event_type:
                return event
        raise AssertionError(f"the stream ended without {event_type}")


def http_client(server: TestServer, token_id: str = "") -> HttpClient:
    return HttpClient(server.url, token_id)


@asynccontextmanager
async def open_narrow_connection(url: str) -> AsyncIterator[HttpConnection]:
    """A connection for which the kernel takes little: who does not read is soon noticed."""
    address = urlsplit(url)
    narrow = trio.socket.socket(socket.AF_INET)
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await narrow.connect((address.hostname, address.port))
    async with trio.SocketStream(narrow) as stream:
        yield HttpConnection(stream)


@asynccontextmanager
async def open_silent_stream(server: TestServer, cursor: str = "", token_id: str = "") -> AsyncIterator[EventSource]:
    """A stream whose reader takes nothing by itself."""
    async with open_narrow_connection(server.url) as connection:
        headers = {**(bearer(token_id) if token_id else {}), **({"Last-Event-ID": cursor} if cursor else {})}
        await connection.send_request("GET", "/v1/events/stream", headers)
        source = EventSource(connection)
        assert (await connection.receive_head()).status_code == 200
        assert await source.next_block() == ": stream-open"
        yield source
