"""Somebody who once had a token, an agent or a membership: what it can't do any more."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from moltnet.config.secrets import Secret
from tests.attacks.victim import (
    TOKENS,
    agent,
    attach,
    hear,
    leaked,
    open_victim,
    private_messages,
    read_everything,
    refused_as,
    said,
    upgrade,
    victim_config,
)
from tests.fakes.attach_client import open_websocket_wire
from tests.fakes.homes import Home
from tests.fakes.http_client import http_client
from tests.fakes.network import TestServer

pytestmark = pytest.mark.slow  # hundreds of requests over sockets

VAULT = {"kind": "room", "room_id": "vault"}


async def join_the_vault(server: TestServer, agent_id: str = "mole") -> str:
    """An agent that claimed its id, and is a member of the private room; its token."""
    claimed = await http_client(server).post("/v1/agents/register", {"requested_agent_id": agent_id})
    assert claimed.status == 201
    added = await http_client(server, "ops").patch("/v1/rooms/vault/members", {"add": [agent_id]})
    assert added.status == 200
    return str(claimed.json()["agent_token"])


async def assert_dead(server: TestServer, minted: str, agent_id: str = "mole") -> None:
    """The token opens nothing, as if it had never been one; not even what is public."""
    client = http_client(server, minted)
    for target in ("/v1/rooms", "/v1/rooms/vault/messages", "/v1/network", "/v1/events/stream", "/v1/dms"):
        assert (await client.get(target)).status == 401
    assert (await client.post("/v1/messages", said("still here", target=VAULT, sender=agent(agent_id)))).status == 401
    assert (await client.post(f"/v1/agents/{agent_id}/token", {})).status == 401
    assert (await client.post("/v1/agents/register", {"requested_agent_id": agent_id})).status == 401
    assert await upgrade(server, minted) == 401


@pytest.mark.parametrize("how", ["removed", "revoked", "replaced", "given away"])
async def test_hears_and_says_nothing_from_that_moment_on(how: str) -> None:
    async with open_victim("open") as server:
        minted, ops = await join_the_vault(server), http_client(server, "ops")
        async with (
            open_websocket_wire(server.url, minted) as wire,
            http_client(server, minted).stream_events() as stream,
        ):
            await attach(wire, "mole")
            match how:
                case "removed":
                    answer = await ops.delete("/v1/agents/mole")
                case "revoked":
                    answer = await ops.delete("/v1/agents/mole/token")
                case "replaced":
                    answer = await ops.post("/v1/agents/mole/token", {})
                case _:
                    answer = await ops.post("/v1/apply", {"agents": [{"id": "mole", "credential_key": "token:gamma"}]})
            assert answer.status == 200
            for body in private_messages():
                await ops.post("/v1/messages", body)
            assert leaked(heard := await hear(wire)) == []
            assert heard.splitlines()[-1].startswith("1008 ")
            while (event := await stream.next_event()) is not None:
                assert leaked(str(event.event)) == []
        await assert_dead(server, minted)


async def test_is_not_helped_by_the_next_owner_of_the_id() -> None:
    async with open_victim("open") as server:
        minted = await join_the_vault(server)
        await http_client(server, "ops").delete("/v1/agents/mole")
        assert (await http_client(server).post("/v1/agents/register", {"requested_agent_id": "mole"})).status == 201
        await assert_dead(server, minted)


async def test_the_next_owner_of_an_id_is_not_a_member_of_what_the_former_was() -> None:
    async with open_victim("open") as server:
        await join_the_vault(server)
        await http_client(server, "ops").delete("/v1/agents/mole")
        claimed = await http_client(server).post("/v1/agents/register", {"requested_agent_id": "mole"})
        heir = http_client(server, claimed.json()["agent_token"])
        assert leaked(await read_everything(server, heir)) == []


async def test_a_member_that_was_sent_away_reads_and_hears_no_more_even_by_an_old_cursor() -> None:
    async with open_victim("open") as server:
        minted, ops = await join_the_vault(server), http_client(server, "ops")
        async with open_websocket_wire(server.url, minted) as wire:
            ready = (await attach(wire, "mole")).ready
            await ops.patch("/v1/rooms/vault/members", {"remove": ["mole"]})
            for body in private_messages():
                await ops.post("/v1/messages", body)
            assert leaked(await hear(wire)) == []
        assert leaked(await read_everything(server, http_client(server, minted))) == []
        for cursor in (ready.cursor, "evt_gap_x"):
            async with open_websocket_wire(server.url, minted) as wire:
                await attach(wire, "mole", cursor=cursor)
                assert leaked(await hear(wire)) == []


async def test_a_member_that_was_sent_away_is_not_back_after_a_restart(home: Home) -> None:
    """The file still lists it; what was changed at runtime counts until the file changes."""
    config = victim_config()
    async with home.serve(config) as server:
        await http_client(server, "ops").patch("/v1/rooms/vault/members", {"remove": ["beta"]})
        await http_client(server, "ops").post("/v1/messages", said("WORD-OF-THE-VAULT", target=VAULT))
    async with home.serve(config) as server:
        assert leaked(await read_everything(server, http_client(server, "beta"))) == []
        body = said("back", target=VAULT, sender=agent("beta"))
        assert (await http_client(server, "beta").post("/v1/messages", body)).status == 403


@pytest.mark.parametrize("how", ["taken out of the file", "given another value", "given fewer scopes", "expired"])
async def test_a_token_of_the_file_ends_with_a_reload_and_its_connections_too(how: str) -> None:
    config = victim_config()
    async with open_victim(config) as server:
        async with (
            open_websocket_wire(server.url, "beta") as wire,
            http_client(server, "beta").stream_events() as stream,
        ):
            await attach(wire, "beta")
            (old,) = (each for each in TOKENS if each.id == "beta")
            change = {
                "taken out of the file": (),
                "given another value": (attrs.evolve(old, value=Secret("another-value-that-beta-has-not")),),
                "given fewer scopes": (attrs.evolve(old, scopes=frozenset()),),
                "expired": (attrs.evolve(old, expires_at=datetime.now(UTC) - timedelta(seconds=1)),),
            }[how]
            others = tuple(each for each in TOKENS if each.id != "beta")
            auth = attrs.evolve(config.auth, tokens=(*others, *change))
            server.app.adopt(attrs.evolve(config, auth=auth))
            for body in private_messages():
                await http_client(server, "ops").post("/v1/messages", body)
            assert leaked(heard := await hear(wire)) == []
            assert heard.splitlines()[-1].startswith("1008 ")
            while (event := await stream.next_event()) is not None:
                assert leaked(str(event.event)) == []
        assert leaked(await read_everything(server, http_client(server, "beta"))) == []
        answer = await http_client(server, "beta").post("/v1/messages", said("x", target=VAULT, sender=agent("beta")))
        assert answer.status in (401, 403)


async def test_a_removed_agent_poisons_nothing_for_who_takes_its_id() -> None:
    async with open_victim("open") as server:
        await join_the_vault(server)
        await http_client(server, "ops").delete("/v1/agents/mole")
        async with open_websocket_wire(server.url) as wire:
            await attach(wire, "mole", cursor="evt_gap_x")
            assert "1008" not in await hear(wire)


async def test_an_id_that_was_revoked_is_nobodys_not_the_firsts_who_comes() -> None:
    async with open_victim("open") as server:
        await join_the_vault(server)
        await http_client(server, "ops").delete("/v1/agents/mole/token")
        taken = await http_client(server).post("/v1/agents/register", {"requested_agent_id": "mole"})
        assert (taken.status, taken.code) == (409, "agent_owned_by_other")
        assert "needs its own token" in await refused_as(server, "mole")
