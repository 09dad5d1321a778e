"""A wire that a test can cut or hold: everything is passed on between clients and one server."""

import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import attrs
import trio

# What a client of PostgreSQL says first if it wants TLS.
_SSL_REQUEST: Final = struct.pack("!ii", 8, 80877103)


@attrs.define(eq=False)
class Proxy:
    """`port` is where to connect. `cut_at`, `cut_after`: bytes of a client at which its connection is cut, once."""

    server_port: int
    port: int = 0
    cut_at: bytes = b""
    """Cut before the server sees them."""
    cut_after: bytes = b""
    """Cut when the server has answered, before the client sees it."""
    cuts: int = 0
    lifetimes: Iterator[int] | None = None
    """How many pieces, of either direction, each new connection passes on before it is cut; at its end, all."""
    refusing: bool = False
    """Connections are closed at once."""
    accepted: int = 0
    forgery: tuple[bytes, bytes] | None = None
    """What the server says, and what its clients hear instead; of the same length."""
    forged: int = 0
    tls: ssl.SSLContext | None = None
    secured: int = 0
    """How many clients have trusted our certificate."""
    _scopes: set[trio.CancelScope] = attrs.field(factory=set)
    _passing: trio.Event = attrs.field(factory=trio.Event)

    def __attrs_post_init__(self) -> None:
        self._passing.set()

    def hold(self) -> None:
        """Let nothing through and say nothing, as a network does that is gone."""
        self._passing = trio.Event()

    def release(self) -> None:
        self._passing.set()

    def cut_all(self) -> None:
        """Cut every connection. New ones are taken."""
        for scope in self._scopes:
            scope.cancel()

    async def serve(self, client: trio.SocketStream) -> None:
        self.accepted += 1
        if self.refusing:
            await trio.aclose_forcefully(client)
            return
        with suppress(OSError), trio.CancelScope() as scope:
            self._scopes.add(scope)
            async with client, await trio.open_tcp_stream("127.0.0.1", self.server_port) as server:
                if self.tls is None:
                    await self._pass_on(client, server)
                else:
                    await self._pass_on(await self._secured(client, self.tls), server)
        self._scopes.discard(scope)

    async def _secured(self, client: trio.SocketStream, tls: ssl.SSLContext) -> trio.abc.Stream:
        """PostgreSQL is asked for TLS before TLS begins. Here everybody must ask."""
        assert await client.receive_some(8) == _SSL_REQUEST
        await client.send_all(b"S")
        secured = trio.SSLStream(client, tls, server_side=True)
        with suppress(trio.BrokenResourceError):  # the client trusts us, or not
            await secured.do_handshake()
            self.secured += 1
        return secured

    async def _pass_on(self, client: trio.abc.Stream, server: trio.SocketStream) -> None:
        swallowing = False
        pieces_left = None if self.lifetimes is None else next(self.lifetimes, None)

        def lives_on() -> bool:
            nonlocal pieces_left
            if pieces_left is None:
                return True
            pieces_left -= 1
            self.cuts += pieces_left == -1
            return pieces_left >= 0

        async def up() -> None:
            nonlocal swallowing
            while data := await client.receive_some():
                await self._passing.wait()
                if not lives_on():
                    break
                if self.cut_at and self.cut_at in data:
                    self.cut_at, self.cuts = b"", self.cuts + 1
                    break
                if self.cut_after and self.cut_after in data:
                    self.cut_after, self.cuts, swallowing = b"", self.cuts + 1, True
                await server.send_all(data)

        async def down() -> None:
            while (data := await server.receive_some()) and not swallowing:
                await self._passing.wait()
                if not lives_on():
                    break
                if self.forgery is not None:
                    self.forged += data.count(self.forgery[0])
                    data = data.replace(*self.forgery)
                await client.send_all(data)

        async def until_broken(direction: Callable[[], Awaitable[None]]) -> None:
            with suppress(trio.BrokenResourceError):
                await direction()
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(until_broken, up)
            nursery.start_soon(until_broken, down)


@asynccontextmanager
async def open_proxy(server_port: int, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    proxy = Proxy(server_port, tls=tls)
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        proxy.port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, proxy.serve, [listener])
        yield proxy
        nursery.cancel_scope.cancel()
