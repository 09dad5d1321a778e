"""HTTP exchanges with one server: which connection carries a request, and what is kept for the next one.

Deadlines belong to the caller: wrap a call in ``trio.fail_after``. Redirects are never followed, so a credential goes
to the server that it was given for and to no other. Compressed answers are asked for over a network, not on the same
host, where they only cost time. What the answers mean is ``api``.
"""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import attrs
import trio

from moltnet.client.address import ServerAddress
from moltnet.client.codings import GZIP, IDENTITY, BadCompression, gunzip
from moltnet.client.connection import Connection, Head
from moltnet.client.dialing import dial
from moltnet.client.errors import AnswerTooLarge, ServerMisbehaved, ServerUnreachable
from moltnet.client.guard import AddressGuard
from moltnet.client.limits import MAX_ANSWER_BYTES, MAX_CONNECTIONS, MAX_IDLE_SECONDS
from moltnet.client.proxies import Proxy, find_proxy

_REPEATABLE: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})


@attrs.frozen
class Request:
    """One request. ``path`` begins with a slash, is percent-encoded, and goes after the server's prefix."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@attrs.frozen
class Answer:
    """A complete answer, whatever its status."""

    head: Head
    body: bytes

    @property
    def status(self) -> int:
        return self.head.status


@attrs.define(eq=False)
class OpenAnswer:
    """An answer whose body is still coming. The caller closes it."""

    head: Head
    _connection: Connection

    async def receive_some(self) -> bytes:
        """The next piece of the body as it arrives, empty at its end. May be cancelled and called again."""
        return await self._connection.receive_data()

    async def receive_rest(self, max_bytes: int = MAX_ANSWER_BYTES) -> Answer:
        """Everything up to the end."""
        return Answer(self.head, await self._connection.receive_body(max_bytes))

    async def aclose(self) -> None:
        await self._connection.aclose()


@attrs.define(eq=False)
class HttpClient:
    """Exchanges with one server; any number of tasks may use it. Made by ``open_http``."""

    server: ServerAddress
    _headers: tuple[tuple[str, str], ...] = attrs.field(repr=False)
    _proxy: Proxy | None
    _tls: ssl.SSLContext | None
    _guard: AddressGuard | None = None
    _slots: trio.CapacityLimiter = attrs.field(factory=lambda: trio.CapacityLimiter(MAX_CONNECTIONS), init=False)
    _idle: list[tuple[float, Connection]] = attrs.field(factory=list, init=False)

    async def exchange(self, request: Request, *, max_bytes: int = MAX_ANSWER_BYTES) -> Answer:
        """Send ``request``, wait for the whole answer. At most ``MAX_CONNECTIONS`` run at once, others wait.

        Cancelled, the connection is given up: the server may or may not have acted on the request.

        Raises:
            ServerUnreachable: no complete answer came.
            ServerMisbehaved: what came is not HTTP, or larger than ``max_bytes`` (``AnswerTooLarge``).
        """
        async with self._slots:
            connection = await self._take_idle()
            if connection is not None:
                try:
                    return await self._exchange_on(connection, request, max_bytes)
                except ServerUnreachable:
                    # The server closed the idle connection while the request was on its way.
                    if connection.answer_begun or request.method not in _REPEATABLE:
                        raise
            return await self._exchange_on(await self._connect(), request, max_bytes)

    async def start(self, request: Request) -> OpenAnswer:
        """Send ``request`` on a connection of its own and wait for the answer's head. Raises as ``exchange`` does."""
        connection = await self._connect()
        try:
            return OpenAnswer(await self._send(connection, request, IDENTITY), connection)
        except BaseException:
            await connection.aclose()
            raise

    async def aclose(self) -> None:
        """Close what is idle, cancelled or not."""
        # Closing does not block, but is a checkpoint: cancelled there, the others would stay open.
        with trio.CancelScope(shield=True):
            while self._idle:
                await self._idle.pop()[1].aclose()

    async def _exchange_on(self, connection: Connection, request: Request, max_bytes: int) -> Answer:
        kept = False
        try:
            head = await self._send(connection, request, IDENTITY if self.server.is_this_host else GZIP)
            if (announced := head.header("content-length")).isdigit() and int(announced) > max_bytes:
                raise AnswerTooLarge(connection.server, max_bytes)
            answer = Answer(head, self._plain(head, await connection.receive_body(max_bytes), max_bytes))
            if connection.prepare_next():
                self._idle.append((trio.current_time(), connection))
                kept = True
            return answer
        finally:
            if not kept:
                await connection.aclose()

    async def _send(self, connection: Connection, request: Request, coding: str) -> Head:
        target = f"{self.server.prefix}{request.path}"
        headers = [("Host", self.server.authority), ("Accept-Encoding", coding), *self._headers, *request.headers]
        if self._proxy is not None and not self.server.is_tls:
            target = f"{self.server.scheme}://{self.server.authority}{target}"
            if self._proxy.authorization:
                headers.append(("Proxy-Authorization", self._proxy.authorization))
        if request.body or request.method not in ("GET", "HEAD"):
            headers.append(("Content-Length", str(len(request.body))))
        await connection.send_request(request.method, target, headers, request.body)
        head = await connection.receive_head()
        if head.header("content-encoding").lower() not in ("", IDENTITY, coding):
            raise ServerMisbehaved(connection.server, "sent a compressed answer that was not asked for")
        return head

    def _plain(self, head: Head, body: bytes, max_bytes: int) -> bytes:
        if head.header("content-encoding").lower() != GZIP or not body:
            return body
        try:
            plain = gunzip(body, max_bytes)
        except BadCompression as error:
            raise ServerMisbehaved(str(self.server), f"sent a compressed answer that can't be read: {error}") from error
        if len(plain) > max_bytes:
            raise AnswerTooLarge(str(self.server), max_bytes)
        return plain

    async def _connect(self) -> Connection:
        stream, socket = await dial(self.server, proxy=self._proxy, tls=self._tls, guard=self._guard)
        return Connection(str(self.server), socket, stream)

    async def _take_idle(self) -> Connection | None:
        """The youngest idle connection that is still good; the others that are not are closed on the way."""
        while self._idle:
            since, connection = self._idle.pop()
            if trio.current_time() - since < MAX_IDLE_SECONDS and connection.is_quiet():
                return connection
            await connection.aclose()
        return None


@asynccontextmanager
async def open_http(
    server: ServerAddress,
    *,
    headers: Mapping[str, str],
    environ: Mapping[str, str],
    tls: ssl.SSLContext | None = None,
    guard: AddressGuard | None = None,
) -> AsyncIterator[HttpClient]:
    """A client for ``server``; ``headers`` go with every request. Nothing is connected yet.

    ``guard`` says to which addresses the server's name may lead; to any, unless given.

    Raises:
        BadServerAddress: a proxy variable in ``environ`` is unusable.
    """
    client = HttpClient(server, tuple(headers.items()), find_proxy(server, environ), tls, guard)
    try:
        yield client
    finally:
        await client.aclose()
