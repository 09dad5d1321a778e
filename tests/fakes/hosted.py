"""One store and its guests in one process, over real sockets."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from moltnet.protocol.ids import NetworkId
from moltnet.storage.hosted.guest import GuestStore, open_guest
from moltnet.storage.hosted.host import Host
from moltnet.storage.hosted.link import Link
from moltnet.storage.store import Store

OpenGuest = Callable[[], AbstractAsyncContextManager[GuestStore]]


def socket_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    one, other = socket.socketpair()
    return tuple(trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in (one, other))  # type: ignore[return-value]


@asynccontextmanager
async def open_host(opening: AbstractAsyncContextManager[Store], network_id: NetworkId) -> AsyncIterator[OpenGuest]:
    """Host a store; what is yielded opens one more guest, which leaves with its block as one that is killed does."""
    async with opening as store, trio.open_nursery() as nursery:
        host = Host(network_id, store)
        nursery.start_soon(host.run)

        async def serve(stream: trio.SocketStream) -> None:
            link = Link(stream)
            with host.guest(link) as (link.answers, link.hears):
                await link.run()

        @asynccontextmanager
        async def open_another() -> AsyncIterator[GuestStore]:
            ours, theirs = socket_pair()
            nursery.start_soon(serve, ours)
            async with trio.open_nursery() as linked:
                link = Link(theirs)
                linked.start_soon(link.run)
                async with open_guest(link, network_id) as guest:
                    yield guest
                linked.cancel_scope.cancel()

        yield open_another
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_hosted(opening: AbstractAsyncContextManager[Store], network_id: NetworkId) -> AsyncIterator[Store]:
    """A store as its only guest sees it."""
    async with open_host(opening, network_id) as open_another, open_another() as guest:
        yield guest
