"""Hypercorn's own driver lets an error on one connection end the server, and some input makes one."""

import pytest

from tests.fakes.http_client import http_client, open_connection
from tests.fakes.network import open_test_server

UPGRADE = (
    b"GET /v1/attach HTTP/1.1\r\nHost: lab.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.mark.parametrize(
    "said",
    [
        UPGRADE + b"Sec-WebSocket-Extensions: \xff\r\n\r\n",
        UPGRADE + b"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=x\r\n\r\n",
        UPGRADE + b"\r\n\x81\x80\x00\x00\x00\x00",
        b"GET / HTTP/1.1\r\nHost: lab.test\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAA\r\n\r\n",
    ],
    ids=["not-ascii", "window", "early-frame", "http-2"],
)
async def test_nobody_can_end_the_server_with_a_malformed_upgrade(said: bytes) -> None:
    async with open_test_server() as server, open_connection(server.url) as hostile:
        await hostile.stream.send_all(said)
        await hostile.stream.send_eof()
        while await hostile.stream.receive_some():
            pass
        assert (await http_client(server).get("/v1/network")).status == 200
