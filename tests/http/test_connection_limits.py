"""Connections against a running server: too many of them, and those that drip."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import attrs
import pytest
import trio

from moltnet.config.server_limits import NO_LIMITS
from moltnet.config.settings import MoltnetConfig
from moltnet.protocol import limits as wire
from tests.fakes.http_client import http_client, open_connection
from tests.fakes.network import TestServer, network_config, open_test_server, wait_until

# Seconds in which a server that cuts drips has done so; only a test that fails waits for it.
PATIENCE_SECONDS = 20


def limited(*, proxied: bool = True, **limits: Any) -> MoltnetConfig:
    """A network whose only limits are these."""
    allowed = attrs.evolve(NO_LIMITS, **limits)
    return network_config(limits=allowed, trusted_proxies=["127.0.0.1"] if proxied else [])


class TestConnections:
    @asynccontextmanager
    async def _idle(self, server: TestServer, source: str) -> AsyncIterator[trio.SocketStream]:
        stream = await trio.open_tcp_stream("127.0.0.1", server.port, local_address=source)
        try:
            yield stream
        finally:
            await trio.aclose_forcefully(stream)

    async def _answered(self, stream: trio.SocketStream) -> bytes:
        with trio.fail_after(PATIENCE_SECONDS):
            await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            data = b""
            while piece := await stream.receive_some():
                data += piece
            return data

    async def test_idle_sockets_of_one_address_leave_others_served(self) -> None:
        config = limited(proxied=False, connections=20, connections_per_address=10)
        async with open_test_server(config) as server, AsyncExitStack() as idle:
            for _ in range(10):
                await idle.enter_async_context(self._idle(server, "127.0.0.2"))
            await wait_until(lambda: len(server.app.admission.connections) == 10)
            async with self._idle(server, "127.0.0.2") as refused, self._idle(server, "127.0.0.3") as other:
                data = await self._answered(refused)
                assert data.startswith(b"HTTP/1.1 503 ")
                assert b"too_many_connections" in data
                assert b"retry-after: 1\r\n" in data
                assert (await self._answered(other)).startswith(b"HTTP/1.1 200 ")
            await idle.aclose()
            await wait_until(lambda: len(server.app.admission.connections) == 0)
            async with self._idle(server, "127.0.0.2") as again:
                assert (await self._answered(again)).startswith(b"HTTP/1.1 200 ")

    async def test_beyond_all_of_them_a_flood_holds_no_descriptors(self) -> None:
        config = limited(proxied=False, connections=5)
        async with open_test_server(config) as server, AsyncExitStack() as idle:
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(200):
                await idle.enter_async_context(self._idle(server, "127.0.0.2"))
            # Ours, five of the server, and those that may still read why they were refused.
            await wait_until(
                lambda: len(os.listdir("/proc/self/fd")) <= before + 200 + 5 + wire.MAX_REFUSED_CONNECTIONS
            )
            assert len(server.app.admission.connections) == 5

    async def test_a_trusted_proxy_is_no_single_caller(self) -> None:
        config = limited(connections=20, connections_per_address=1)
        async with open_test_server(config) as server, AsyncExitStack() as idle:
            for _ in range(5):
                await idle.enter_async_context(self._idle(server, "127.0.0.1"))
            assert (await http_client(server).get("/healthz")).status == 200


class TestDrips:
    """What comes a byte at a time ends in bounded time, however long its peer would like to go on."""

    @pytest.mark.parametrize(
        "said",
        [b"G", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"GET / HTTP/1.1\r\nX-Drip: "],
        ids=["line", "fields", "field"],
    )
    async def test_a_head(self, said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wire, "HEAD_SECONDS", 0.1)
        async with open_test_server() as server:
            await self._drip(server, said, b"x")

    async def test_the_head_of_a_later_request(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wire, "HEAD_SECONDS", 0.1)
        async with open_test_server() as server:
            await self._drip(server, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"G")

    async def test_a_body(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wire, "BODY_SECONDS", 0.1)
        async with open_test_server() as server:
            said = b"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n"
            assert b" 408 " in await self._drip(server, said, b" ")

    async def test_a_body_that_nobody_reads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wire, "HEAD_SECONDS", 0.1)
        async with open_test_server() as server:
            said = b"GET /v1/network HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n"
            assert b" 200 " in await self._drip(server, said, b" ")

    async def _drip(self, server: TestServer, said: bytes, drop: bytes) -> bytes:
        """Say something, then a byte now and then, until the server hangs up; what it answered."""
        data = b""
        async with open_connection(server.url) as connection:
            with trio.fail_after(PATIENCE_SECONDS):
                await connection.stream.send_all(said)
                async with trio.open_nursery() as nursery:

                    async def listen() -> None:
                        nonlocal data
                        with suppress(trio.BrokenResourceError):
                            while piece := bytes(await connection.stream.receive_some()):
                                data += piece
                        nursery.cancel_scope.cancel()

                    nursery.start_soon(listen)
                    with suppress(trio.BrokenResourceError):
                        while True:
                            await trio.sleep(0.02)
                            await connection.stream.send_all(drop)
            assert (await http_client(server).get("/healthz")).status == 200
        return data
