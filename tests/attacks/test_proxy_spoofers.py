"""Somebody who writes the headers of a proxy itself: what it can't become by them."""

from typing import Any

import attrs
import pytest

from moltnet.config.server_limits import NO_LIMITS, Rate
from moltnet.config.settings import AuthMode
from tests.attacks.victim import leaked, open_victim, read_everything, upgrade, victim_config
from tests.fakes.http_client import HttpAnswer, http_client
from tests.fakes.network import TestServer, network_config, open_test_server, secret_of

pytestmark = pytest.mark.slow  # hundreds of requests over sockets

CLAIMS: list[dict[str, str]] = [
    {"X-Forwarded-For": "127.0.0.1"},
    {"X-Forwarded-For": "203.0.113.9, 127.0.0.1"},
    {"Forwarded": "for=127.0.0.1;proto=https;host=localhost"},
    {"X-Real-Ip": "127.0.0.1"},
    {"X-Forwarded-User": "ops"},
    {"X-Forwarded-Authorization": f"Bearer {secret_of('ops')}"},
    {"X-Original-Url": "/metrics"},
    {"X-Rewrite-Url": "/metrics"},
    {"X-Http-Method-Override": "DELETE"},
    {"Remote-User": "ops"},
]


async def ask(server: TestServer, method: str = "GET", target: str = "/v1/network", **more: Any) -> HttpAnswer:
    return await http_client(server).request(method, target, **more)


@pytest.mark.parametrize("headers", CLAIMS, ids=lambda each: next(iter(each)))
@pytest.mark.parametrize("proxies", [(), ("127.0.0.1",)], ids=["no proxy", "behind a proxy"])
async def test_is_nobody_else_and_reaches_nothing_else(headers: dict[str, str], proxies: tuple[str, ...]) -> None:
    async with open_victim(victim_config("open", trusted_proxies=proxies)) as server:
        assert leaked(await read_everything(server, http_client(server), headers)) == []
        for target in ("/metrics", "/v1/dms"):
            assert (await ask(server, target=target, headers=headers)).status == 401
        body = {"x": 1}
        assert (await ask(server, "POST", "/v1/rooms/lobby/restore", body=body, headers=headers)).status == 401


async def test_has_one_address_however_many_it_names() -> None:
    limits = attrs.evolve(
        NO_LIMITS, requests_per_address=Rate(0.01, 3), failed_authentications_per_address=Rate(0.01, 3)
    )
    for headers in ("X-Forwarded-For", "Forwarded", "X-Real-Ip", "Cf-Connecting-Ip", "True-Client-Ip"):
        async with open_test_server(network_config(mode=AuthMode.OPEN, limits=limits)) as server:
            statuses = [(await ask(server, headers={headers: f"203.0.113.{number}"})).status for number in range(5)]
            assert statuses == [200, 200, 200, 429, 429], headers


async def test_behind_a_proxy_what_it_says_itself_is_not_its_address() -> None:
    limits = attrs.evolve(NO_LIMITS, requests_per_address=Rate(0.01, 3))
    config = network_config(mode=AuthMode.OPEN, limits=limits, trusted_proxies=["127.0.0.1"])
    chains = ["1.2.3.{0}, 203.0.113.7", "{0}.2.3.4,5.6.7.8 , 203.0.113.7", "203.0.113.7", "garbage{0}, 203.0.113.7"]
    async with open_test_server(config) as server:
        statuses = []
        for number, chain in enumerate(chains):
            statuses.append((await ask(server, headers={"X-Forwarded-For": chain.format(number + 1)})).status)
        assert statuses == [200, 200, 200, 429]
        assert (await ask(server, headers={"X-Forwarded-For": "203.0.113.8"})).status == 200


async def test_makes_no_plain_session_pass_for_a_secure_one_and_no_foreign_origin_for_ours() -> None:
    async with open_victim() as server:
        told = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}
        signed = await ask(server, "POST", "/v1/session", body={"token": secret_of("ops")}, headers=told)
        assert "Secure" not in signed.headers["set-cookie"]
        for origin in ("https://evil.example", "http://evil.example"):
            assert await upgrade(server, "alpha", {**told, "Origin": origin}) == 403
    async with open_test_server(network_config()) as server:
        for host in ("localhost", "127.0.0.1"):
            answer = await ask(server, headers={"Host": "evil.example", "X-Forwarded-Host": host})
            assert answer.code == "host_forbidden"


async def test_puts_no_name_of_its_own_into_what_others_are_told() -> None:
    """Commands in our documents name the server; a caller must not choose which."""
    async with open_victim(victim_config("open")) as server:
        told = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
        for target in ("/install.md", "/llms.txt", "/skill.md", "/openapi.json", "/docs", "/console/", "/v1/network"):
            answer = await ask(server, target=target, headers=told)
            assert b"evil.example" not in answer.body, target
            assert "evil.example" not in str(answer.headers)


async def test_a_chain_without_end_holds_nobody_up() -> None:
    chain = ", ".join(f"10.0.{number % 256}.{number % 256}" for number in range(800))
    async with open_victim(victim_config("open", trusted_proxies=("10.0.0.0/8", "127.0.0.1"))) as server:
        assert (await ask(server, headers={"X-Forwarded-For": chain})).status in (200, 400, 431)
        assert (await ask(server)).status == 200
