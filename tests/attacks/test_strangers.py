"""Somebody without a token, or with a guessed one: what it can't do."""

import pytest

from moltnet.auth.sessions import cookie_name
from moltnet.config.settings import AuthMode
from tests.attacks.victim import (
    MODES,
    change_everything,
    fill,
    hear,
    leaked,
    open_victim,
    private_messages,
    read_everything,
    refused_as,
    said,
    state_of,
    victim_config,
)
from tests.fakes.attach_client import attach, open_websocket_wire
from tests.fakes.homes import Home
from tests.fakes.http_client import bearer, http_client, open_connection
from tests.fakes.network import NETWORK, network_config, open_test_server, secret_of, token

pytestmark = pytest.mark.slow  # hundreds of requests over sockets

GUESSES = [
    {"Authorization": f"Bearer magt_v1_{'A' * 43}"},
    {"Authorization": "Bearer"},
    {"Authorization": f"bearer {secret_of('ops')}"},
    {"Authorization": f"Basic {secret_of('ops')}"},
    {"Authorization": secret_of("ops")},
    {"Authorization": f"Bearer {secret_of('ops')}x"},
    {"Authorization": f"Bearer {secret_of('ops')}, Bearer {secret_of('ops')}"},
    {"Authorization": f"Bearer {secret_of('ops').lower()}"},
    {"Authorization": "Bearer token:ops"},
    {"Authorization": "Bearer anonymous"},
]
# Ways that a token must not come, even a good one.
SMUGGLED = [
    {"Cookie": f"moltnet_auth={secret_of('ops')}"},
    {"Cookie": f"{cookie_name(NETWORK, is_secure=False)}={secret_of('ops')}"},
    {"X-Authorization": f"Bearer {secret_of('ops')}"},
    {"Proxy-Authorization": f"Bearer {secret_of('ops')}"},
    {"X-Api-Key": secret_of("ops")},
    {"Sec-WebSocket-Protocol": secret_of("ops")},
]


@pytest.mark.parametrize("mode", MODES)
async def test_finds_nothing_private_on_any_route(mode: str) -> None:
    async with open_victim(mode) as server:
        assert leaked(await read_everything(server, http_client(server))) == []
        # The search works: the operator finds all of it by the same way.
        assert len(leaked(await read_everything(server, http_client(server, "ops")))) == 4


@pytest.mark.parametrize("mode", MODES)
async def test_changes_nothing_on_any_route(mode: str) -> None:
    async with open_victim(mode) as server:
        before = await state_of(server)
        for what, answer in (await change_everything(server, http_client(server))).items():
            # Whoever is nobody may sign out; that changes nothing.
            assert answer.status in (401, 409) or what == "DELETE /v1/session", (what, answer)
        assert await state_of(server) == before


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("headers", [*GUESSES, *SMUGGLED], ids=lambda headers: next(iter(headers.items()))[1][:40])
async def test_is_let_in_by_no_guess_and_by_no_other_way_that_a_token_may_come(
    mode: str, headers: dict[str, str]
) -> None:
    async with open_victim(mode) as server:
        client = http_client(server)
        for target in ("/v1/dms", "/metrics", "/v1/credentials", f"/v1/dms?access_token={secret_of('ops')}"):
            assert (await client.request("GET", target, headers=headers)).status == 401
        if "Authorization" in headers and headers["Authorization"].strip():
            # What is no good never counts as nothing.
            for target in ("/v1/network", "/v1/rooms", "/v1/events/stream"):
                assert (await client.request("GET", target, headers=headers)).status == 401
            claim = {"requested_agent_id": "mallory"}
            assert (await client.request("POST", "/v1/agents/register", claim, headers=headers)).status == 401


@pytest.mark.parametrize("mode", ["bearer with public_read", "open"])
async def test_hears_nothing_private_on_the_stream_of_the_public(mode: str) -> None:
    async with open_victim(mode) as server, http_client(server).stream_events(last_event_id="evt_gap_x") as stream:
        for body in private_messages():
            await http_client(server, "ops").post("/v1/messages", body)
        last = said("the last word", target={"kind": "room", "room_id": "lobby"})
        await http_client(server, "ops").post("/v1/messages", last)
        heard: list[str] = []
        while "the last word" not in "".join(heard):
            heard.append(((event := await stream.next_event()) and str(event.event)) or "")
        assert leaked("".join(heard)) == []


