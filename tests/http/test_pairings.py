"""Routes of pairings: what the configuration says, how each pairing is, and what the other networks answer."""

from typing import Any

import attrs
import pytest

from moltnet.config.secrets import Secret
from moltnet.config.settings import MoltnetConfig, PairingSettings
from tests.fakes.http_client import http_client
from tests.fakes.http_server import Reply, answer, open_scripted_server
from tests.fakes.network import event_types, network_config, open_test_server, secret_of

DOCUMENT: dict[str, Any] = {
    "id": "net_b",
    "name": "B",
    "version": "1",
    "protocols": {"http": ["moltnet.http.v1"], "attach": [], "pair": ["moltnet.pair.v1"]},
    "capabilities": {
        "event_stream": "sse",
        "attachment_protocol": "websocket",
        "public_read": False,
        "agent_registration": "disabled",
        "human_ingress": True,
        "direct_messages": True,
        "message_pagination": "cursor",
        "pairings": True,
    },
}
FITTING = answer(200, DOCUMENT)
ROOM = {
    "id": "lobby",
    "network_id": "net_b",
    "fqid": "molt://net_b/rooms/lobby",
    "name": "Lobby",
    "created_at": "2026-11-20T07:53:37Z",
    "members": ["beta"],
    "visibility": "public",
    "write_policy": "members",
}


def paired(*ids: str, url: str = "", **settings: Any) -> MoltnetConfig:
    pairings = (
        PairingSettings(id, url or f"https://{id}.test", f"net_{id}", token=Secret(secret_of("pair")), **settings)
        for id in ids
    )
    return attrs.evolve(network_config(), pairings=tuple(pairings))


async def test_pairings_are_listed_by_id_without_their_tokens() -> None:
    async with open_test_server(paired("c", "a", "b", enabled=False)) as server:
        client = http_client(server)
        answer = await client.get("/v1/pairings?limit=2")
        assert b"PLANTED" not in answer.body
        assert answer.json() == {
            "pairings": [
                {
                    "id": id,
                    "remote_network_id": f"net_{id}",
                    "remote_base_url": f"https://{id}.test",
                    "status": "disabled",
                }
                for id in ("a", "b")
            ],
            "page": {"has_more": True, "next_after": "b"},
        }
        rest = (await client.get("/v1/pairings?limit=2&after=b")).json()
        assert ([pairing["id"] for pairing in rest["pairings"]], rest["page"]) == (["c"], {"has_more": False})
        assert (await client.get("/v1/network")).json()["capabilities"]["pairings"] is True


async def test_a_network_without_pairings_says_so() -> None:
    async with open_test_server() as server:
        client = http_client(server)
        assert (await client.get("/v1/pairings")).json() == {"pairings": [], "page": {"has_more": False}}
        assert (await client.get("/v1/network")).json()["capabilities"]["pairings"] is False


@pytest.mark.parametrize("what", ["network", "rooms", "agents"])
async def test_a_network_that_is_not_reached_and_a_pairing_that_there_is_not(what: str) -> None:
    async with open_test_server(paired("a", url="http://127.0.0.1:1")) as server:
        for pairing_id, status, code in [("a", 502, "pairing_unreachable"), ("b", 404, "unknown_pairing")]:
            answer = await http_client(server).get(f"/v1/pairings/{pairing_id}/{what}")
            assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize("target", ["/v1/pairings", "/v1/pairings/a/rooms", "/v1/pairings/a/agents"])
async def test_a_bad_cursor_comes_before_everything_else(target: str) -> None:
    async with open_test_server(paired("a", enabled=False)) as server:
        answer = await http_client(server).get(f"{target}?before=no%20id")
        assert (answer.status, answer.code) == (422, "invalid_cursor")


async def test_weakness_7_the_lists_of_the_other_network_are_paged_through_it() -> None:
    page = answer(200, {"rooms": [ROOM], "page": {"has_more": True, "next_after": "lobby"}})
    bad = answer(422, {"code": "unprocessable_entity", "error": "unknown cursor"})
    agents = answer(200, {"agents": None, "page": {"has_more": False}})
    async with (
        open_scripted_server(FITTING, FITTING, page, FITTING, bad, FITTING, agents) as remote,
        open_test_server(paired("b", url=remote.url)) as server,
    ):
        client = http_client(server)
        assert (await client.get("/v1/pairings/b/network")).json()["id"] == "net_b"
        rooms = (await client.get("/v1/pairings/b/rooms?limit=1&after=hall")).json()
        assert ([room["id"] for room in rooms["rooms"]], rooms["page"]["next_after"]) == (["lobby"], "lobby")
        refused = await client.get("/v1/pairings/b/rooms?before=gone")
        assert (refused.status, refused.code) == (422, "invalid_cursor")
        assert (await client.get("/v1/pairings/b/agents")).json()["agents"] == []
        targets = [request.target for request in remote.requests if request.target != "/v1/network"]
        assert targets == ["/v1/rooms?limit=1&after=hall", "/v1/rooms?before=gone", "/v1/agents"]


STATES: list[tuple[Reply, str, int, list[tuple[str, str, str]]]] = [
    (FITTING, "connected", 200, []),
    (
        answer(200, {**DOCUMENT, "id": "net_z"}),
        "incompatible",
        200,
        [("error", "pairings.incompatible", "1 pairing incompatible.")],
    ),
    (
        answer(200, {**DOCUMENT, "capabilities": {**DOCUMENT["capabilities"], "direct_messages": False}}),
        "degraded",
        200,
        [("warning", "pairings.degraded", "1 pairing degraded.")],
    ),
    (answer(500, b""), "error", 502, [("warning", "pairings.error", "1 pairing in error.")]),
]


@pytest.mark.parametrize(("reply", "status", "http_status", "warnings"), STATES, ids=[state[1] for state in STATES])
async def test_asking_refreshes_the_status_the_warnings_and_the_event(
    reply: Reply, status: str, http_status: int, warnings: list[tuple[str, str, str]]
) -> None:
    async with open_scripted_server(reply) as remote, open_test_server(paired("b", url=remote.url)) as server:
        client = http_client(server)
        assert (await client.get("/v1/pairings/b/network")).status == http_status
        (pairing,) = (await client.get("/v1/pairings")).json()["pairings"]
        assert pairing["status"] == status
        found = (await client.get("/v1/network")).json().get("warnings", [])
        assert [(each["severity"], each["code"], each["message"]) for each in found] == warnings
        assert [type for type in await event_types(server.app) if type == "pairing.updated"] == ["pairing.updated"]


async def test_weakness_8_asking_often_fills_no_log() -> None:
    async with (
        open_scripted_server(*[FITTING] * 20) as remote,
        open_test_server(paired("b", url=remote.url)) as server,
    ):
        for _ in range(20):
            await http_client(server).get("/v1/pairings/b/network")
        assert (await event_types(server.app)).count("pairing.updated") == 1
