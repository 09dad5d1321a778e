"""Signing in to the console: a session instead of a token in the browser (design §3.9)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from ipaddress import ip_network

import attrs
import pytest

from moltnet.auth.sessions import cookie_name, session_digest
from moltnet.config.secrets import Secret
from moltnet.config.settings import AuthMode
from moltnet.protocol import limits
from moltnet.protocol.ids import NetworkId
from moltnet.storage.memory import open_memory
from tests.fakes.asgi_socket import UpgradeRefused, open_asgi_wire
from tests.fakes.http_client import EventSource, HttpAnswer, HttpClient, http_client, open_connection
from tests.fakes.network import TestServer, network_config, open_test_server, room_message, secret_of, token

OPS = token("ops", "observe write admin")
OWN_PAGE = "http://console.test"
CONFIG = network_config(mode=AuthMode.BEARER, tokens=[OPS, token("reader", "observe")])
COOKIE = cookie_name(CONFIG.network.id, is_secure=False)


@attrs.define
class Clock:
    """The wall clock of the server."""

    now: datetime = attrs.field(factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(clock: Clock) -> AsyncIterator[TestServer]:
    async with open_test_server(CONFIG, clock=clock) as server:
        yield server


async def sign_in(client: HttpClient, value: str = secret_of("ops"), **headers: str) -> HttpAnswer:
    return await client.request("POST", "/v1/session", {"token": value}, headers=headers)


def session_of(answer: HttpAnswer) -> str:
    return SimpleCookie(answer.headers["set-cookie"])[COOKIE].value


def with_cookie(session_id: str, *, origin: str = "") -> dict[str, str]:
    return {"Cookie": f"{COOKIE}={session_id}", **({"Origin": origin} if origin else {})}


async def test_a_session_stands_for_the_token_that_opened_it(server: TestServer) -> None:
    client = http_client(server)
    answer = await sign_in(client)
    assert answer.status == 200
    session_id = session_of(answer)
    mine = (await client.request("GET", "/v1/session", headers=with_cookie(session_id))).json()
    assert mine == answer.json()
    assert (mine["kind"], mine["credential_id"], mine["signed_in"]) == ("static", "ops", True)
    assert mine["scopes"] == ["admin", "observe", "write"]
    assert (await client.request("GET", "/v1/rooms", headers=with_cookie(session_id))).status == 200
    room = {"id": "made-by-cookie"}
    made = await client.request("POST", "/v1/rooms", room, headers=with_cookie(session_id, origin=OWN_PAGE))
    assert made.status == 201


async def test_the_cookie_is_out_of_reach_and_holds_no_token(server: TestServer) -> None:
    answer = await sign_in(http_client(server))
    cookie = answer.headers["set-cookie"]
    assert secret_of("ops") not in cookie + answer.body.decode()
    assert {"HttpOnly", "Path=/", "SameSite=Strict", f"Max-Age={limits.SESSION_SECONDS}"} <= set(cookie.split("; "))
    assert "Secure" not in cookie  # plain HTTP on loopback
    stored = server.app.context.directory.session(session_digest(session_of(answer)))
    assert stored is not None
    assert session_of(answer) not in str(stored)


@pytest.mark.parametrize("value", ["", "nonsense", secret_of("somebody")])
async def test_a_bad_token_plants_nothing(server: TestServer, value: str) -> None:
    answer = await sign_in(http_client(server), value)
    assert (answer.status, answer.code) == (401, "invalid_token")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("origin", ["", "http://evil.test", "null"])
async def test_the_page_of_another_site_changes_nothing(server: TestServer, origin: str) -> None:
    client = http_client(server)
    headers = with_cookie(session_of(await sign_in(client)), origin=origin)
    for method, path, body in (
        ("POST", "/v1/rooms", {"id": "planted"}),
        ("POST", "/v1/messages", room_message()),
        ("DELETE", "/v1/rooms/general", None),
        ("DELETE", "/v1/session", None),
    ):
        answer = await client.request(method, path, body, headers=headers)
        assert (answer.status, answer.code) == (403, "origin_forbidden")


async def test_nobody_is_signed_in_by_the_page_of_another_site(server: TestServer) -> None:
    answer = await sign_in(http_client(server), Origin="http://evil.test")
    assert (answer.status, answer.code) == (403, "origin_forbidden")


async def test_signing_out_ends_the_session(server: TestServer) -> None:
    client = http_client(server)
    session_id = session_of(await sign_in(client))
    answer = await client.request("DELETE", "/v1/session", headers=with_cookie(session_id, origin=OWN_PAGE))
    assert (answer.status, answer.json()["kind"]) == (200, "anonymous")
    assert f"{COOKIE}=; " in answer.headers["set-cookie"]
    after = await client.request("GET", "/v1/rooms", headers=with_cookie(session_id))
    assert (after.status, after.code) == (401, "unauthorized")
    assert f"{COOKIE}=; " in after.headers["set-cookie"]


async def test_a_session_ends_by_itself(server: TestServer, clock: Clock) -> None:
    client = http_client(server)
    session_id = session_of(await sign_in(client))
    clock.now += timedelta(seconds=limits.SESSION_SECONDS - 1)
    assert (await client.request("GET", "/v1/rooms", headers=with_cookie(session_id))).status == 200
    clock.now += timedelta(seconds=1)
    assert (await client.request("GET", "/v1/rooms", headers=with_cookie(session_id))).status == 401


async def test_a_session_ends_with_the_value_that_opened_it(server: TestServer) -> None:
    client = http_client(server)
    session_id = session_of(await sign_in(client))
    other = attrs.evolve(OPS, value=Secret("another-value-of-the-same-id"))
    server.app.adopt(attrs.evolve(CONFIG, auth=attrs.evolve(CONFIG.auth, tokens=(other,))))
    assert (await client.request("GET", "/v1/rooms", headers=with_cookie(session_id))).status == 401


async def test_a_session_survives_a_restart() -> None:
    async with open_memory(CONFIG.network.id) as store:
        async with open_test_server(CONFIG, store=store) as server:
            session_id = session_of(await sign_in(http_client(server)))
        async with open_test_server(CONFIG, store=store) as server:
            answer = await http_client(server).request("GET", "/v1/rooms", headers=with_cookie(session_id))
            assert answer.status == 200


async def test_a_header_counts_more_than_a_cookie(server: TestServer) -> None:
    client = http_client(server)
    session_id = session_of(await sign_in(client))
    headers = {**with_cookie(session_id), "Authorization": "Bearer nonsense"}
    assert (await client.request("GET", "/v1/rooms", headers=headers)).status == 401


async def test_a_stale_cookie_does_not_hide_what_is_public() -> None:
    config = network_config(mode=AuthMode.OPEN)
    async with open_test_server(config) as server:
        answer = await http_client(server).request("GET", "/v1/rooms", headers=with_cookie("stale"))
    assert answer.status == 200


async def test_the_oldest_of_too_many_sessions_ends(server: TestServer) -> None:
    client = http_client(server)
    sessions = [session_of(await sign_in(client)) for _ in range(limits.MAX_SESSIONS_PER_CREDENTIAL + 1)]
    statuses = [
        (await client.request("GET", "/v1/rooms", headers=with_cookie(each))).status
        for each in (sessions[0], sessions[1], sessions[-1])
    ]
    assert statuses == [401, 200, 200]


async def test_where_nobody_is_asked_there_is_nothing_to_sign_in_to() -> None:
    async with open_test_server() as server:
        client = http_client(server)
        answer = await sign_in(client, "anything")
        assert (answer.status, answer.code) == (409, "tokens_not_asked")
        mine = (await client.get("/v1/session")).json()
    assert (mine["kind"], mine["signed_in"]) == ("unchecked", False)


async def test_a_cookie_opens_no_attachment(server: TestServer) -> None:
    session_id = session_of(await sign_in(http_client(server)))
    with pytest.raises(UpgradeRefused) as refused:
        async with open_asgi_wire(server.app, with_cookie(session_id, origin=OWN_PAGE)):
            raise AssertionError("let in")
    assert refused.value.status == 401


async def test_a_stream_of_a_session_ends_with_it(server: TestServer) -> None:
    client = http_client(server)
    session_id = session_of(await sign_in(client))
    async with open_connection(server.url) as connection:
        await connection.send_request("GET", "/v1/events/stream", with_cookie(session_id))
        assert (await connection.receive_head()).status_code == 200
        source = EventSource(connection)
        assert await source.next_block() == ": stream-open"
        await client.request("DELETE", "/v1/session", headers=with_cookie(session_id, origin=OWN_PAGE))
        assert await source.next_event() is None


async def follow_link(client: HttpClient, target: str) -> HttpAnswer:
    """Under the address that the network's pages have."""
    return await client.request("GET", target, headers={"Host": "console.test"})


