"""Hypercorn shields its writes: a peer that stops reading could defeat every timeout and the shutdown (style, trap 1)."""

import socket

import pytest
import trio

from moltnet.config.urls import ListenAddress
from moltnet.protocol import limits
from moltnet.serving import GRACEFUL_SECONDS, TCP_USER_TIMEOUT_MS, open_sockets
from tests.fakes.attach_client import attach, open_websocket_wire
from tests.fakes.http_client import http_client, open_connection
from tests.fakes.network import TestServer, open_test_server, post_texts

# More than two sockets' buffers hold.
FLOOD = ["x" * 100_000] * 200
PATIENCE_SECONDS = GRACEFUL_SECONDS + limits.CLOSE_SECONDS + 5


async def stop(server: TestServer) -> None:
    server.stop.set()
    with trio.fail_after(PATIENCE_SECONDS):
        await server.ended.wait()


async def test_an_attachment_that_does_not_read_does_not_defeat_the_shutdown() -> None:
    async with open_test_server() as server, open_connection(server.url) as connection:
        await connection.stream.send_all(
            b"GET /v1/attach HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        await connection.stream.send_all(_masked(b'{"op":"IDENTIFY","version":"moltnet.attach.v1",'
                                                 b'"network_id":"lab","agent":{"id":"alpha"}}'))
        while not server.app.gateway.registry.is_connected(_ALPHA):
            await trio.sleep(0.001)
        await post_texts(server.app, *FLOOD)
        await stop(server)
        assert len(server.app.gateway.registry) == 0


async def test_an_event_stream_that_is_not_read_does_not_defeat_the_shutdown() -> None:
    async with open_test_server() as server, http_client(server).stream_events():
        await post_texts(server.app, *FLOOD)
        await stop(server)


async def test_an_answer_that_is_not_read_does_not_defeat_the_shutdown() -> None:
    async with open_test_server() as server, trio.open_nursery() as nursery:
        await post_texts(server.app, *(["x" * 2000] * 500))
        for _ in range(20):
            connection = await nursery.start(_ask_and_never_read, server.url)
            assert connection
        await stop(server)
        nursery.cancel_scope.cancel()


async def test_others_are_served_meanwhile() -> None:
    async with (
        open_test_server() as server,
        http_client(server).stream_events(),
        open_websocket_wire(server.url) as wire,
    ):
        client = await attach(wire, "beta")
        await post_texts(server.app, *FLOOD)
        assert await client.next_texts(len(FLOOD)) == FLOOD
        assert (await http_client(server).get("/v1/network")).status == 200


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the kernel has no such timeout")
async def test_accepted_sockets_inherit_the_kernels_timeout() -> None:
    (listening,) = open_sockets(ListenAddress("127.0.0.1", 0))
    with listening, socket.create_connection(listening.getsockname()):
        listening.setblocking(True)
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == TCP_USER_TIMEOUT_MS
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
