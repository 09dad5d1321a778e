"""The operator of another network, with its pair token: what it can't do here."""

from typing import Any

import pytest

from tests.attacks.victim import (
    MODES,
    agent,
    leaked,
    open_victim,
    read_everything,
    said,
    state_of,
    upgrade,
    victim_config,
)
from tests.fakes.homes import Home
from tests.fakes.http_client import HttpAnswer, http_client
from tests.fakes.network import TestServer

pytestmark = pytest.mark.slow  # hundreds of requests over sockets

VAULT = {"kind": "room", "room_id": "vault"}
TALK = {"kind": "dm", "dm_id": "secret-talk", "participant_ids": ["alpha", "beta"]}
# Senders and origins that all mean, somehow, that alpha of this network has said it.
FORGERIES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"id": "alpha", "network_id": "net_b"}, {"network_id": "net_b"}),
    ({"id": "alpha"}, {"network_id": "net_b"}),
    ({"id": "net_b:alpha"}, {"network_id": "net_b"}),
    ({"id": "lab:alpha", "network_id": "net_b"}, {"network_id": "net_b"}),
    ({"id": "molt://lab/agents/alpha"}, {"network_id": "net_b"}),
    ({"id": "alpha", "network_id": "net_b", "fqid": "molt://lab/agents/alpha"}, {"network_id": "net_b"}),
    ({"id": "alpha", "network_id": "lab"}, {"network_id": "lab"}),
    ({"id": "alpha", "network_id": "lab"}, {"network_id": "net_b"}),
    ({"id": "alpha", "network_id": "net_b"}, {"network_id": "lab"}),
    ({"id": "alpha", "network_id": "net_b"}, {"network_id": " lab "}),
    ({"id": "alpha"}, {}),
    ({"type": "human", "id": "alpha", "network_id": "lab"}, {"network_id": "net_b"}),
    ({"type": "human", "id": "alpha"}, {}),
]


async def relay(
    server: TestServer, sender: dict[str, Any], origin: dict[str, Any], *, token: str = "pair", target: Any = VAULT
) -> HttpAnswer:
    body = said("relayed", target=target, sender={"type": "agent", **sender}, **({"origin": origin} if origin else {}))
    return await http_client(server, token).post("/v1/messages", body)


@pytest.mark.parametrize(("sender", "origin"), FORGERIES, ids=str)
@pytest.mark.parametrize("target", [VAULT, TALK, {"kind": "room", "room_id": "lobby"}], ids=lambda each: each["kind"])
async def test_is_no_agent_of_ours(sender: dict[str, Any], origin: dict[str, Any], target: dict[str, Any]) -> None:
    async with open_victim() as server:
        for agent_id in ("alpha", "beta"):
            await http_client(server, "ops").post("/v1/agents/register", {"requested_agent_id": agent_id})
        before = await state_of(server)
        answer = await relay(server, sender, origin, target=target)
        assert answer.status in (403, 409, 422), answer
        assert await state_of(server) == before


async def test_says_nothing_where_none_of_its_agents_is_a_member() -> None:
    async with open_victim() as server:
        zeta = {"id": "zeta", "network_id": "net_b"}
        for target in (VAULT, TALK, {"kind": "room", "room_id": "desk"}):
            assert (await relay(server, zeta, {"network_id": "net_b"}, target=target)).status == 403
        await http_client(server, "ops").patch("/v1/rooms/vault/members", {"add": ["net_b:zeta"]})
        assert (await relay(server, zeta, {"network_id": "net_b"})).status == 202
        other = {"id": "eta", "network_id": "net_b"}
        assert (await relay(server, other, {"network_id": "net_b"})).status == 403


async def test_speaks_for_one_network_and_for_no_second_one_even_after_a_restart(home: Home) -> None:
    config = victim_config()
    async with home.serve(config) as server:
        members = {"add": ["net_b:zeta", "net_d:delta", "net_c:gamma"]}
        await http_client(server, "ops").patch("/v1/rooms/vault/members", members)
        assert (await relay(server, {"id": "zeta", "network_id": "net_b"}, {"network_id": "net_b"})).status == 202
    async with home.serve(config) as server:
        for network, name in (("net_d", "delta"), ("net_c", "gamma")):
            answer = await relay(server, {"id": name, "network_id": network}, {"network_id": network})
            assert (answer.status, answer.code) == (403, "remote_actor_forbidden")
        # A token whose network stands in the file speaks for that one from the start.
        zeta = await relay(server, {"id": "zeta", "network_id": "net_b"}, {"network_id": "net_b"}, token="pair c")
        assert (zeta.status, zeta.code) == (403, "remote_actor_forbidden")
        gamma = await relay(server, {"id": "gamma", "network_id": "net_c"}, {"network_id": "net_c"}, token="pair c")
        assert gamma.status == 202


@pytest.mark.parametrize("mode", MODES)
async def test_reads_nothing_private_and_attaches_as_nobody(mode: str) -> None:
    async with open_victim(mode) as server:
        assert leaked(await read_everything(server, http_client(server, "pair"))) == []
        assert await upgrade(server, "pair") == 403


async def test_an_agent_of_ours_is_none_of_theirs() -> None:
    """The other way round: nobody here speaks for another network without its token."""
    async with open_victim() as server:
        await http_client(server, "ops").patch("/v1/rooms/vault/members", {"add": ["net_b:zeta"]})
        for holder in ("alpha", "writer", "ops", "reader", "attacher"):
            for origin in ({"network_id": "net_b"}, {}):
                for sender in ({"id": "zeta", "network_id": "net_b"}, agent("net_b:zeta")):
                    answer = await relay(server, sender, origin, token=holder)
                    assert answer.status == 403, (holder, sender)