async def test_a_link_signs_nobody_in_where_no_page_of_ours_may_be(server: TestServer) -> None:
    answer = await http_client(server).get(f"/console/?access_token={secret_of('ops')}")
    assert (answer.status, answer.headers["location"]) == (303, "/console/?sign_in=origin")
    assert "set-cookie" not in answer.headers


async def test_a_link_with_a_token_signs_in_and_forgets_it(server: TestServer) -> None:
    client = http_client(server)
    answer = await follow_link(client, f"/console/room/general?access_token={secret_of('ops')}&view=x")
    assert (answer.status, answer.headers["location"], answer.body) == (303, "/console/room/general?view=x", b"")
    rooms = await client.request("GET", "/v1/rooms", headers=with_cookie(session_of(answer)))
    assert rooms.status == 200


@pytest.mark.parametrize("path", ["/", "/console", "/console/", "/console/room/general"])
async def test_a_link_with_a_bad_token_plants_nothing(server: TestServer, path: str) -> None:
    answer = await follow_link(http_client(server), f"{path}?access_token=junk")
    page = path if path.startswith("/console/") else "/console/"
    assert (answer.status, answer.headers["location"]) == (303, f"{page}?sign_in=failed")
    assert "set-cookie" not in answer.headers
    assert "junk" not in str(answer.headers)


