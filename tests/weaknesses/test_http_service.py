"""Sessions, limits, metrics and documents, where the reference implementation is weak: what this one does instead.

Which weakness each test is about stands in `test_completeness`.
"""

import gzip
from contextlib import AsyncExitStack

import attrs

from moltnet.config.server_limits import CAPS_ONLY, Rate
from moltnet.config.settings import AuthMode
from moltnet.protocol import limits
from tests.fakes.homes import Home
from tests.fakes.http_client import HttpAnswer, HttpClient, http_client
from tests.fakes.network import LAB_ORIGIN, network_config, secret_of, token
from tests.weaknesses.bodies import said
from tests.weaknesses.test_http_api import LOBBY, is_envelope

ADMIN, OBSERVER = token("admin", "admin write"), token("observer", "observe")
BEARER = network_config(mode=AuthMode.BEARER, tokens=[ADMIN, OBSERVER])


async def signed_in(client: HttpClient, token_id: str) -> dict[str, str]:
    """The header of a browser that has signed in."""
    answer = await client.request("POST", "/v1/session", {"token": secret_of(token_id)}, headers={"Origin": LAB_ORIGIN})
    assert answer.status == 200, answer
    return {"Cookie": cookie_of(answer)}


def cookie_of(answer: HttpAnswer) -> str:
    return answer.headers["set-cookie"].partition(";")[0]


async def test_a_browser_holds_a_session_that_ends_and_never_a_token(home: Home) -> None:
    async with home.serve(BEARER) as server:
        client = http_client(server)
        # Under an address at which the network's pages may be.
        link, ours = f"/console/?access_token={secret_of('admin')}", {"Host": LAB_ORIGIN.removeprefix("http://")}
        planted = (await client.request("GET", link, headers=ours)).headers["set-cookie"]
        assert secret_of("admin") not in planted
        assert "httponly" in planted.lower()
        assert f"max-age={limits.SESSION_SECONDS}" in planted.lower()
        browser = await signed_in(client, "admin")
        assert secret_of("admin") not in browser["Cookie"]
        assert (await client.request("GET", "/v1/rooms", headers=browser)).status == 200
    async with home.serve(BEARER) as server:
        client = http_client(server)
        assert (await client.request("GET", "/v1/rooms", headers=browser)).status == 200
        await client.request("DELETE", "/v1/session", headers={**browser, "Origin": LAB_ORIGIN})
        assert (await client.request("GET", "/v1/rooms", headers=browser)).status == 401


async def test_a_page_of_somebody_else_changes_nothing_with_a_visitors_session(home: Home) -> None:
    async with home.serve(BEARER) as server:
        client = http_client(server)
        browser = await signed_in(client, "admin")
        for origin in ({"Origin": "http://evil.test"}, {"Origin": "null"}, {}):
            answer = await client.request("POST", "/v1/rooms", {"id": "planted"}, headers={**browser, **origin})
            assert is_envelope(answer, 403, "origin_forbidden")
        ours = await client.request("POST", "/v1/rooms", {"id": "wanted"}, headers={**browser, "Origin": LAB_ORIGIN})
        assert ours.status == 201


async def test_a_bad_token_in_a_link_leaves_a_session_as_it_is(home: Home) -> None:
    async with home.serve(BEARER) as server:
        client = http_client(server)
        browser = await signed_in(client, "admin")
        answer = await client.request("GET", "/console/?access_token=junk", headers=browser)
        assert "set-cookie" not in answer.headers
        assert (await client.request("GET", "/v1/rooms", headers=browser)).status == 200


async def test_visitors_behind_a_proxy_do_not_share_their_streams(home: Home) -> None:
    config = network_config(
        mode=AuthMode.OPEN,
        rooms=[LOBBY],
        limits=attrs.evolve(CAPS_ONLY, streams_per_caller=2),
        trusted_proxies=["127.0.0.1/32"],
    )
    async with home.serve(config) as server, AsyncExitStack() as streams:
        client = http_client(server)
        for visitor in ("198.51.100.1", "198.51.100.2", "2001:db8::1"):
            for _ in range(2):
                await streams.enter_async_context(
                    client.stream_events(headers={"X-Forwarded-For": f"203.0.113.9, {visitor}"})
                )
            over = await client.get("/v1/events/stream", X_Forwarded_For=visitor)
            assert is_envelope(over, 429, "too_many_streams")
            assert int(over.headers["retry-after"]) > 0


