"""Somebody who has got hold of a console's session: how little it is worth, and how soon nothing at all."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from moltnet.auth.sessions import COOKIE
from moltnet.config.secrets import Secret
from moltnet.config.settings import Scope
from moltnet.protocol import limits
from tests.attacks.victim import TOKENS, change_everything, fill, open_victim, state_of, upgrade, victim_config
from tests.fakes.homes import Home
from tests.fakes.http_client import HttpAnswer, http_client
from tests.fakes.network import LAB_ORIGIN, TestServer, open_test_server, secret_of

pytestmark = pytest.mark.slow  # hundreds of requests over sockets


@attrs.define
class Clock:
    now: datetime = attrs.field(factory=lambda: datetime.now(UTC))

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(clock: Clock) -> AsyncIterator[TestServer]:
    async with open_test_server(victim_config(), clock=clock) as server:
        await fill(server)
        yield server


async def stolen(server: TestServer, token_id: str = "ops") -> dict[str, str]:
    """The cookie of somebody who has just signed in."""
    signed = await http_client(server).post("/v1/session", {"token": secret_of(token_id)})
    assert signed.status == 200
    return {"Cookie": signed.headers["set-cookie"].partition(";")[0]}


async def look(server: TestServer, cookie: dict[str, str]) -> HttpAnswer:
    return await http_client(server).request("GET", "/v1/dms", headers=cookie)


async def test_is_no_token(server: TestServer) -> None:
    cookie = await stolen(server)
    session_id = cookie["Cookie"].partition("=")[2]
    assert secret_of("ops") not in session_id
    for headers in ({"Authorization": f"Bearer {session_id}"}, {"Authorization": f"Bearer {COOKIE}={session_id}"}):
        assert (await http_client(server).request("GET", "/v1/dms", headers=headers)).status == 401
    assert (await http_client(server).post("/v1/session", {"token": session_id})).status == 401
    assert (await http_client(server).get(f"/v1/dms?access_token={session_id}")).status == 401


async def test_changes_nothing_from_a_program_that_names_no_page(server: TestServer) -> None:
    cookie, before = await stolen(server), await state_of(server)
    for what, answer in (await change_everything(server, http_client(server), cookie)).items():
        assert (answer.status, answer.code) == (403, "origin_forbidden"), what
    assert await state_of(server) == before
    for origin in ({}, {"Origin": LAB_ORIGIN}):
        assert await upgrade(server, headers={**cookie, **origin}) == 401


async def test_gets_no_token_out_of_it(server: TestServer) -> None:
    cookie = await stolen(server)
    for target in ("/v1/session", "/v1/credentials", "/v1/network", "/metrics", "/v1/pairings"):
        answer = await http_client(server).request("GET", target, headers=cookie)
        assert answer.status == 200
        assert "PLANTED-SECRET" not in answer.body.decode()


async def test_is_worth_nothing_once_its_owner_has_signed_out(server: TestServer) -> None:
    cookie = await stolen(server)
    assert (await look(server, cookie)).status == 200
    out = await http_client(server).request("DELETE", "/v1/session", headers={**cookie, "Origin": LAB_ORIGIN})
    assert out.status == 200
    assert (await look(server, cookie)).status == 401


async def test_is_worth_nothing_after_its_time(server: TestServer, clock: Clock) -> None:
    cookie = await stolen(server)
    clock.now += timedelta(seconds=limits.SESSION_SECONDS)
    assert (await look(server, cookie)).status == 401


async def test_is_worth_what_the_token_behind_it_is_worth_now(server: TestServer) -> None:
    cookie, config = await stolen(server), victim_config()
    (ops,) = (each for each in TOKENS if each.id == "ops")
    others = tuple(each for each in TOKENS if each.id != "ops")
    lesser = attrs.evolve(ops, scopes=frozenset({Scope.WRITE}))
    server.app.adopt(attrs.evolve(config, auth=attrs.evolve(config.auth, tokens=(lesser, *others))))
    assert (await look(server, cookie)).status == 403 or (await look(server, cookie)).json()["dms"] == []
    renewed = attrs.evolve(ops, value=Secret("another-value-under-the-same-id"))
    server.app.adopt(attrs.evolve(config, auth=attrs.evolve(config.auth, tokens=(renewed, *others))))
    assert (await look(server, cookie)).status == 401


async def test_an_agents_session_ends_with_its_token() -> None:
    async with open_victim("open") as server:
        claimed = await http_client(server).post("/v1/agents/register", {"requested_agent_id": "mole"})
        signed = await http_client(server).post("/v1/session", {"token": claimed.json()["agent_token"]})
        cookie = {"Cookie": signed.headers["set-cookie"].partition(";")[0]}
        assert (await look(server, cookie)).status == 200
        await http_client(server, "ops").delete("/v1/agents/mole/token")
        assert (await look(server, cookie)).status == 401


async def test_cannot_be_made_from_what_is_stored(home: Home) -> None:
    async with home.serve(victim_config()) as server:
        cookie = await stolen(server)
        stored = [each.digest for each in server.app.context.directory.sessions()]
        assert len(stored) == 1
        for digest in stored:
            assert digest not in cookie["Cookie"]
            assert (await look(server, {"Cookie": f"{COOKIE}={digest}"})).status == 401
    async with home.serve(victim_config()) as server:
        assert (await look(server, cookie)).status == 200  # for its owner a restart is nothing


@pytest.mark.parametrize("value", ["", "x", "a" * 43, "../../etc/passwd", "%00", "' OR 1=1 --", '"quoted"', "a; b=c"])
async def test_is_not_guessed(server: TestServer, value: str) -> None:
    await stolen(server)
    answer = await look(server, {"Cookie": f"{COOKIE}={value}"})
    assert answer.status == 401


async def test_two_sessions_of_one_token_are_two(server: TestServer) -> None:
    one, other = await stolen(server), await stolen(server)
    assert one != other
    await http_client(server).request("DELETE", "/v1/session", headers={**one, "Origin": LAB_ORIGIN})
    assert ((await look(server, one)).status, (await look(server, other)).status) == (401, 200)
