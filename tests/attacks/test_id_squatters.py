"""Somebody who claims ids before those who should have them: what it can't get by it.

What an operator does about a squatter: `tests/e2e/test_recovering_ids`.
"""

import attrs
import pytest

from moltnet.config.server_limits import CAPS_ONLY, Rate
from tests.attacks.victim import (
    TOKENS,
    agent,
    attach,
    hear,
    in_direct,
    leaked,
    open_victim,
    read_everything,
    refused_as,
    victim_config,
)
from tests.fakes.attach_client import open_websocket_wire
from tests.fakes.http_client import HttpAnswer, http_client
from tests.fakes.network import TestServer, token

pytestmark = pytest.mark.slow  # hundreds of requests over sockets

CONFIG = victim_config("open")
RESERVED = attrs.evolve(CONFIG, auth=attrs.evolve(CONFIG.auth, reserved_agents=("root", "lab-*", "op?")))


async def claim(server: TestServer, agent_id: str, token_id: str = "", **body: str) -> HttpAnswer:
    return await http_client(server, token_id).post("/v1/agents/register", {"requested_agent_id": agent_id, **body})


@pytest.mark.parametrize("wanted", ["root", "Root", "ROOT", " root ", "lab-", "lab-anything", "LAB-x", "ops", "opX"])
async def test_has_no_reserved_name_in_any_spelling_by_any_way(wanted: str) -> None:
    async with open_victim(RESERVED) as server:
        minted = (await claim(server, "mallory")).json()["agent_token"]
        for holder in ("", minted, "attacher", "gamma"):
            assert (await claim(server, wanted, holder)).status == 403
        for holder in ("", "attacher"):
            assert "keeps the name" in await refused_as(server, wanted, holder)
        named = (await claim(server, "", name=wanted)).json()
        assert named.get("agent_id", "") not in ("root", "ops", "opx")
        assert not named.get("agent_id", "").startswith("lab-")
        assert (await claim(server, wanted, "admin")).status == 201


@pytest.mark.parametrize(
    "wanted",
    [
        "lab:alpha",
        "molt://lab/agents/alpha",
        "alpha ",
        "alph\u0430",
        "alpha\u200b",
        "alpha\x00",
        "ALPHA\u0130",
        "a/b",
        "..",
        "a b",
    ],
)
async def test_has_no_second_spelling_of_an_id(wanted: str) -> None:
    async with open_victim(CONFIG) as server:
        answer = await claim(server, wanted)
        assert answer.status in (400, 403, 409, 422)
        assert "agent_token" not in answer.json()
        assert leaked(await refused_as(server, wanted)) == []


@pytest.mark.parametrize("agent_id", ["alpha", "beta", "gamma"])
async def test_has_no_id_that_the_file_gives_to_a_token_even_before_that_was_used(agent_id: str) -> None:
    async with open_victim(CONFIG) as server:
        assert (await claim(server, agent_id)).status == 409
        assert "needs its own token" in await refused_as(server, agent_id)


async def test_loses_an_id_that_the_file_gives_to_a_token_later_and_hears_no_more() -> None:
    async with open_victim(CONFIG) as server, open_websocket_wire(server.url) as wire:
        squatter = await attach(wire, "delta")
        config = attrs.evolve(
            CONFIG, auth=attrs.evolve(CONFIG.auth, tokens=(*TOKENS, token("delta", "attach write", "delta")))
        )
        server.app.load = lambda: config
        assert (await http_client(server, "ops").post("/v1/admin/reload", {})).status == 200
        heard = await hear(wire)
        assert heard.splitlines()[-1].startswith("1008 ")
        minted = squatter.ready.agent_token
        body = in_direct("d2", "delta", "beta", sender=agent("delta"))
        assert (await http_client(server, minted).post("/v1/messages", body)).status == 401
        assert (await http_client(server, "delta").post("/v1/messages", body)).status == 202


async def test_claims_no_more_than_an_address_may_and_makes_nobody_else_wait() -> None:
    limits = attrs.evolve(CAPS_ONLY, registrations_per_address=Rate(0.001, 4))
    async with open_victim(victim_config("open", limits=limits, trusted_proxies=("127.0.0.1",))) as server:
        for source, statuses in (("203.0.113.7", [201] * 4 + [429] * 3), ("203.0.113.8", [201] * 2)):
            got = []
            for number in range(len(statuses)):
                headers = {"X-Forwarded-For": source}
                body = {"name": "Squat"} if number % 2 else {"requested_agent_id": f"squat-{source[-1]}-{number}"}
                answer = await http_client(server).request("POST", "/v1/agents/register", body, headers=headers)
                got.append(answer.status)
            assert got == statuses


async def test_gets_no_second_token_for_what_it_has_and_none_for_what_others_have() -> None:
    async with open_victim(CONFIG) as server:
        first = await claim(server, "luna")
        mine = first.json()["agent_token"]
        for holder in ("", mine, "attacher", "admin"):
            again = await claim(server, "luna", holder)
            assert "agent_token" not in again.json()
        other = (await claim(server, "mallory")).json()["agent_token"]
        assert (await claim(server, "luna", other)).status in (403, 409)
        assert (await http_client(server, other).post("/v1/agents/luna/token", {})).status == 403
        assert leaked(await read_everything(server, http_client(server, other))) == []


async def test_a_name_that_is_made_from_another_is_a_new_agent_and_no_other_one() -> None:
    async with open_victim(CONFIG) as server:
        for name in ("Alpha", "alpha!", "ALPHA", "al pha", "Älpha"):
            made = (await claim(server, "", name=name)).json()
            assert made["agent_id"] != "alpha"
            assert leaked(await read_everything(server, http_client(server, made["agent_token"]))) == []
