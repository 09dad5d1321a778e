"""An agent with a good token of its own, a member of something or of nothing: what it can't do to others."""

from typing import Any

import pytest

from tests.attacks.victim import (
    MODES,
    agent,
    attach,
    change_everything,
    hear,
    in_direct,
    in_thread,
    leaked,
    open_victim,
    private_messages,
    read_everything,
    refused_as,
    said,
    state_of,
    victim_config,
)
from tests.fakes.attach_client import frame, open_websocket_wire
from tests.fakes.http_client import http_client
from tests.fakes.network import TestServer

pytestmark = pytest.mark.slow  # hundreds of requests over sockets

VAULT = {"kind": "room", "room_id": "vault"}
LOBBY = {"kind": "room", "room_id": "lobby"}
# Ways to say "alpha" for somebody who is gamma.
DISGUISES: list[dict[str, Any]] = [
    {"type": "agent", "id": "alpha"},
    {"type": "agent", "id": " alpha "},
    {"type": "", "id": "alpha"},
    {"id": "lab:alpha"},
    {"id": "molt://lab/agents/alpha"},
    {"id": "alpha", "network_id": "lab"},
    {"id": "alpha", "fqid": "molt://lab/agents/gamma"},
    {"id": "alpha", "network_id": "elsewhere"},
    {"id": "alpha", "fqid": "molt://elsewhere/agents/alpha"},
    {"id": "elsewhere:alpha"},
    {"type": "human", "id": "alpha"},
    {"type": " human ", "id": "alpha"},
    {"type": "HUMAN", "id": "alpha"},
    {"type": "human", "id": "ada"},
    {"type": "operator", "id": "alpha"},
]


async def registered(server: TestServer, *agent_ids: str) -> None:
    for agent_id in agent_ids:
        body = {"requested_agent_id": agent_id}
        async with open_websocket_wire(server.url, agent_id) as wire:
            await attach(wire, agent_id)
        assert (await http_client(server, "ops").post("/v1/agents/register", body)).status in (200, 201)


@pytest.mark.parametrize("mode", MODES)
async def test_reads_no_room_that_it_is_not_in_and_no_conversation_of_others(mode: str) -> None:
    async with open_victim(mode) as server:
        await registered(server, "gamma")
        assert leaked(await read_everything(server, http_client(server, "gamma"))) == []
        # Who is in there reads all of it: nobody has to be given more for that.
        assert len(leaked(await read_everything(server, http_client(server, "beta")))) == 4


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cursor", ["", "evt_gap_x", "evt_unknown"])
async def test_hears_none_of_it_either_live_or_replayed_on_a_stream_or_attached(mode: str, cursor: str) -> None:
    async with (
        open_victim(mode) as server,
        open_websocket_wire(server.url, "gamma") as wire,
        open_websocket_wire(server.url, "beta") as member,
    ):
        for each, name in ((wire, "gamma"), (member, "beta")):
            await attach(each, name, cursor=cursor)
        async with http_client(server, "gamma").stream_events(last_event_id=cursor) as stream:
            for body in private_messages():
                await http_client(server, "ops").post("/v1/messages", body)
            await http_client(server, "ops").post("/v1/messages", in_direct("d-gamma", "gamma", "ada", sender=HUMAN))
            heard = ""
            while "d-gamma" not in heard:
                event = await stream.next_event()
                assert event is not None
                heard += str(event.event)
            assert leaked(heard) == []
        assert leaked(heard_attached := await hear(wire)) == []
        assert "d-gamma" in heard_attached
        assert len(leaked(await hear(member))) == 4


HUMAN = {"type": "human", "id": "ada"}


async def test_says_nothing_where_it_is_not_a_member() -> None:
    async with open_victim() as server:
        await registered(server, "gamma")
        client, before = http_client(server, "gamma"), await state_of(server)
        mine = agent("gamma")
        for body in (
            said("x", target=VAULT, sender=mine),
            in_thread("deep", "vault", sender=mine),
            in_thread("deep", "lobby", sender=mine),
            in_thread("new", "vault", sender=mine),
            in_direct("secret-talk", "gamma", "alpha", sender=mine),
            in_direct("secret-talk", "alpha", "beta", sender=mine),
            in_direct(" secret-talk ", "gamma", "alpha", "beta", sender=mine),
            in_direct("other-talk", "alpha", "beta", sender=mine),
        ):
            answer = await client.post("/v1/messages", body)
            assert answer.status in (403, 409, 422), body
        assert await state_of(server) == before


@pytest.mark.parametrize("sender", DISGUISES, ids=str)
@pytest.mark.parametrize("origin", [{}, {"network_id": "lab"}, {"network_id": "elsewhere"}], ids=str)
async def test_speaks_as_nobody_else_whatever_it_puts_into_the_sender(
    sender: dict[str, Any], origin: dict[str, Any]
) -> None:
    async with open_victim() as server:
        await registered(server, "gamma", "beta")
        before = await state_of(server)
        for attacker in ("gamma", "beta"):  # beta may write into the vault, as itself
            body = said("forged", target=VAULT, sender=sender, **({"origin": origin} if origin else {}))
            answer = await http_client(server, attacker).post("/v1/messages", body)
            assert answer.status in (400, 403, 409, 422), (attacker, answer)
        assert await state_of(server) == before


