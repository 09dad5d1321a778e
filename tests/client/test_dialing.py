"""TLS and proxies, on real sockets."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from moltnet.client.address import parse_server_address
from moltnet.client.dialing import trusting
from moltnet.client.errors import ServerUnreachable
from moltnet.client.http import HttpClient, Request, open_http
from tests.fakes.certificates import TestCertificate, make_certificate
from tests.fakes.http_server import Reply, answer, open_scripted_server, raw

GET = Request("GET", "/v1/network")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> TestCertificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@asynccontextmanager
async def https_to(url: str, tls: ssl.SSLContext | None, **environ: str) -> AsyncIterator[HttpClient]:
    async with open_http(parse_server_address(url), headers={}, environ=environ, tls=tls) as http:
        yield http


async def test_https_is_spoken_to_a_trusted_server_and_the_connection_used_again(certificate: TestCertificate) -> None:
    async with (
        open_scripted_server(answer(200, b"a"), answer(200, b"b"), tls=certificate.server) as server,
        https_to(server.url, trusting(certificate.ca_file)) as http,
    ):
        assert (await http.exchange(GET)).body == b"a"
        assert (await http.exchange(GET)).body == b"b"
        assert [seen.connection for seen in server.requests] == [0, 0]


async def test_an_untrusted_certificate_is_named_and_nothing_is_sent(certificate: TestCertificate) -> None:
    async with open_scripted_server(tls=certificate.server) as server, https_to(server.url, None) as http:
        with pytest.raises(ServerUnreachable, match="certificate is not trusted: self-signed certificate") as caught:
            await http.exchange(GET)
        assert not caught.value.request_sent


async def test_a_certificate_for_another_name_is_refused(certificate: TestCertificate) -> None:
    async with (
        open_scripted_server(tls=certificate.server) as server,
        https_to(server.url.replace("127.0.0.1", "localhost"), trusting(certificate.ca_file)) as http,
    ):
        with pytest.raises(ServerUnreachable, match=r"not trusted.*localhost"):
            await http.exchange(GET)


async def test_https_to_a_server_that_speaks_plain_http_fails_as_unreachable() -> None:
    async with (
        open_scripted_server() as server,
        https_to(server.url.replace("http://", "https://"), None) as http,
    ):
        with pytest.raises(ServerUnreachable, match="TLS"):
            await http.exchange(GET)


async def test_a_plain_request_goes_through_the_proxy_with_its_whole_url() -> None:
    async with open_scripted_server(answer(200, b"x")) as proxy:
        environ = {"http_proxy": proxy.url.replace("http://", "http://me:hunter2@")}
        async with https_to("http://chat.invalid:81/moltnet", None, **environ) as http:
            assert (await http.exchange(GET)).body == b"x"
        [seen] = proxy.requests
        assert seen.target == "http://chat.invalid:81/moltnet/v1/network"
        assert seen.headers["host"] == "chat.invalid:81"
        assert seen.headers["proxy-authorization"] == "Basic bWU6aHVudGVyMg=="


async def test_https_goes_through_a_tunnel_that_sees_no_content(certificate: TestCertificate) -> None:
    asked: list[bytes] = []

    async def proxy(stream: trio.SocketStream) -> None:
        asked.append(bytes(await stream.receive_some()))
        port = int(server.url.rpartition(":")[2])
        there = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        async with there, trio.open_nursery() as nursery:
            nursery.start_soon(copy, stream, there, nursery.cancel_scope)
            nursery.start_soon(copy, there, stream, nursery.cancel_scope)

    async def copy(source: trio.SocketStream, sink: trio.SocketStream, tunnel: trio.CancelScope) -> None:
        while data := await source.receive_some():
            asked.append(bytes(data))
            await sink.send_all(data)
        tunnel.cancel()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        proxy_url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        await nursery.start(trio.serve_listeners, proxy, listeners)
        async with (
            open_scripted_server(answer(200, b"hello"), tls=certificate.server) as server,
            # Only the proxy could know the address of this name.
            https_to("https://chat.invalid", trusting(certificate.ca_file), https_proxy=proxy_url) as http,
        ):
            assert (await http.exchange(GET)).body == b"hello"
        nursery.cancel_scope.cancel()
    assert asked[0].startswith(b"CONNECT chat.invalid:443 HTTP/1.1\r\nHost: chat.invalid:443\r\n")
    assert b"/v1/network" not in b"".join(asked)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (answer(403), "answered 403"),
        (raw(b"SSH-2.0-OpenSSH\r\n\r\n"), "does not speak HTTP"),
        (raw(close=True), "ended the connection"),
        (raw(b"HTTP/1.1 200 OK\r\n\r\nunasked"), "sent data"),
    ],
    ids=["refused", "no-http", "closed", "unasked"],
)
async def test_a_proxy_that_gives_no_tunnel_is_named(reply: Reply, text: str) -> None:
    async with open_scripted_server(reply) as proxy:
        environ = {"https_proxy": proxy.url.replace("http://", "http://me:hunter2@")}
        async with https_to("https://chat.invalid", None, **environ) as http:
            with pytest.raises(ServerUnreachable, match=rf"proxy 127\.0\.0\.1.*{text}") as caught:
                await http.exchange(GET)
    assert "hunter2" not in str(caught.value)
    assert caught.value.server == "https://chat.invalid"


@pytest.mark.parametrize("environ_name", ["none", "https_proxy"])
async def test_cancelled_in_the_handshake_or_the_tunnel_nothing_stays_open(environ_name: str) -> None:
    begun, left = trio.Event(), trio.Event()

    async def say_nothing(stream: trio.SocketStream) -> None:
        async for _ in stream:
            begun.set()
        left.set()

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"//127.0.0.1:{listeners[0].socket.getsockname()[1]}"
    server = "https://chat.invalid" if environ_name == "https_proxy" else f"https:{url}"
    async with trio.open_nursery() as servers:
        await servers.start(trio.serve_listeners, say_nothing, listeners)
        async with https_to(server, None, **{environ_name: f"http:{url}"}) as http, trio.open_nursery() as nursery:
            nursery.start_soon(http.exchange, GET)
            await begun.wait()
            nursery.cancel_scope.cancel()
        await left.wait()
        servers.cancel_scope.cancel()


async def test_a_proxy_that_is_not_there_is_named() -> None:
    async with https_to("https://chat.invalid", None, https_proxy="http://127.0.0.1:1") as http:
        with pytest.raises(ServerUnreachable, match=r"proxy 127\.0\.0\.1:1: connection refused"):
            await http.exchange(GET)
