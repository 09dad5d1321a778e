"""``POST /v1/apply``: all of it or nothing."""

from typing import Any

import pytest

from moltnet.config.settings import AuthMode
from moltnet.protocol.limits import MAX_APPLY_ENTRIES, MAX_REPORTED_PROBLEMS
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.http_client import http_client
from tests.fakes.network import event_types, network_config, open_test_server, room, token


async def test_nothing_to_apply_is_applied() -> None:
    async with open_test_server() as server:
        answer = await http_client(server).post("/v1/apply", {})
        assert (answer.status, answer.json()) == (200, {"applied": True})


async def test_rooms_become_exactly_what_is_said_and_readers_are_told() -> None:
    """Weakness 15: the reference changed members without an event, and 404 for a removed room."""
    config = network_config(rooms=[room("general", "alpha"), room("removed", "alpha"), room("other", "alpha")])
    async with open_test_server(config) as server:
        client = http_client(server)
        await client.delete("/v1/rooms/removed")
        before = len(await event_types(server.app))
        rooms = [
            {"id": " general ", "members": ["beta", "gamma", "beta"], "visibility": "public"},
            {"id": "removed", "name": "Back", "members": ["beta"]},
            {"id": "new"},
        ]
        answer = await client.post("/v1/apply", {"network_id": "lab", "rooms": rooms})
        assert answer.status == 200
        applied = {each["id"]: each for each in answer.json()["rooms"]}
        assert list(applied) == ["general", "removed", "new"]
        assert (applied["general"]["name"], applied["general"]["members"]) == ("general", ["beta", "gamma"])
        assert (applied["general"]["visibility"], applied["general"]["write_policy"]) == ("public", "members")
        assert (applied["removed"]["name"], applied["removed"]["members"]) == ("Back", ["beta"])
        assert "access" not in applied["new"]
        listed = (await client.get("/v1/rooms")).json()["rooms"]
        assert {each["id"] for each in listed} == {"general", "removed", "new", "other"}
        assert (await event_types(server.app))[before:] == ["room.members.updated", "room.created", "room.created"]
        await client.post("/v1/apply", {"rooms": rooms})
        assert len(await event_types(server.app)) == before + 3


async def test_agents_go_to_their_credentials() -> None:
    tokens = [token("one", "attach write"), token("two", "attach write"), token("admin", "admin write")]
    config = network_config(mode=AuthMode.BEARER, tokens=tokens)
    async with open_test_server(config) as server:
        admin = http_client(server, "admin")
        given = {"id": "alpha", "name": "Alpha", "credential_key": "token:one"}
        first = (await admin.post("/v1/apply", {"agents": [given, given]})).json()["agents"]
        assert [(each["agent_id"], each["display_name"]) for each in first] == [("alpha", "Alpha")]
        assert (await http_client(server, "one").get("/v1/rooms")).json()["rooms"][0]["id"] == "general"
        second = (await admin.post("/v1/apply", {"agents": [{"id": "alpha", "credential_key": "token:two"}]})).json()
        assert second["agents"][0]["actor_uid"] == first[0]["actor_uid"]
        assert second["agents"][0]["display_name"] == "Alpha"
        assert (await http_client(server, "one").get("/v1/rooms")).status == 403
        assert (await http_client(server, "two").get("/v1/rooms")).json()["rooms"][0]["id"] == "general"


GIVEN = {"id": "a", "credential_key": "k"}
BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({"network_id": "elsewhere"}, ["$.network_id"]),
    ({"rooms": [{"id": "ok"}, {}]}, ["$.rooms[1].id"]),
    ({"rooms": [{"id": "ok"}, {"id": "ok "}]}, ["$.rooms[1].id"]),
    (
        {"rooms": [{"id": "ok", "members": ["a", "b c"], "visibility": "x"}]},
        ["$.rooms[0].visibility", "$.rooms[0].members[1]"],
    ),
    ({"agents": [{"id": "a"}]}, ["$.agents[0].credential_key"]),
    ({"agents": [{"credential_key": "k"}, {"id": "b c", "credential_key": "k"}]}, ["$.agents[0].id", "$.agents[1].id"]),
    ({"agents": [{"id": "net_b:a", "credential_key": "k"}]}, ["$.agents[0].id"]),
    (
        {"agents": [{"id": "a", "credential_key": "k"}, {"id": "a", "credential_key": "l"}]},
        ["$.agents[1].credential_key"],
    ),
    (
        {"agents": [{"id": "a", "credential_key": "k" * 257, "name": "n" * 257}]},
        ["$.agents[0].name", "$.agents[0].credential_key"],
    ),
    ({"rooms": [{"id": f"r{number}"} for number in range(MAX_APPLY_ENTRIES + 1)]}, ["$.rooms"]),
]


@pytest.mark.parametrize(("request_body", "paths"), BAD)
async def test_every_mistake_is_told_and_nothing_is_applied(request_body: dict[str, Any], paths: list[str]) -> None:
    async with open_test_server() as server:
        client = http_client(server)
        good = {"rooms": [{"id": "fine"}], "agents": [{"id": "fine", "credential_key": "token:fine"}]}
        body = {**request_body, **{key: [*request_body.get(key, []), *good[key]] for key in good}}
        answer = await client.post("/v1/apply", body)
        assert (answer.status, answer.code) == (422, "invalid_field")
        assert [problem["path"] for problem in answer.json()["problems"]] == paths
        assert (await client.get("/v1/rooms/fine")).status == 404
        assert (await client.get("/v1/agents/fine")).status == 404


async def test_only_so_many_mistakes_are_told() -> None:
    async with open_test_server() as server:
        answer = await http_client(server).post("/v1/apply", {"rooms": [{}] * 1000})
        assert len(answer.json()["problems"]) == MAX_REPORTED_PROBLEMS


async def test_it_is_one_command_in_one_transaction() -> None:
    """Weakness 15: the reference kept what went before the first failure."""
    store = FaultyStore()
    async with open_test_server(store=store) as server:
        before = len(store.batches)
        body = {"rooms": [{"id": f"r{number}"} for number in range(20)], "agents": [{"id": "a", "credential_key": "k"}]}
        assert (await http_client(server).post("/v1/apply", body)).status == 200
        assert [len(batch) for batch in store.batches[before:]] == [1]
