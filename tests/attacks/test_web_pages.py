"""A page of a stranger, in the browser of somebody who may: what it can't do.

A browser names the page's origin with everything that changes something and with every WebSocket; it sends cookies that
it may, follows links, posts forms without asking, and believes any name server about the addresses of names.
"""

import json

import attrs
import pytest

from moltnet.auth.sessions import cookie_name
from moltnet.config.settings import AuthMode
from tests.attacks.victim import (
    MODES,
    change_everything,
    leaked,
    open_victim,
    read_everything,
    said,
    state_of,
    upgrade,
    victim_config,
)
from tests.fakes.http_client import HttpAnswer, HttpClient, http_client
from tests.fakes.network import LAB_ORIGIN, TestServer, network_config, open_test_server, secret_of

pytestmark = pytest.mark.slow  # hundreds of requests over sockets

EVIL = "http://evil.example"
# What a page can make a browser send along: its own origin, a sandboxed frame's, a name that begins or ends like ours.
ORIGINS = [
    EVIL,
    "null",
    "http://lab.test.evil.example",
    "http://evil-lab.test",
    "https://lab.test",
    "http://lab.test:81",
]
# Bodies that a form may have without anybody being asked, JSON in disguise among them.
FORMS = {
    "text/plain": json.dumps({**said("by a form"), "x": "="}).encode(),
    "application/x-www-form-urlencoded": json.dumps(said("by a form")).encode(),
    "multipart/form-data; boundary=x": b"--x\r\n\r\n" + json.dumps(said("by a form")).encode() + b"\r\n--x--",
}


async def browser(server: TestServer, token_id: str = "ops") -> dict[str, str]:
    """The cookie of somebody who has signed in."""
    signed = await http_client(server).request(
        "POST", "/v1/session", {"token": secret_of(token_id)}, headers={"Origin": LAB_ORIGIN}
    )
    assert signed.status == 200
    return {"Cookie": signed.headers["set-cookie"].partition(";")[0]}


@pytest.mark.parametrize("origin", [*ORIGINS, ""])
async def test_changes_nothing_with_the_visitors_session(origin: str) -> None:
    async with open_victim() as server:
        visitor = await browser(server)
        before = await state_of(server)
        headers = {**visitor, **({"Origin": origin} if origin else {})}
        for what, answer in (await change_everything(server, http_client(server), headers)).items():
            assert (answer.status, answer.code) == (403, "origin_forbidden"), what
        assert await state_of(server) == before
        assert (await http_client(server).request("GET", "/v1/dms", headers=visitor)).status == 200  # still signed in


@pytest.mark.parametrize("origin", ORIGINS)
async def test_changes_nothing_where_nobody_is_asked_who_he_is(origin: str) -> None:
    async with open_victim(network_config(rooms=victim_config().rooms)) as server:
        before = await state_of(server)
        for what, answer in (await change_everything(server, http_client(server), {"Origin": origin})).items():
            assert (answer.status, answer.code) == (403, "origin_forbidden"), what
        assert await state_of(server) == before


@pytest.mark.parametrize("kind", FORMS)
async def test_posts_no_form(kind: str) -> None:
    for config in (network_config(rooms=victim_config().rooms), victim_config()):
        async with open_victim(config) as server:
            headers = {"Content-Type": kind, "Origin": EVIL}
            if config.auth.mode is not AuthMode.NONE:
                headers |= await browser(server)
            before = await state_of(server)
            answer = await http_client(server).request("POST", "/v1/messages", FORMS[kind], headers=headers)
            assert (answer.status, answer.code) == (403, "origin_forbidden")
            assert await state_of(server) == before


@pytest.mark.parametrize("mode", ["none", *MODES])
async def test_opens_no_attachment_and_no_stream(mode: str) -> None:
    config = network_config(rooms=victim_config().rooms) if mode == "none" else victim_config(mode)
    async with open_victim(config) as server:
        visitor = {} if mode == "none" else await browser(server)
        for origin in ORIGINS:
            for headers in ({"Origin": origin}, {"Origin": origin, **visitor}):
                assert await upgrade(server, headers=headers) in (401, 403)
                stream = await http_client(server).request("GET", "/v1/events/stream", headers=headers)
                assert (stream.status, stream.code) in [(403, "origin_forbidden"), (401, "unauthorized")]
            if visitor:  # nor with a token that a page has got hold of
                assert await upgrade(server, "alpha", {"Origin": origin}) == 403


async def test_opens_no_attachment_with_the_visitors_session_even_from_our_own_page() -> None:
    async with open_victim() as server:
        assert await upgrade(server, headers={"Origin": LAB_ORIGIN, **await browser(server)}) == 401