async def test_who_is_no_proxy_cannot_say_to_be_somebody_else(home: Home) -> None:
    config = network_config(mode=AuthMode.OPEN, rooms=[LOBBY], limits=attrs.evolve(CAPS_ONLY, streams_per_caller=1))
    async with home.serve(config) as server, http_client(server).stream_events():
        answer = await http_client(server).get("/v1/events/stream", X_Forwarded_For="198.51.100.7")
        assert is_envelope(answer, 429, "too_many_streams")


async def test_a_caller_that_asks_too_often_is_told_when_to_come_back(home: Home) -> None:
    slow = attrs.evolve(CAPS_ONLY, requests_per_credential=Rate(1 / 3600, 3), messages_per_credential=Rate(1 / 3600, 1))
    config = attrs.evolve(BEARER, server=attrs.evolve(BEARER.server, limits=slow))
    async with home.serve(config) as server:
        observer, admin = http_client(server, "observer"), http_client(server, "admin")
        assert [(await observer.get("/v1/rooms")).status for _ in range(3)] == [200, 200, 200]
        refused = await observer.get("/v1/rooms")
        assert is_envelope(refused, 429, "rate_limited")
        assert int(refused.headers["retry-after"]) > 0
        assert (await admin.post("/v1/messages", said())).status == 202
        assert is_envelope(await admin.post("/v1/messages", said()), 429, "rate_limited")


async def test_strangers_do_not_make_metrics_grow(home: Home) -> None:
    async with home.serve(BEARER) as server:
        admin, stranger = http_client(server, "admin"), http_client(server)

        async def series() -> set[str]:
            lines = (await admin.get("/metrics")).body.decode().splitlines()
            return {line.rpartition(" ")[0] for line in lines if line.startswith("moltnet_http_requests_total{")}

        for method, target in (("POST", "/x"), ("BREW", "/x"), ("GET", "/v1/x"), ("GET", "/v1/rooms")):
            await stranger.request(method, target)
        await series()
        before = await series()
        for number in range(30):
            await stranger.request("POST", f"/random/{number}")
            await stranger.request(f"M{number}", "/v1/rooms")
            await stranger.request("BREW", f"/v1/rooms/{number}")
            await stranger.get(f"/v1/{number}")
        grown = await series() - before
        assert len(grown) <= 4, grown
        assert not [each for each in grown if "random" in each or "M1" in each]
        assert (await stranger.get("/metrics")).status == 401


async def test_documents_have_a_tag_and_are_not_sent_twice(home: Home) -> None:
    async with home.serve() as server:
        client = http_client(server)
        for target in ("/v1/network", "/v1/rooms/general"):
            first = await client.get(target)
            again = await client.get(target, If_None_Match=first.headers["etag"])
            assert (first.status, again.status, again.body) == (200, 304, b"")
        await client.patch("/v1/rooms/general/members", {"add": ["gamma"]})
        assert (await client.get("/v1/rooms/general", If_None_Match=first.headers["etag"])).status == 200


async def test_large_answers_are_compressed_for_those_who_take_it(home: Home) -> None:
    async with home.serve() as server:
        client = http_client(server)
        for number in range(20):
            await client.post("/v1/messages", said(f"{number} " + "all the same " * 100))
        plain = await client.get("/v1/rooms/general/messages")
        packed = await client.get("/v1/rooms/general/messages", Accept_Encoding="gzip")
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed.body) == plain.body
        assert len(packed.body) < len(plain.body) / 5


async def test_the_api_describes_itself(home: Home) -> None:
    async with home.serve() as server:
        document = (await http_client(server).get("/openapi.json")).json()
        assert document["openapi"].startswith("3.1")
        for path, method in (("/v1/messages", "post"), ("/v1/rooms/{room_id}/messages", "get"), ("/v1/apply", "post")):
            assert method in document["paths"][path]


async def test_every_answer_has_the_headers_that_keep_a_browser_out_of_harm(home: Home) -> None:
    async with home.serve() as server:
        for target in ("/v1/rooms", "/console/", "/openapi.json", "/v1/nothing"):
            headers = (await http_client(server).get(target)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
