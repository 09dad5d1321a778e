"""Limits of one network on two servers: whoever goes from one to the other gets no more than at one of them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs
import pytest
import trio

from moltnet.auth.tokens import static_key
from moltnet.config.server_limits import NO_LIMITS, Rate
from moltnet.config.settings import AuthMode, MoltnetConfig
from moltnet.protocol import limits as wire
from moltnet.protocol.ids import AgentId
from moltnet.storage.spending import Spent
from tests.fakes.attach_client import attach, open_websocket_wire
from tests.fakes.http_client import HttpAnswer, http_client
from tests.fakes.network import TestServer, network_config, room_message, token, wait_until
from tests.fakes.shared_network import open_servers

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
BETA = AgentId("beta")
TOKENS = [token("fleet", "attach write"), token("ops", "observe write admin")]


def limited(mode: AuthMode = AuthMode.BEARER, **limits: Any) -> MoltnetConfig:
    return network_config(mode=mode, tokens=TOKENS, limits=attrs.evolve(NO_LIMITS, **limits))


@asynccontextmanager
async def open_two(dsn: str, config: MoltnetConfig) -> AsyncIterator[tuple[TestServer, TestServer]]:
    async with open_servers(dsn, dsn, config=config) as (one, other):
        with trio.fail_after(60):
            yield one, other


async def statuses(ask: Any, count: int) -> list[int]:
    return [(await ask(number)).status for number in range(count)]


async def test_messages_are_counted_at_both(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "SHARE_SPENT_SECONDS", 0.01)
    async with open_two(postgres_dsn, limited(messages_per_credential=Rate(1 / 3600, 6))) as (one, other):

        async def send(server: TestServer, text: str) -> HttpAnswer:
            return await http_client(server, "ops").post("/v1/messages", room_message(text))

        assert await statuses(lambda number: send(one, f"one{number}"), 7) == [202] * 6 + [429]
        # The other server hears of it when the caller comes there.
        assert (await send(other, "other0")).status == 202
        counted = other.app.admission.shared_rates()["messages"]
        await wait_until(lambda: counted.wait_seconds(static_key("ops"), trio.current_time()) > 0)
        refused = await send(other, "other1")
        assert refused.status == 429
        # It owes what it took too much.
        assert 3600 < int(refused.headers["retry-after"]) <= 2 * 3600


async def test_ids_are_claimed_as_often_as_at_one_server(postgres_dsn: str) -> None:
    async with open_two(postgres_dsn, limited(AuthMode.OPEN, registrations_per_address=Rate(1 / 3600, 5))) as servers:
        answers: list[HttpAnswer] = []

        async def claim(number: int) -> None:
            client = http_client(servers[number % 2])
            answers.append(await client.post("/v1/agents/register", {"requested_agent_id": f"agent{number}"}))

        async with trio.open_nursery() as nursery:
            for number in range(12):
                nursery.start_soon(claim, number)
        assert sorted(answer.status for answer in answers) == [201] * 5 + [429] * 7
        # Nor by attaching.
        async with open_websocket_wire(servers[0].url) as wire_:
            with pytest.raises(AssertionError, match="too many registrations from this address"):
                await attach(wire_, "latecomer")


async def test_guesses_are_counted_at_both(postgres_dsn: str) -> None:
    limits = limited(failed_authentications_per_address=Rate(1 / 3600, 6))
    async with open_two(postgres_dsn, limits) as servers:

        async def guess(number: int) -> HttpAnswer:
            answer = await http_client(servers[number % 2], "nobody").get("/v1/network")
            app = servers[number % 2].app
            assert app.context.store.spending is not None
            # Told at once. What is asked after that is answered after that.
            await wait_until(lambda: not app.admission.shared_rates()["failures"]._spent)
            await app.context.store.spending.spend([Spent("something else", 0, 0)])
            return answer

        answers = await statuses(guess, 20)
        assert 6 <= answers.count(401) <= 8
        assert set(answers[8:]) == {429}


async def test_attachments_of_a_credential_are_counted_at_both(postgres_dsn: str) -> None:
    async with open_two(postgres_dsn, limited(attachments_per_credential=3)) as (one, other), AsyncExitStack() as wires:
        for number in range(3):
            wire_ = await wires.enter_async_context(open_websocket_wire(one.url, "fleet"))
            await attach(wire_, f"agent{number}")
        await wait_until(lambda: other.app.gateway.registry.count_elsewhere("token:fleet") == 3)
        refused = await http_client(other, "fleet").request("GET", "/v1/attach", headers=UPGRADE)
        assert (refused.status, refused.code) == (429, "rate_limited")
        await wire_.hang_up()
        await wait_until(lambda: other.app.gateway.registry.count_elsewhere("token:fleet") == 2)
        async with open_websocket_wire(other.url, "fleet") as moved:
            await attach(moved, "agent2")


async def test_an_agent_is_shown_as_connected_by_both(postgres_dsn: str) -> None:
    async with open_two(postgres_dsn, limited()) as (one, other), open_websocket_wire(one.url, "fleet") as wire_:
        await attach(wire_, "beta")

        async def shown(server: TestServer) -> list[object]:
            client = http_client(server, "ops")
            agent = await client.get("/v1/agents/beta")
            page = await client.get("/v1/agents")
            wakes = await client.get("/v1/agents/beta/wakes")
            listed = [each["connected"] for each in page.json()["agents"] if each["id"] == "beta"]
            return [agent.json()["connected"], *listed, wakes.json()["connected"]]

        await wait_until(lambda: other.app.gateway.registry.is_connected(BETA))
        for server in (one, other):
            assert await shown(server) == [True, True, True]
        await wire_.hang_up()
        await wait_until(lambda: not other.app.gateway.registry.is_connected(BETA))
        assert await shown(other) == [False, False, False]