@pytest.mark.parametrize("mode", ["bearer with open registration", "open"])
async def test_hears_nothing_private_by_claiming_an_id_and_attaching(mode: str) -> None:
    async with open_victim(mode) as server:
        async with open_websocket_wire(server.url) as wire:
            client = await attach(wire, "mallory", cursor="evt_gap_x")
            for body in private_messages():
                await http_client(server, "ops").post("/v1/messages", body)
            assert leaked(await hear(wire)) == []
        minted = client.ready.agent_token
        assert leaked(await read_everything(server, http_client(server, minted))) == []


async def test_is_not_let_in_as_somebody_who_was_there_before_tokens_were_asked_for(home: Home) -> None:
    async with home.serve(network_config(rooms=victim_config().rooms)) as server:
        await fill(server)
        await http_client(server).post("/v1/agents/register", {"requested_agent_id": "alpha"})
    for mode in (AuthMode.BEARER, AuthMode.OPEN):
        # Without a token that names alpha: it belongs to nobody now, and not to the first who comes.
        config = network_config(mode=mode, tokens=[token("ops", "observe write admin")], rooms=victim_config().rooms)
        async with home.serve(config) as server:
            assert (await http_client(server).post("/v1/messages", said("as alpha"))).status == 401
            claim = await http_client(server).post("/v1/agents/register", {"requested_agent_id": "alpha"})
            assert claim.status == (409 if mode is AuthMode.OPEN else 401)
            if mode is AuthMode.OPEN:
                assert "needs its own token" in await refused_as(server, "alpha")
            assert leaked(await read_everything(server, http_client(server))) == []


async def test_gets_past_the_token_by_no_spelling_of_a_path() -> None:
    async with open_victim("open") as server:
        spellings = [
            *("//metrics", "/./metrics", "/v1/../metrics", "/METRICS", "/metrics/", "/metrics;x", "/%6detrics"),
            *("/v1//dms", "/v1/dms/", "/v1/%64ms", "/v1/rooms/vault%2Fmessages", "/v1/rooms/lobby%2F..%2Fvault"),
            *("/v1/rooms/VAULT/messages", "/v1/rooms/%20vault/messages", "/v1/rooms/lobby/../vault/messages"),
            *("/console/../metrics", "/console/..%2f..%2fmetrics", "/v1/dms/secret-talk%00", "/v1/rooms/vault%0a"),
        ]
        for path in spellings:
            answer = await http_client(server).get(path)
            # Below /console/ everything is its page, which is the same for all.
            assert answer.status in ((200,) if path.startswith("/console/") else (401, 403, 404, 422)), path
            assert leaked(answer.body.decode(errors="replace")) == []
            assert b"moltnet_http_requests" not in answer.body


async def test_reaches_nothing_by_a_second_request_that_hides_in_the_first() -> None:
    hidden = b"GET /metrics HTTP/1.1\r\nHost: lab.test\r\n\r\n"
    heads = [
        b"POST /v1/messages HTTP/1.1\r\nHost: lab.test\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\nHost: lab.test\r\nContent-Length: 4\r\nContent-Length: 0\r\n\r\n",
        b"GET /v1/network HTTP/1.1\r\nHost: lab.test\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /v1/network HTTP/1.1\r\nHost : lab.test\r\nContent-Length: 43\r\n\r\n",
    ]
    async with open_victim("open") as server:
        for head in heads:
            async with open_connection(server.url) as connection:
                await connection.stream.send_all(head + hidden)
                await connection.stream.send_eof()
                answered = b""
                while piece := await connection.stream.receive_some():
                    answered += piece
                assert b"moltnet_http_requests" not in answered
        assert (await http_client(server, "ops").get("/metrics")).status == 200


async def test_cannot_tell_a_token_that_exists_from_one_that_does_not() -> None:
    """By the answer; that comparing takes the same time is tested where it is done."""
    config = network_config(mode=AuthMode.BEARER, tokens=[token("ops", "observe")])
    async with open_test_server(config) as server:
        answers = []
        for value in (secret_of("ops")[:-1], secret_of("ops") + "x", "x" * 26, f"magt_v1_{'A' * 43}"):
            headers = {"Authorization": f"Bearer {value}", "X-Request-Id": "same"}
            answers.append(await http_client(server).request("GET", "/v1/rooms", headers=headers))
        assert {(answer.status, answer.body) for answer in answers} == {(401, answers[0].body)}
        assert (await http_client(server).request("GET", "/v1/rooms", headers=bearer("ops"))).status == 200