async def test_bears_no_other_name_than_its_own() -> None:
    async with open_victim() as server:
        await registered(server, "beta")
        sender = {"type": "agent", "id": "beta", "name": "Alpha", "network_id": "lab"}
        forged = {**said("x", target=VAULT, sender=sender), "created_at": "1999-01-01T00:00:00Z", "network_id": "other"}
        assert (await http_client(server, "beta").post("/v1/messages", forged)).status == 202
        (*_, stored) = (await http_client(server, "ops").get("/v1/rooms/vault/messages")).json()["messages"]
        assert stored["from"]["fqid"] == "molt://lab/agents/beta"
        assert stored["from"].get("name", "") != "Alpha"
        assert (stored["network_id"], stored["created_at"][:4]) == ("lab", stored["created_at"][:4])
        assert not stored["created_at"].startswith("1999")


async def test_is_attached_as_nobody_else() -> None:
    async with open_victim() as server:
        await registered(server, "alpha", "gamma")
        for wanted in ("alpha", "lab:alpha", "molt://lab/agents/alpha", "ALPHA", "ops", "elsewhere:gamma"):
            text = await refused_as(server, wanted, "gamma")
            assert leaked(text) == []
        other = {"network_id": "elsewhere", "agent": {"type": "agent", "id": "gamma"}}
        async with open_websocket_wire(server.url, "gamma") as wire:
            await wire.receive()
            await wire.send(frame("IDENTIFY", **other))
            assert "does not match" in await hear(wire)


async def test_renames_removes_and_robs_nobody_and_administers_nothing() -> None:
    async with open_victim() as server:
        await registered(server, "alpha", "gamma")
        before = await state_of(server)
        for what, answer in (await change_everything(server, http_client(server, "gamma"))).items():
            assert answer.status in (401, 403, 404, 409) or what == "DELETE /v1/session", (what, answer)
        for target in ("alpha", "lab:alpha", "molt://lab/agents/alpha", "alpha%20"):
            answer = await http_client(server, "gamma").post(f"/v1/agents/{target}/token", {})
            assert answer.status in (403, 404)
        assert await state_of(server) == before


async def test_learns_of_others_neither_when_they_come_and_go_nor_from_where() -> None:
    async with (
        open_victim(victim_config(debug_events=True)) as server,
        open_websocket_wire(server.url, "gamma") as wire,
    ):
        await attach(wire, "gamma", cursor="evt_gap_x")
        async with open_websocket_wire(server.url, "alpha") as other:
            await attach(other, "alpha")
            await other.hang_up(1006)
        heard = await hear(wire)
        assert '"agent_id":"alpha"' not in heard
        # Of itself it may hear; addresses of this machine's sockets stand in no event at all.
        async with http_client(server, "ops").stream_events(last_event_id="evt_gap_x") as stream:
            event = await stream.next_of("agent.disconnected")
            assert "127.0.0.1" not in str(event.event)
            assert "127.0.0.1" not in heard


async def test_breaks_no_reader_by_what_it_says() -> None:
    """A message whose event would fit no frame, or that a reader could take for two, is refused or harmless."""
    async with open_victim() as server, open_websocket_wire(server.url, "beta") as wire:
        await attach(wire, "beta")
        await registered(server, "alpha")
        client = http_client(server, "alpha")
        texts = ["<" * 300_000, "&" * 300_000, "\u2028\u2029\x85\x0b\x1c", "\u202e\ufeff", "data: x\n\nevent: y"]
        for body in (*(said(text, target=VAULT) for text in texts), b'{"id": "\\ud800"}'):
            answer = await client.post("/v1/messages", body)
            assert answer.status in (202, 400, 413, 422)
        assert (await client.post("/v1/messages", said("the last word", target=VAULT))).status == 202
        heard = await hear(wire, 2)
        assert "the last word" in heard
        async with http_client(server, "ops").stream_events(last_event_id="evt_gap_x") as stream:
            while "the last word" not in str(event := await stream.next_event()):
                assert event is not None


async def test_ends_no_session_by_saying_the_same_twice() -> None:
    async with open_victim() as server, open_websocket_wire(server.url, "beta") as wire:
        client = await attach(wire, "beta")
        await http_client(server, "alpha").post("/v1/agents/register", {"requested_agent_id": "alpha"})
        await http_client(server, "ops").post("/v1/messages", said("one", target=VAULT))
        delivered = await client.next_of("message.created")
        await client.ack(delivered)
        await wire.send(frame("ACK", cursor=delivered.cursor))
        await http_client(server, "ops").post("/v1/messages", said("two", target=VAULT))
        assert await client.next_texts(1) == ["two"]
