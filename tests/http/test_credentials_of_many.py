"""What one server has just given or made is good at all of them, before they were told of it."""

from collections.abc import AsyncIterator
from http.cookies import SimpleCookie

import pytest
import trio

from moltnet.auth.sessions import cookie_name
from moltnet.config.settings import AuthMode, MoltnetConfig
from moltnet.storage import limits
from moltnet.storage.sql.postgres import statements
from tests.fakes.attach_client import attach, open_websocket_wire
from tests.fakes.http_client import HttpAnswer, HttpClient, http_client
from tests.fakes.network import NETWORK, TestServer, network_config, room_message, secret_of, token
from tests.fakes.postgres import PostgresServer
from tests.fakes.shared_network import open_servers
from tests.fakes.tcp_proxy import open_proxy

TOKENS = [token("ops", "observe write admin"), token("robots", "attach write")]
OPEN: MoltnetConfig = network_config(mode=AuthMode.OPEN, tokens=TOKENS)


@pytest.fixture(autouse=True)
def deaf_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """They hear of nothing that others commit."""
    monkeypatch.setattr(statements, "CHANNEL", "nothing_is_said_here")
    monkeypatch.setattr(limits, "POSTGRES_POLL_SECONDS", 3600)


@pytest.fixture
async def servers(postgres_dsn: str) -> AsyncIterator[tuple[TestServer, ...]]:
    async with open_servers(postgres_dsn, postgres_dsn, config=OPEN) as servers:
        with trio.fail_after(60):
            # Each has heard for the first time, which it does when it begins to listen.
            for server in servers:
                await http_client(server, "ops").post("/v1/messages", room_message())
            yield servers


async def claim(server: TestServer, agent_id: str) -> str:
    answer = await http_client(server).post("/v1/agents/register", {"requested_agent_id": agent_id})
    assert answer.status == 201
    return str(answer.json()["agent_token"])


async def sign_in(server: TestServer, value: str) -> HttpAnswer:
    return await http_client(server).post("/v1/session", {"token": value})


async def test_a_token_is_good_everywhere_at_once(servers: tuple[TestServer, ...]) -> None:
    one, other = servers
    given = await claim(one, "vega")
    assert (await http_client(other, given).get("/v1/session")).json()["agents"] == ["vega"]


async def test_an_agent_attaches_elsewhere_with_the_token_that_it_was_just_given(
    servers: tuple[TestServer, ...],
) -> None:
    one, other = servers
    async with open_websocket_wire(one.url) as wire:
        given = (await attach(wire, "vega")).ready.agent_token
        async with open_websocket_wire(other.url, given) as elsewhere:
            assert (await attach(elsewhere, "vega")).ready.agent_token == ""


async def test_a_session_is_known_everywhere_at_once(servers: tuple[TestServer, ...]) -> None:
    one, other = servers
    opened = await sign_in(one, secret_of("ops"))
    name = cookie_name(NETWORK, is_secure=False)
    cookie = f"{name}={SimpleCookie(opened.headers['set-cookie'])[name].value}"
    seen = await http_client(other).get("/v1/session", Cookie=cookie)
    assert seen.json() == opened.json()
    assert "set-cookie" not in seen.headers


async def test_who_was_just_given_a_token_signs_in_elsewhere(servers: tuple[TestServer, ...]) -> None:
    one, other = servers
    assert (await sign_in(other, await claim(one, "vega"))).status == 200


async def test_a_room_is_written_to_everywhere_at_once(servers: tuple[TestServer, ...]) -> None:
    one, other = servers
    vega = await claim(one, "vega")
    ops = http_client(one, "ops")
    assert (await ops.post("/v1/rooms", {"id": "fresh", "members": ["vega"]})).status == 201
    said = await http_client(other, vega).post("/v1/messages", room_message(sender="vega", room="fresh"))
    assert said.status == 202


async def test_an_agent_that_was_just_registered_sends_everywhere(servers: tuple[TestServer, ...]) -> None:
    """With a token that is known, and that it shares with others."""
    one, other = servers
    registered = await http_client(one, "robots").post("/v1/agents/register", {"requested_agent_id": "wren"})
    assert registered.status == 201
    await http_client(one, "ops").patch("/v1/rooms/general/members", {"add": ["wren"]})
    said = await http_client(other, "robots").post("/v1/messages", room_message(sender="wren"))
    assert said.status == 202, said.body


async def test_what_nobody_has_given_is_refused(servers: tuple[TestServer, ...]) -> None:
    unknown = f"magt_v1_{'x' * 43}"
    assert (await http_client(servers[0], unknown).get("/v1/rooms")).status == 401
    assert (await sign_in(servers[0], unknown)).status == 401
    refused = await http_client(servers[0], "ops").post("/v1/messages", room_message(room="nowhere"))
    assert (refused.status, refused.code) == (404, "unknown_room")


async def test_while_nobody_can_say_whether_a_token_is_good_it_is_not_called_bad(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "POSTGRES_PATIENCE_SECONDS", 0.2)
    database = postgres_server.new_database()
    async with (
        open_proxy(postgres_server.port) as proxy,
        open_servers(postgres_server.tcp_dsn(database, port=proxy.port), config=OPEN) as (server,),
    ):
        unknown = HttpClient(server.url, f"magt_v1_{'x' * 43}")
        proxy.refusing = True
        proxy.cut_all()
        answer = await unknown.get("/v1/rooms")
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "storage_unavailable", "1")
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                   "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}  # fmt: skip
        assert (await unknown.request("GET", "/v1/attach", headers=upgrade)).status == 503
        # What it knows by heart it says.
        assert (await http_client(server, "ops").get("/v1/rooms")).status == 200
        proxy.refusing = False
    postgres_server.drop_database(database)
