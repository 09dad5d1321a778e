"""`GET /v1/agents/{id}/wakes`: who was woken, by what, and what came of it; on every kind of store."""

from pathlib import Path
from typing import Any

import pytest
import trio

from moltnet.app import App
from moltnet.config.settings import AuthMode
from tests.fakes.attach_client import attach, frame, open_websocket_wire
from tests.fakes.credentials import static
from tests.fakes.homes import KINDS, Home, home_of
from tests.fakes.http_client import HttpClient, http_client
from tests.fakes.network import (
    direct_message,
    network_config,
    open_test_server,
    post,
    post_texts,
    room,
    room_message,
    token,
    wait_until,
)

OPERATOR = static("admin write")
TOKENS = [
    token("alpha", "attach write", "alpha"),
    token("beta", "attach write", "beta"),
    token("watch", "observe"),
    token("pair", "pair"),
]
ROOMS = [room("general", "alpha", "beta")]
BEARER = network_config(mode=AuthMode.BEARER, tokens=TOKENS, rooms=ROOMS)


@pytest.fixture(params=KINDS)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    return home_of(request.param, request, tmp_path)


async def wakes_of(client: HttpClient, query: str = "") -> dict[str, Any]:
    answer = await client.get(f"/v1/agents/alpha/wakes{query}")
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json()
    return found


async def wait_settled(client: HttpClient, count: int) -> dict[str, Any]:
    with trio.fail_after(30):
        while len((found := await wakes_of(client))["wakes"]) < count:  # noqa: ASYNC110 - a socket lies in between
            await trio.sleep(0.01)
    return found


def told(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What became of the settled ones: type, message and why it woke."""
    return [(each["type"], each["agent"]["message_id"], each["agent"]["reason"]) for each in found["wakes"]]


async def test_an_operator_sees_what_came_of_each_wake(home: Home) -> None:
    async with home.serve(BEARER) as server:
        watcher = http_client(server, "watch")
        async with open_websocket_wire(server.url, "alpha") as wire:
            client = await attach(wire, "alpha")
            assert await wakes_of(watcher) == {
                "agent_id": "alpha",
                "connected": True,
                "pending_total": 0,
                "pending": [],
                "wakes": [],
                "page": {"has_more": False},
            }
            await post(server.app, room_message("@alpha", sender="beta", message_id="m1"), OPERATOR)
            await post(server.app, room_message("not for you", sender="beta", message_id="m2"), OPERATOR)
            await post(server.app, direct_message("d1", "alpha", "beta", sender="beta", message_id="m3"), OPERATOR)
            first = await client.next_of("message.created")
            await client.next_of("message.created")
            await client.next_of("message.created")
            found = await wakes_of(watcher)
            assert found["pending_total"] == 2
            assert [(each["message_id"], each["reason"]) for each in found["pending"]] == [
                ("m1", "mention"),
                ("m3", "dm"),
            ]
            assert found["pending"][1]["target"]["dm_id"] == "d1"
            assert found["pending"][0]["since"]
            await client.ack(first)
            found = await wait_settled(watcher, 1)
            assert [each["message_id"] for each in found["pending"]] == ["m3"]
            assert told(found) == [("agent.wake.delivered", "m1", "mention")]
            await wire.send(frame("ERROR", error="my disk is full"))
            found = await wait_settled(watcher, 2)
        assert told(found)[1] == ("agent.wake.failed", "m3", "dm")
        assert found["wakes"][1]["agent"]["error"] == "client error: my disk is full"
        assert (found["pending_total"], found["pending"]) == (0, [])
        await wait_until(lambda: len(server.app.gateway.registry) == 0)
        assert (await wakes_of(watcher))["connected"] is False
    async with home.serve(BEARER) as server:
        assert told(await wakes_of(http_client(server, "watch"))) == told(found)


async def test_pages_begin_with_the_newest() -> None:
    config = network_config(rooms=ROOMS)
    async with open_test_server(config) as server:
        async with open_websocket_wire(server.url) as wire:
            client = await attach(wire, "alpha")
            await post_texts(server.app, *(f"@alpha {number}" for number in range(5)), sender="beta")
            await client.next_texts(5)
            await wait_settled(http_client(server), 5)
        http = http_client(server)
        all_of_them = (await wakes_of(http))["wakes"]
        newest = await wakes_of(http, "?limit=2")
        assert newest["wakes"] == all_of_them[-2:]
        assert newest["page"] == {"has_more": True, "next_before": newest["wakes"][0]["id"]}
        older = await wakes_of(http, f"?limit=2&before={newest['page']['next_before']}")
        assert older["wakes"] == all_of_them[1:3]
        later = await wakes_of(http, f"?after={older['wakes'][1]['id']}")
        assert (later["wakes"], later["page"]) == (all_of_them[3:], {"has_more": False})
        refused = await http.get("/v1/agents/alpha/wakes?before=evt_unknown")
        assert (refused.status, refused.code) == (422, "invalid_cursor")


async def test_many_that_are_pending_are_counted_and_the_newest_shown() -> None:
    async with open_test_server(network_config(rooms=ROOMS)) as server, open_websocket_wire(server.url) as wire:
        client = await attach(wire, "alpha")
        await post_texts(server.app, *(f"@alpha {number}" for number in range(30)), sender="beta")
        await client.next_texts(30, ack=False)
        found = await wakes_of(http_client(server), "?limit=3")
        assert (found["pending_total"], len(found["pending"])) == (30, 3)
        assert pending_gauge(server.app) == 30 or (await http_client(server).get("/metrics")).status == 200
        assert pending_gauge(server.app) == 30


def pending_gauge(app: App) -> float | None:
    return app.metrics.registry.get_sample_value("moltnet_pending_wakes")


@pytest.mark.parametrize(
    ("token_id", "status"), [("watch", 200), ("alpha", 200), ("beta", 403), ("pair", 403), ("", 401)]
)
async def test_wakes_are_for_the_agent_and_for_those_who_observe(token_id: str, status: int) -> None:
    """They name conversations of which others need not know."""
    async with open_test_server(BEARER) as server:
        async with open_websocket_wire(server.url, "alpha") as wire:
            await attach(wire, "alpha")
        assert (await http_client(server, token_id).get("/v1/agents/alpha/wakes")).status == status


async def test_agents_that_are_not_there_have_none() -> None:
    config = network_config(rooms=[room("general", "alpha", "net_b:zeta")])
    async with open_test_server(config) as server:
        client = http_client(server)
        for agent_id in ("nobody", "net_b:zeta"):
            answer = await client.get(f"/v1/agents/{agent_id}/wakes")
            assert (answer.status, answer.code) == (404, "unknown_agent")
        assert (await client.get("/v1/agents/molt://lab/agents/alpha/wakes")).json()["agent_id"] == "alpha"