async def test_a_link_with_a_token_leads_nowhere_else(server: TestServer) -> None:
    answer = await http_client(server).get(f"/console//evil.test/%0d%0aX:y?access_token={secret_of('ops')}")
    assert answer.headers.get("location", "/console/").startswith("/console/")
    assert "x" not in answer.headers


async def test_where_nobody_is_asked_a_link_just_forgets_its_token() -> None:
    async with open_test_server() as server:
        answer = await http_client(server).get("/?access_token=abc")
    assert (answer.status, answer.headers["location"]) == (303, "/console/")
    assert "set-cookie" not in answer.headers


async def test_two_networks_of_one_host_leave_each_other_their_sessions(server: TestServer) -> None:
    """A browser sends what one port of a host has set to all of them."""
    other = attrs.evolve(CONFIG, network=attrs.evolve(CONFIG.network, id=NetworkId("other")))
    async with open_test_server(other) as neighbour:
        jar: dict[str, str] = {}
        for _ in range(2):
            for each in (server, neighbour):
                client = http_client(each)
                if len(jar) < 2:
                    planted = SimpleCookie((await sign_in(client)).headers["set-cookie"])
                    jar |= {name: morsel.value for name, morsel in planted.items()}
                cookies = "; ".join(f"{name}={value}" for name, value in jar.items())
                answer = await client.request("GET", "/v1/rooms", headers={"Cookie": cookies})
                assert (answer.status, "set-cookie" in answer.headers) == (200, False)


async def test_over_https_no_other_host_of_the_domain_can_plant_one() -> None:
    proxied = attrs.evolve(CONFIG, server=attrs.evolve(CONFIG.server, trusted_proxies=(ip_network("127.0.0.1"),)))
    secure = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}
    async with open_test_server(proxied) as server:
        client = http_client(server)
        planted = (await sign_in(client, **secure)).headers["set-cookie"]
        (name,) = SimpleCookie(planted)
        assert name.startswith("__Host-")
        assert {"Secure", "Path=/"} <= set(planted.split("; "))
        assert "Domain" not in planted
        value = SimpleCookie(planted)[name].value
        for cookie, status in ((f"{name}={value}", 200), (f"{COOKIE}={value}", 401)):
            answer = await client.request("GET", "/v1/rooms", headers={**secure, "Cookie": cookie})
            assert answer.status == status
        gone = await client.request(
            "DELETE", "/v1/session", headers={**secure, "Cookie": f"{name}={value}", "Origin": OWN_PAGE}
        )
        assert {"Secure", "Path=/"} <= set(gone.headers["set-cookie"].split("; "))  # or no browser would obey


async def test_a_look_at_the_head_of_a_link_opens_no_session(server: TestServer) -> None:
    answer = await http_client(server).request("HEAD", f"/console/?access_token={secret_of('ops')}")
    assert (answer.status, answer.headers["location"]) == (303, "/console/")
    assert "set-cookie" not in answer.headers
    assert not list(server.app.context.directory.sessions())


async def test_a_link_on_another_site_signs_nobody_in(server: TestServer) -> None:
    answer = await http_client(server).get(f"/console/?access_token={secret_of('ops')}", sec_fetch_site="cross-site")
    assert (answer.status, answer.headers["location"]) == (303, "/console/?sign_in=by_hand")
    assert "set-cookie" not in answer.headers