@pytest.mark.parametrize("mode", ["none", *MODES])
async def test_is_given_leave_to_read_no_answer(mode: str) -> None:
    """Without these headers a browser shows a page nothing of another origin, whatever the answer holds."""
    config = network_config(rooms=victim_config().rooms) if mode == "none" else victim_config(mode)
    async with open_victim(config) as server:
        headers = {"Origin": EVIL, **({} if mode == "none" else await browser(server))}
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        for method, target, more in (
            ("GET", "/v1/rooms/vault/messages", {}),
            ("GET", "/v1/session", {}),
            ("OPTIONS", "/v1/messages", asked),
            ("OPTIONS", "/v1/rooms", {**asked, "Access-Control-Request-Private-Network": "true"}),
        ):
            answer = await http_client(server).request(method, target, headers={**headers, **more})
            assert not [name for name in answer.headers if name.startswith("access-control-")]
            assert answer.headers["cross-origin-resource-policy"] == "same-origin"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            assert (method, answer.status) != ("OPTIONS", 200)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8787", "127.0.0.1.evil.example", "lab.test.evil.example"]
)
async def test_reads_and_changes_nothing_by_a_name_of_its_own_that_leads_here(host: str) -> None:
    """DNS rebinding: to the browser it is the page's own origin, so it sends no other and shows every answer."""
    async with open_victim(network_config(rooms=victim_config().rooms)) as server:
        own = {"Host": host, "Origin": f"http://{host}"}
        before = await state_of(server)
        assert leaked(await read_everything(server, http_client(server), own)) == []
        for what, answer in (await change_everything(server, http_client(server), own)).items():
            assert answer.status == 403, what
        assert await upgrade(server, headers=own) == 403
        assert await state_of(server) == before
    # Where tokens are asked for the browser has none for that name, and a cookie of ours it does not send there.
    async with open_victim() as server:
        assert leaked(await read_everything(server, http_client(server), own)) == []


async def test_locks_nobody_out_and_in_by_a_link() -> None:
    async with open_victim("open") as server:
        visitor = await browser(server)
        for link in (
            "/?access_token=junk",
            "/console/?access_token=junk",
            "/console/x?access_token=&y=1",
            "/?sign_in=x",
        ):
            for headers in ({}, visitor):
                answer = await http_client(server).request("GET", link, headers=headers)
                assert "set-cookie" not in answer.headers
                # Only to ourselves, and without what was in the link.
                assert answer.headers.get("location", "/").startswith("/")
                assert "junk" not in str(answer.headers)
        assert (await http_client(server).request("GET", "/v1/dms", headers=visitor)).status == 200
        assert (await http_client(server).get("/v1/rooms")).status == 200


async def test_leads_nobody_elsewhere_by_a_link_of_ours() -> None:
    async with open_victim() as server:
        for path in (
            "//evil.example", "/%5c%5cevil.example", "/console//evil.example", "/console/%2f%2fevil.example",
            "/console/%0d%0aSet-Cookie:x=y", "/console/https:%2f%2fevil.example", "/console/\\evil.example",
        ):  # fmt: skip
            answer = await http_client(server).get(f"{path}?access_token={secret_of('ops')}", Host="evil.example")
            location = answer.headers.get("location", "/")
            assert location.startswith("/")
            assert not location.startswith(("//", "/\\"))
            assert "x=y" not in answer.headers.get("set-cookie", "")


async def test_gives_nobody_a_session_that_the_page_knows() -> None:
    async with open_victim() as server:
        name = cookie_name(server.app.context.id, is_secure=False)
        chosen = {"Cookie": f"{name}=chosen-by-mallory", "Origin": LAB_ORIGIN}
        signed = await http_client(server).request("POST", "/v1/session", {"token": secret_of("ops")}, headers=chosen)
        assert "chosen-by-mallory" not in signed.headers["set-cookie"]
        after = await http_client(server).request("GET", "/v1/dms", headers={"Cookie": chosen["Cookie"]})
        assert after.status == 401
        for origin in ORIGINS:
            mine = await http_client(server).request(
                "POST", "/v1/session", {"token": secret_of("gamma")}, headers={"Origin": origin}
            )
            assert (mine.status, mine.code) == (403, "origin_forbidden")


async def test_takes_no_default_for_an_origin_that_the_operator_misspelt() -> None:
    """A list that was written is the whole list; what is wrong in it does not load (`tests/config`)."""
    config = victim_config()
    listed = attrs.evolve(config.server, allowed_origins=("https://chat.example",))
    async with open_victim(attrs.evolve(config, server=listed)) as server:
        for origin in ("http://localhost:8787", "http://127.0.0.1", LAB_ORIGIN):
            assert await upgrade(server, "alpha", {"Origin": origin}) == 403
        assert await upgrade(server, "alpha", {"Origin": "https://chat.example"}) == 101


async def test_frames_and_scripts_nothing_of_the_console() -> None:
    async with open_test_server(victim_config()) as server:
        for target in ("/console/", "/console/built/console.js", "/docs"):
            headers = (await http_client(server).get(target)).headers
            policy = headers["content-security-policy"]
            assert "frame-ancestors 'none'" in policy
            assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
            assert headers["x-frame-options"] == "DENY"


async def test_finds_nothing_that_runs_in_what_agents_may_write() -> None:
    """A message is data: whatever it says, it comes as JSON that no browser takes for a page."""
    script = "<script>alert(1)</script>"
    async with open_victim() as server:
        client: HttpClient = http_client(server, "alpha")
        body = said(script, target={"kind": "room", "room_id": "vault"})
        assert (await client.post("/v1/messages", body)).status == 202
        answer: HttpAnswer = await http_client(server, "ops").get("/v1/rooms/vault/messages", Accept="*/*")
        assert answer.headers["content-type"] == "application/json"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
