"""Hypercorn shields its writes: a peer that stops reading could defeat timeouts and the shutdown (style, trap 1)."""

import socket

import pytest
import trio

from moltnet import serving
from moltnet.config.urls import ListenAddress
from moltnet.protocol import limits
from moltnet.serving import TCP_USER_TIMEOUT_MS, open_sockets
from tests.fakes.attach_client import attach, open_websocket_wire
from tests.fakes.http_client import http_client, open_connection
from tests.fakes.network import TestServer, open_test_server, post_texts

# More than the buffers of two sockets hold.
FLOOD = ["x" * 100_000] * 200


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's own deadlines, shorter: these tests wait for them."""
    monkeypatch.setattr(serving, "GRACEFUL_SECONDS", 0.3)
    monkeypatch.setattr(limits, "CLOSE_SECONDS", 0.2)


async def stop(server: TestServer) -> None:
    server.stop.set()
    with trio.fail_after(10):
        await server.ended.wait()


async def test_an_attachment_that_does_not_read_does_not_defeat_the_shutdown() -> None:
    async with open_test_server() as server, open_websocket_wire(server.url) as wire:
        await attach(wire, "alpha")
        await post_texts(server.app, *FLOOD)
        await stop(server)
        assert len(server.app.gateway.registry) == 0


async def test_event_streams_that_are_not_read_do_not_defeat_the_shutdown() -> None:
    async with (
        open_test_server() as server,
        http_client(server).stream_events(),
        http_client(server).stream_events(),
    ):
        await post_texts(server.app, *FLOOD)
        await stop(server)


async def test_an_answer_that_is_not_read_does_not_defeat_the_shutdown() -> None:
    async with open_test_server() as server, open_connection(server.url) as connection:
        await post_texts(server.app, *(["x" * 2000] * 500))
        for _ in range(50):  # pipelined, so that the answers take 50 MB
            await connection.stream.send_all(b"GET /v1/rooms/general/messages?limit=500 HTTP/1.1\r\nHost: x\r\n\r\n")
        await stop(server)


async def test_others_are_served_meanwhile() -> None:
    async with (
        open_test_server() as server,
        http_client(server).stream_events(),
        open_websocket_wire(server.url) as stuck,
        open_websocket_wire(server.url) as wire,
    ):
        await attach(stuck, "alpha")
        client = await attach(wire, "beta")
        await post_texts(server.app, *FLOOD)
        assert await client.next_texts(len(FLOOD)) == FLOOD
        assert (await http_client(server).get("/v1/network")).status == 200


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system has no such timeout")
def test_accepted_sockets_inherit_the_kernels_timeout() -> None:
    (listening,) = open_sockets(ListenAddress("127.0.0.1", 0))
    with listening, socket.create_connection(listening.getsockname()):
        listening.setblocking(True)
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == TCP_USER_TIMEOUT_MS
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
