"""Web pages against a running server: of other origins, and of names that were made to point to us (design §3.8)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest

from moltnet.config.settings import AuthMode, MoltnetConfig
from moltnet.config.urls import ListenAddress, derived_origins
from tests.fakes.http_client import HttpAnswer, bearer, http_client, open_connection
from tests.fakes.network import (
    TestServer,
    event_types,
    network_config,
    open_test_server,
    room_message,
    token,
)

TOKENS = [token("alpha", "attach write", "alpha"), token("ops", "observe write admin")]
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
STRANGERS = ["evil.example:8787", "evil.example", "127.0.0.1.nip.io", "localhost.evil.example", "evil!.example", "a,b"]
OURS = ["localhost:8787", "LOCALHOST", "127.0.0.1:8787", "[::1]:8787", "box.localhost", "192.168.7.7:8787"]


def own_origins(mode: AuthMode, *, proxies: tuple[str, ...] = ()) -> MoltnetConfig:
    """A network that nobody told any origins."""
    config = network_config(mode=mode, tokens=TOKENS, trusted_proxies=proxies)
    server = attrs.evolve(config.server, allowed_origins=derived_origins(config.server.listen_addr))
    return attrs.evolve(config, server=server)


async def upgrade(server: TestServer, **headers: str) -> int:
    """The status of an upgrade; of one that succeeds nothing more is said."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    async with open_connection(server.url) as connection:
        await connection.send_request("GET", "/v1/attach", {**UPGRADE, **fields})
        return int(bytes(await connection.stream.receive_some()).split()[1])


async def ask(server: TestServer, method: str, target: str, body: object = None, **headers: str) -> HttpAnswer:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return await http_client(server).request(method, target, body, headers=fields)


class TestNamesThatPointToUs:
    @pytest.mark.parametrize("host", STRANGERS)
    async def test_without_sign_in_a_page_of_a_stranger_reads_and_writes_nothing(self, host: str) -> None:
        async with open_test_server() as server:
            for method, target, body in (
                ("GET", "/v1/rooms/general/messages", None),
                ("GET", "/v1/events/stream", None),
                ("GET", "/console/", None),
                ("POST", "/v1/messages", room_message("from a page")),
            ):
                answer = await ask(server, method, target, body, Host=host)
                assert (answer.status, answer.code) == (403, "host_forbidden")
            assert await upgrade(server, Host=host) == 403
            assert await event_types(server.app) == ["room.created"]

    @pytest.mark.parametrize("host", [*OURS, "console.test"])
    async def test_our_own_names_are_served(self, host: str) -> None:
        async with open_test_server() as server:
            assert (await ask(server, "GET", "/v1/network", Host=host)).status == 200
            assert await upgrade(server, Host=host) == 101

    async def test_a_name_that_a_caller_gives_itself_does_not_count(self) -> None:
        async with open_test_server() as server:
            answer = await ask(server, "GET", "/v1/network", Host="evil.example", X_Forwarded_Host="localhost")
            assert answer.code == "host_forbidden"

    async def test_nor_does_it_where_a_proxy_is_trusted_that_a_page_may_pretend_to_be(self) -> None:
        """A page on the proxy's own machine, too, reaches us from there, and to its own origin it sends any header."""
        async with open_test_server(network_config(trusted_proxies=["127.0.0.1"])) as server:
            answer = await ask(server, "GET", "/v1/network", Host="evil.example", X_Forwarded_Host="localhost")
            assert answer.code == "host_forbidden"

    async def test_a_trusted_proxy_may_have_a_public_name_that_is_listed(self) -> None:
        config = network_config(allowed_origins=["https://chat.example.com"], trusted_proxies=["127.0.0.1"])
        async with open_test_server(config) as server:
            for name, status in (("chat.example.com", 200), ("evil.example", 403)):
                answer = await ask(server, "GET", "/v1/network", Host="127.0.0.1:8787", X_Forwarded_Host=name)
                assert answer.status == status

    async def test_beyond_loopback_names_of_a_private_network_are_served(self) -> None:
        config = network_config()
        anywhere = attrs.evolve(config.server, listen_addr=ListenAddress("", 0), allow_insecure_bind=True)
        async with open_test_server(attrs.evolve(config, server=anywhere)) as server:
            local = attrs.evolve(server, url=server.url.replace("0.0.0.0", "127.0.0.1"))
            assert (await ask(local, "GET", "/v1/network", Host="moltnet:8787")).status == 200
            assert (await ask(local, "GET", "/v1/network", Host="evil.example")).code == "host_forbidden"

    @pytest.mark.parametrize("mode", [AuthMode.BEARER, AuthMode.OPEN])
    async def test_where_a_token_is_asked_for_any_name_will_do(self, mode: AuthMode) -> None:
        async with open_test_server(network_config(mode=mode, tokens=TOKENS)) as server:
            answer = await ask(server, "GET", "/v1/network", Host="evil.example", **bearer("ops"))
            assert answer.status == 200


