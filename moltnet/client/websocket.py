"""A WebSocket to a server: dialing, the upgrade, and a bounded close.

Errors of sockets, TLS and trio-websocket are translated here; above are only ``ConnectionLost`` and ``AttachRefused``.
What is said over it is the business of ``attachment``, or of a runtime's.
"""

import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final, cast

import attrs
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection, wrap_client_stream
from wsproto.utilities import LocalProtocolError

from moltnet.client import limits
from moltnet.client.address import ServerAddress
from moltnet.client.answers import error_envelope
from moltnet.client.dialing import dial
from moltnet.client.errors import (
    AttachRefused,
    BadServerAddress,
    ConnectionLost,
    ServerUnreachable,
    rejected_token_advice,
    single_error,
)
from moltnet.client.proxies import find_proxy
from moltnet.protocol.limits import CLOSE_SECONDS, MAX_FRAME_BYTES

ATTACH_PATH: Final = "/v1/attach"
POLICY: Final = 1008
PASSING_CODES: Final = frozenset({1012, 1013})
"""Close codes of a server that wants us back: it restarts, or has too much to do."""

# An upgrade answered with one of these may be granted later; any other answer than 101 is a refusal.
_PASSING_STATUSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_CREDENTIAL_STATUSES: Final = frozenset({401, 403})


class WebSocketClosed(ConnectionLost):
    """The peer, or the network, ended it. ``code`` is 1006 without a close frame."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"closed with {code}" + (f": {text}" if text else ""))
        self.code = code
        self.text = text


@attrs.define(eq=False)
class WebSocket:
    """An open connection. Made by ``open_websocket``. Closed with ``close_code`` when its block ends."""

    _connection: WebSocketConnection
    close_code: int = attrs.field(default=1000, init=False)

    async def receive(self) -> str | bytes:
        """The next message. Raises ``WebSocketClosed``. May be cancelled and called again."""
        try:
            return await self._connection.get_message()
        except ConnectionClosed as closed:
            raise _closed(closed) from None

    async def send(self, text: str) -> None:
        """Send one message; any task may. Cancelled, the connection must be given up: part of a frame may be out.

        Raises:
            ConnectionLost: it is closed, or the peer took nothing for ``limits.WRITE_SECONDS``.
        """
        with trio.move_on_after(limits.WRITE_SECONDS) as writing:
            try:
                await self._connection.send_message(text)
            except ConnectionClosed as closed:
                raise _closed(closed) from None
            except LocalProtocolError as error:  # our close frame, for a message that is too big, went out before
                raise ConnectionLost("closed while a message was sent") from error
        if writing.cancelled_caught:
            raise ConnectionLost(f"the server took nothing for {limits.WRITE_SECONDS:g} s")


@asynccontextmanager
async def open_websocket(
    server: ServerAddress,
    token: str | None,
    environ: Mapping[str, str],
    *,
    path: str = ATTACH_PATH,
    max_message_bytes: int = MAX_FRAME_BYTES,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[WebSocket]:
    """Connect to an endpoint of ``server``, that for attachments unless given, within ``limits.UPGRADE_SECONDS``.

    Leaving the block says goodbye and waits ``CLOSE_SECONDS`` for the answer; when cancelled, it only closes.

    Raises:
        ConnectionLost: it could not be made now.
        AttachRefused: the server, or whatever answers there, does not want it.
    """
    try:
        with single_error():
            async with trio.open_nursery() as nursery:
                with trio.move_on_after(limits.UPGRADE_SECONDS) as upgrading:
                    stream = _WatchedStream(await _dial(server, environ, tls), upgrading.cancel)
                    connection = await _upgrade(nursery, stream, server, token, path, max_message_bytes)
                if upgrading.cancelled_caught:
                    raise ConnectionLost(f"{server} did not answer the upgrade, or ended the connection")
                stream.on_end = None
                websocket = WebSocket(connection)
                try:
                    yield websocket
                finally:
                    with trio.move_on_after(CLOSE_SECONDS):
                        await connection.aclose(websocket.close_code)
                    # It leaves the stream open when the peer closed first.
                    await trio.aclose_forcefully(stream)
                nursery.cancel_scope.cancel(reason="the connection is closed")
    except ConnectionRejected as rejected:
        raise _refusal(server, rejected, token) from rejected


async def _dial(server: ServerAddress, environ: Mapping[str, str], tls: ssl.SSLContext | None) -> trio.abc.Stream:
    try:
        # Only TLS servers are reached through a proxy: without TLS it would have to understand WebSocket.
        proxy = find_proxy(server, environ) if server.is_tls else None
        stream, _socket = await dial(server, proxy=proxy, tls=tls)
    except BadServerAddress as error:
        raise AttachRefused(str(error)) from error
    except ServerUnreachable as error:
        raise ConnectionLost(str(error)) from error
    return stream


async def _upgrade(
    nursery: trio.Nursery,
    stream: trio.abc.Stream,
    server: ServerAddress,
    token: str | None,
    path: str,
    max_message_bytes: int,
) -> WebSocketConnection:
    try:
        return await wrap_client_stream(
            nursery,
            cast(trio.SocketStream, stream),
            server.authority,
            server.prefix + path,
            extra_headers=[] if token is None else [(b"Authorization", f"Bearer {token}".encode())],
            max_message_size=max_message_bytes,
            receive_buffer_size=limits.RECEIVE_BYTES,
        )
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


@attrs.define(eq=False)
class _WatchedStream(trio.abc.Stream):
    """A stream that tells of its end: trio-websocket does not notice one during the upgrade, and waits for ever."""

    _stream: trio.abc.Stream
    on_end: Callable[[], None] | None

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data: bytes | bytearray = b""
        try:
            data = await self._stream.receive_some(max_bytes)
        finally:
            if not data and self.on_end is not None:
                self.on_end()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _closed(closed: ConnectionClosed) -> WebSocketClosed:
    if closed.reason is None:
        return WebSocketClosed(1006, "")
    return WebSocketClosed(closed.reason.code, closed.reason.reason or "")


def _refusal(server: ServerAddress, rejected: ConnectionRejected, token: str | None) -> ConnectionLost | AttachRefused:
    status = rejected.status_code
    _, reason, _ = error_envelope(rejected.body or b"")
    text = f"{server} answered the upgrade with {status}" + (f": {reason}" if reason else "")
    if status in _PASSING_STATUSES:
        return ConnectionLost(text, retry_after_seconds=_retry_after_seconds(rejected))
    if status == 401:
        text = f"{text}; {rejected_token_advice(token)}"
    return AttachRefused(text, certain=status in _CREDENTIAL_STATUSES)


def _retry_after_seconds(rejected: ConnectionRejected) -> float:
    fields = {name.lower(): value for name, value in rejected.headers or ()}
    text = bytes(fields.get(b"retry-after", b"")).decode("latin-1").strip()
    return float(text) if re.fullmatch(r"[0-9]{1,9}", text) else 0.0
