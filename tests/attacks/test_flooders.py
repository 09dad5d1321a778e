"""Somebody who asks for more than a server has: everybody else goes on. (Each limit by itself: `tests/http/test_limits`
and `tests/attach/test_limits`.)"""

from contextlib import AsyncExitStack

import attrs
import pytest
import trio

from moltnet.config.server_limits import LimitSettings, Rate
from tests.attacks.victim import agent, attach, open_victim, said, upgrade, victim_config
from tests.fakes.attach_client import open_websocket_wire
from tests.fakes.http_client import HttpClient, http_client, open_connection
from tests.fakes.network import TestServer, wait_until

pytestmark = pytest.mark.slow  # hundreds of requests over sockets

FLOODER = {"X-Forwarded-For": "203.0.113.7"}
HONEST = {"X-Forwarded-For": "203.0.113.8"}
# Tight, so that a flood is soon one; what the numbers are in real life stands in `tests/core/test_admission`.
TIGHT = LimitSettings(
    requests_per_credential=Rate(50, 200),
    requests_per_address=Rate(0.1, 30),
    messages_per_credential=Rate(0.1, 10),
    failed_authentications_per_address=Rate(0.1, 10),
    registrations_per_address=Rate(0.01, 5),
    attachments=20,
    attachments_per_credential=8,
    pending_handshakes=12,
    pending_handshakes_per_address=6,
    streams=8,
    streams_per_caller=3,
    connections=100,
    connections_per_address=60,
)
CONFIG = victim_config("open", limits=TIGHT, trusted_proxies=("127.0.0.1",))


async def flood_everything(server: TestServer, stack: AsyncExitStack) -> dict[str, int]:
    """All that one address without a token can do at once; how often it was told to stop."""
    client, refusals = http_client(server), dict.fromkeys(("requests", "guesses", "claims", "handshakes", "streams"), 0)
    for number in range(10):
        body = {"requested_agent_id": f"squat-{number}"}
        claim = await client.request("POST", "/v1/agents/register", body, headers=FLOODER)
        refusals["claims"] += claim.status == 429
    for _ in range(TIGHT.pending_handshakes_per_address or 0):
        await stack.enter_async_context(open_websocket_wire(server.url, headers=FLOODER))
    for _ in range(3):
        refusals["handshakes"] += await upgrade(server, headers=FLOODER) == 429
    for _ in range(6):
        connection = await stack.enter_async_context(open_connection(server.url))
        await connection.send_request("GET", "/v1/events/stream", FLOODER)
        refusals["streams"] += (await connection.receive_head()).status_code == 429
    for number in range(15):
        headers = {**FLOODER, "Authorization": f"Bearer guess-{number}"}
        refusals["guesses"] += (await client.request("GET", "/v1/rooms", headers=headers)).status == 429
    for _ in range(30):
        refusals["requests"] += (await client.request("GET", "/v1/rooms", headers=FLOODER)).status == 429
    return refusals


async def test_one_address_takes_nothing_from_the_others() -> None:
    async with open_victim(CONFIG) as server, AsyncExitStack() as stack:
        refusals = await flood_everything(server, stack)
        assert all(refusals.values()), refusals
        honest: HttpClient = http_client(server)
        assert (await honest.request("GET", "/v1/rooms", headers=HONEST)).status == 200
        claimed = await honest.request("POST", "/v1/agents/register", {"requested_agent_id": "luna"}, headers=HONEST)
        assert claimed.status == 201
        luna = http_client(server, claimed.json()["agent_token"])
        lobby = {"kind": "room", "room_id": "lobby"}
        async with open_websocket_wire(server.url, luna.token_id, headers=HONEST) as wire:
            client = await attach(wire, "luna")
            async with honest.stream_events(headers=HONEST) as stream:
                body = said("still here", target=lobby, sender=agent("luna"))
                assert (await luna.request("POST", "/v1/messages", body, headers=HONEST)).status == 202
                assert (await stream.next_of("message.created")).text == "still here"
                assert await client.next_texts(1) == ["still here"]
        # And who has a token is not in the flooder's way even at its address.
        assert (await http_client(server, "ops").request("GET", "/healthz", headers=FLOODER)).status == 200


async def test_the_flood_leaves_nothing_behind() -> None:
    async with open_victim(CONFIG) as server:
        async with AsyncExitStack() as stack:
            await flood_everything(server, stack)
        admission = server.app.admission
        await wait_until(
            lambda: not (len(admission.handshakes) or len(admission.streams) or len(admission.attachments))
        )
        metrics = (await http_client(server, "ops").request("GET", "/metrics", headers=HONEST)).body.decode()
        for limit in ("requests", "failed_authentications", "registrations", "pending_handshakes", "streams"):
            (line,) = (
                each for each in metrics.splitlines() if each.startswith(f'moltnet_limited_total{{limit="{limit}"}}')
            )
            assert float(line.rpartition(" ")[2]) > 0


async def test_a_member_that_floods_its_room_silences_no_other() -> None:
    async with open_victim(CONFIG) as server, open_websocket_wire(server.url, "beta", headers=HONEST) as wire:
        client = await attach(wire, "beta")
        vault = {"kind": "room", "room_id": "vault"}
        statuses = []
        for number in range(15):
            body = said(f"flood {number}", target=vault)
            answer = await http_client(server, "alpha").request("POST", "/v1/messages", body, headers=FLOODER)
            statuses.append(answer.status)
        assert statuses.count(202) == 10
        assert statuses[10:] == [429] * 5
        body = said("and I?", target=vault, sender=agent("beta"))
        assert (await http_client(server, "beta").request("POST", "/v1/messages", body, headers=HONEST)).status == 202
        assert (await client.next_texts(11))[-1] == "and I?"


async def test_one_credential_takes_not_all_attachments() -> None:
    config = victim_config("bearer", limits=attrs.evolve(TIGHT, requests_per_credential=None))
    async with open_victim(config) as server, AsyncExitStack() as stack:
        for number in range(8):
            wire = await stack.enter_async_context(open_websocket_wire(server.url, "attacher"))
            await attach(wire, f"puppet-{number}")
        assert await upgrade(server, "attacher") == 429
        wire = await stack.enter_async_context(open_websocket_wire(server.url, "alpha"))
        await attach(wire, "alpha")


async def test_strangers_push_no_message_out_of_what_is_replayed() -> None:
    config = victim_config("open")
    async with open_victim(config) as server:
        lobby = {"kind": "room", "room_id": "lobby"}
        first = await http_client(server, "ops").post("/v1/messages", said("remember me", target=lobby))
        cursor = first.json()["event_id"]
        await http_client(server, "ops").post("/v1/messages", said("and me", target=lobby))
        for number in range(150):
            async with open_websocket_wire(server.url) as wire:
                await attach(wire, f"passer-by-{number}")
        with trio.fail_after(30):
            async with http_client(server).stream_events(last_event_id=cursor) as stream:
                assert (await stream.next_of("message.created")).text == "and me"
