"""Connections to the server under test: any bytes out, an answer or its absence in; never more at once than allowed.

Nothing here knows what a good answer is.
"""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import h11
import orjson
import trio

MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
"""More than any Moltnet server may answer; what comes behind is not read."""
MAX_ANSWERS: Final = 1000
_RECEIVE_BYTES: Final = 64 * 1024


class BadTarget(ValueError):
    """The text is no address of a server."""


@attrs.frozen
class Place:
    """Where the server is. ``prefix`` goes before every path, without a slash at its end."""

    host: str
    port: int
    is_tls: bool
    prefix: str = ""

    @classmethod
    def parse(cls, url: str) -> "Place":
        """Raises ``BadTarget``."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise BadTarget("that is no URL") from error
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise BadTarget("an address looks like http://host:port or https://host")
        is_tls = parts.scheme == "https"
        return cls(parts.hostname, port or (443 if is_tls else 80), is_tls, parts.path.rstrip("/"))

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@attrs.frozen
class Answered:
    """A whole answer. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The machine code of an error, if it has one."""
        document = self.json()
        return str(document.get("code", "")) if isinstance(document, dict) else ""

    def json(self) -> Any:
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    def __str__(self) -> str:
        return f"{self.status} {self.code}".rstrip()


@attrs.frozen
class Ended:
    """The connection ended without an answer."""

    def __str__(self) -> str:
        return "closed"


@attrs.frozen
class Silent:
    """Nothing came, and the connection is still there."""

    seconds: float

    def __str__(self) -> str:
        return "no answer"


@attrs.frozen
class Garbled:
    """What came is no HTTP."""

    text: str

    def __str__(self) -> str:
        return "no HTTP"


Outcome = Answered | Ended | Silent | Garbled


@attrs.define(eq=False)
class Line:
    """One open connection."""

    stream: trio.abc.Stream

    async def send(self, data: bytes) -> bool:
        """Whether the server still takes anything."""
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        return True

    async def receive(self) -> bytes:
        """The next bytes; none at the end, however it came."""
        try:
            return bytes(await self.stream.receive_some(_RECEIVE_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def answer(self, patience_seconds: float) -> Outcome:
        """The first answer."""
        return (await self.answers(1, patience_seconds))[-1]

    async def answers(self, count: int, patience_seconds: float) -> list[Outcome]:
        """So many answers, or as many as come before something else does."""
        found: list[Outcome] = []
        pending = b""
        with trio.move_on_after(patience_seconds) as limit:
            while len(found) < min(count, MAX_ANSWERS):
                outcome, pending = await self._one(pending)
                found.append(outcome)
                if not isinstance(outcome, Answered):
                    break
        if limit.cancelled_caught:
            found.append(Silent(patience_seconds))
        return found

    async def _one(self, pending: bytes) -> tuple[Outcome, bytes]:
        # What was sent may be no request at all; h11 only wants to have sent one before it reads an answer.
        http = h11.Connection(h11.CLIENT)
        http.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
        http.send(h11.EndOfMessage())
        if pending:
            http.receive_data(pending)
        head: h11.Response | None = None
        body = b""
        try:
            while True:
                event = http.next_event()
                if event is h11.NEED_DATA:
                    data = await self.receive()
                    if not data and head is None and not http.trailing_data[0]:
                        return Ended(), b""
                    http.receive_data(data)
                elif isinstance(event, h11.Response):
                    head = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                    if len(body) > MAX_ANSWER_BYTES:
                        return Garbled("an answer without end"), b""
                elif isinstance(event, h11.EndOfMessage) and head is not None:
                    headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
                    return Answered(head.status_code, headers, body), http.trailing_data[0]
                elif isinstance(event, h11.ConnectionClosed):
                    return Ended(), b""
        except h11.RemoteProtocolError as error:
            if head is not None:
                return Ended(), b""  # cut in the middle of its answer
            return Garbled(str(error)), b""


@attrs.define(eq=False)
class Wire:
    """All connections to one server: at most ``connections`` at once, and at most ``rate`` new ones a second."""

    place: Place
    rate: float
    connections: int
    opened: int = attrs.field(default=0, init=False)
    _slots: trio.Semaphore = attrs.field(init=False)
    _next_at: float = attrs.field(default=0.0, init=False)

    @_slots.default
    def _make_slots(self) -> trio.Semaphore:
        return trio.Semaphore(self.connections)

    async def pace(self) -> None:
        """Wait for the next turn."""
        now = trio.current_time()
        self._next_at = max(self._next_at, now) + 1 / self.rate
        await trio.sleep_until(self._next_at)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Line]:
        """A connection of its own. Raises ``OSError``."""
        async with self._slots:
            await self.pace()
            stream: trio.abc.Stream = await trio.open_tcp_stream(self.place.host, self.place.port)
            self.opened += 1
            if self.place.is_tls:
                context = ssl.create_default_context()
                stream = trio.SSLStream(stream, context, server_hostname=self.place.host, https_compatible=True)
            try:
                yield Line(stream)
            finally:
                with suppress(Exception):
                    await trio.aclose_forcefully(stream)

    async def exchange(self, raw: bytes, patience_seconds: float) -> Outcome:
        """Send bytes on a connection of their own, and what comes of it."""
        try:
            async with self.open() as line:
                await line.send(raw)
                return await line.answer(patience_seconds)
        except OSError:
            return Ended()

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        token: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """A request as it should be."""
        fields = {"Host": self.place.authority, **({"Authorization": f"Bearer {token}"} if token else {})}
        if body is not None:
            fields |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        fields |= headers or {}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        text = f"{method} {self.place.prefix}{path} HTTP/1.1\r\n{head}\r\n"
        return text.encode("latin-1") + (body or b"")
