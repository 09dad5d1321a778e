"""Calls that were too many: asked again when the server says so, and only then."""

import pytest
import trio
from trio.testing import MockClock

from moltnet.client.api import open_client
from moltnet.client.errors import ServerAnswered
from moltnet.protocol.agents import RegisterAgentRequest
from tests.fakes.http_server import Reply, answer, open_scripted_server

REGISTRATION = {
    "network_id": "net_a",
    "agent_id": "alpha",
    "actor_uid": "actor_1",
    "actor_uri": "molt://net_a/agents/alpha",
    "created_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-02T03:04:05Z",
    "agent_token": "magt_v1_secret",
}


async def test_any_call_that_was_too_many_waits_as_long_as_the_server_asks(patient_clock: MockClock) -> None:
    del patient_clock
    busy = answer(429, headers={"Retry-After": "30"})
    async with open_scripted_server(busy, busy, answer(201, REGISTRATION)) as server:
        async with open_client(server.url, environ={}) as client:
            before = trio.current_time()
            await client.register_agent(RegisterAgentRequest("alpha"))
        assert trio.current_time() - before >= 60


@pytest.mark.parametrize("busy", [answer(429, headers={"Retry-After": "3600"}), answer(429), answer(503)])
async def test_a_call_that_is_not_told_when_to_come_back_or_far_too_late_fails_at_once(busy: Reply) -> None:
    async with open_scripted_server(busy) as server, open_client(server.url, environ={}) as client:
        with pytest.raises(ServerAnswered):
            await client.network()


async def test_a_call_whose_deadline_is_sooner_fails_at_once() -> None:
    busy = answer(429, headers={"Retry-After": "30"})
    async with open_scripted_server(busy) as server, open_client(server.url, environ={}) as client:
        with pytest.raises(ServerAnswered), trio.fail_after(20):
            await client.network()