class TestOrigins:
    @asynccontextmanager
    async def _behind_a_proxy(self, mode: AuthMode) -> AsyncIterator[TestServer]:
        async with open_test_server(own_origins(mode, proxies=("127.0.0.1",))) as server:
            yield server

    async def test_the_stream_is_for_our_own_pages(self) -> None:
        async with open_test_server() as server:
            for origin in ("http://evil.test", "null"):
                answer = await ask(server, "GET", "/v1/events/stream", Origin=origin)
                assert (answer.status, answer.code) == (403, "origin_forbidden")
            assert (await ask(server, "HEAD", "/v1/events/stream", Origin="http://console.test")).status == 200

    async def test_a_server_that_was_told_none_knows_its_own_by_the_name_that_the_proxy_tells(self) -> None:
        async with self._behind_a_proxy(AuthMode.BEARER) as server:
            told = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "chat.example.com", **bearer("alpha")}
            assert await upgrade(server, Origin="https://chat.example.com", **told) == 101
            for origin in ("http://chat.example.com", "https://evil.example", "https://chat.example.com:8443", "null"):
                assert await upgrade(server, Origin=origin, **told) == 403

    async def test_or_by_the_one_that_it_was_called(self) -> None:
        async with open_test_server(own_origins(AuthMode.BEARER)) as server:
            told = {"Host": "10.1.2.3:8787", **bearer("alpha")}
            assert await upgrade(server, Origin="http://10.1.2.3:8787", **told) == 101
            assert await upgrade(server, Origin="https://10.1.2.3:8787", **told) == 403
            spoofed = {"X_Forwarded_Host": "evil.example", **told}
            assert await upgrade(server, Origin="http://evil.example", **spoofed) == 403

    @pytest.mark.parametrize(
        ("host", "origin", "status"),
        [
            ("10.1.2.3:8787", "http://10.1.2.3:8787", 202),
            ("10.1.2.3:8787", "http://10.1.2.3", 403),
            ("10.1.2.3", "http://evil.example", 403),
            ("evil.example", "http://evil.example", 403),
            ("evil.example", "http://localhost", 403),
        ],
    )
    async def test_without_sign_in_only_pages_that_we_have_served_write(
        self, host: str, origin: str, status: int
    ) -> None:
        async with open_test_server(own_origins(AuthMode.NONE)) as server:
            answer = await ask(
                server, "POST", "/v1/messages", room_message("x", sender="beta"), Host=host, Origin=origin
            )
            assert answer.status == status

    async def test_a_list_that_was_written_is_the_whole_list(self) -> None:
        config = network_config(mode=AuthMode.BEARER, tokens=TOKENS, allowed_origins=["https://chat.example.com"])
        async with open_test_server(config) as server:
            told = {"Host": "localhost:8787", **bearer("alpha")}
            assert await upgrade(server, Origin="https://chat.example.com", **told) == 101
            assert await upgrade(server, Origin="http://localhost:8787", **told) == 403
