"""A token that allows little: what its holder can't make of it. (Every scope on every route: `docs/access.md`.)"""

import pytest

from tests.attacks.victim import (
    MODES,
    agent,
    change_everything,
    in_direct,
    leaked,
    open_victim,
    read_everything,
    refused_as,
    said,
    state_of,
    upgrade,
)
from tests.fakes.http_client import http_client

pytestmark = pytest.mark.slow  # hundreds of requests over sockets

VAULT = {"kind": "room", "room_id": "vault"}
ALLOWED = {
    "reader": set(),
    "writer": set(),
    "attacher": set(),
    "pair": set(),
    "admin": {
        "POST /v1/rooms",
        "PATCH /v1/rooms/vault",
        "DELETE /v1/rooms/vault",
        "PATCH /v1/rooms/vault/members",
        "POST /v1/rooms/vault/restore",
        "POST /v1/agents/register",
        "DELETE /v1/agents/alpha",
        "POST /v1/agents/alpha/token",
        "DELETE /v1/agents/alpha/token",
        "POST /v1/agents/alpha/mute",
        "DELETE /v1/agents/alpha/mute",
        "POST /v1/apply",
        "POST /v1/admin/reload",
    },
}


@pytest.mark.parametrize("holder", ALLOWED)
async def test_changes_nothing_beyond_its_scope(holder: str) -> None:
    async with open_victim() as server:
        before = await state_of(server)
        answers = await change_everything(server, http_client(server, holder))
        refused = {what for what, answer in answers.items() if answer.status in (401, 403, 404, 409)}
        assert answers.keys() - refused - {"DELETE /v1/session"} <= ALLOWED[holder]
        if not ALLOWED[holder]:
            assert await state_of(server) == before


@pytest.mark.parametrize("holder", ["writer", "attacher", "pair"])
@pytest.mark.parametrize("mode", MODES)
async def test_reads_nothing_private_without_the_scope_for_it(holder: str, mode: str) -> None:
    async with open_victim(mode) as server:
        assert leaked(await read_everything(server, http_client(server, holder))) == []


@pytest.mark.parametrize("holder", ["reader", "writer", "pair", "admin", "ops"])
async def test_attaches_as_nobody_without_the_scope_for_it(holder: str) -> None:
    async with open_victim("open") as server:
        assert await upgrade(server, holder) == 403


async def test_a_writer_is_nobody_that_it_says_to_be() -> None:
    """Members that nobody has registered yet, agents of others, people that are agents."""
    async with open_victim() as server:
        await http_client(server, "ops").patch("/v1/rooms/vault/members", {"add": ["ghost"]})
        await http_client(server, "ops").post("/v1/agents/register", {"requested_agent_id": "alpha"})
        before = await state_of(server)
        for sender in (
            agent("ghost"),
            agent("alpha"),
            agent("lab:ghost"),
            {"type": "human", "id": "alpha"},
            {"type": "agent", "id": "zeta", "network_id": "elsewhere"},
        ):
            answer = await http_client(server, "writer").post("/v1/messages", said("x", target=VAULT, sender=sender))
            assert answer.status in (403, 409), sender
        talk = in_direct("secret-talk", "alpha", "beta", sender=agent("ghost"))
        assert (await http_client(server, "writer").post("/v1/messages", talk)).status == 403
        assert await state_of(server) == before


async def test_a_token_of_one_agent_registers_and_attaches_no_other() -> None:
    async with open_victim("open") as server:
        for wanted in ("alpha", "mallory"):
            body = {"requested_agent_id": wanted}
            answer = await http_client(server, "gamma").post("/v1/agents/register", body)
            assert (answer.status, answer.code) == (403, "agent_not_allowed")
            assert "not allowed" in await refused_as(server, wanted, "gamma")
        named = await http_client(server, "gamma").post("/v1/agents/register", {"name": "Alpha"})
        assert named.status == 403


async def test_an_attach_token_without_a_list_takes_no_agent_of_another_credential() -> None:
    async with open_victim() as server:
        for owner in ("alpha", "ops"):
            await http_client(server, owner).post("/v1/agents/register", {"requested_agent_id": "alpha"})
        assert "different credentials" in await refused_as(server, "alpha", "attacher")
        body = {"requested_agent_id": "alpha", "name": "Mallory"}
        answer = await http_client(server, "attacher").post("/v1/agents/register", body)
        assert answer.status in (403, 409)
        shown = (await http_client(server, "ops").get("/v1/agents/alpha")).json()
        assert shown.get("name", "") != "Mallory"
