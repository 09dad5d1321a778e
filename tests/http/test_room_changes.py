"""Changing a room's name and rules, finding removed rooms, previews of apply, and the tokens of the configuration."""

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from moltnet.config.secrets import Secret
from moltnet.config.settings import AuthMode
from moltnet.protocol.ids import NetworkId
from moltnet.protocol.times import format_timestamp, utc_now
from tests.fakes.http_client import HttpClient, http_client
from tests.fakes.network import event_types, network_config, open_test_server, room, secret_of, token

TOKENS = [token("admin", "admin write"), token("alpha", "attach write", "alpha"), token("observer", "observe")]
ROOMS = [room("general", "alpha"), room("other", "alpha")]


class TestChangingARoom:
    async def test_what_is_named_changes_and_the_rest_stays(self) -> None:
        async with open_test_server(network_config(rooms=ROOMS)) as server:
            client = http_client(server)
            before = (await client.get("/v1/rooms/general")).json()
            answer = await client.patch("/v1/rooms/general", {"name": " Lobby ", "visibility": "public"})
            assert answer.status == 200
            del before["access"]
            assert answer.json() == {**before, "name": "Lobby", "visibility": "public"}
            changed = (await client.patch("/v1/rooms/general", {"write_policy": "operators"})).json()
            assert (changed["name"], changed["write_policy"], changed["members"]) == ("Lobby", "operators", ["alpha"])
            assert (await client.patch("/v1/rooms/general", {"name": "Lobby", "visibility": ""})).status == 200
            assert (await event_types(server.app)).count("room.updated") == 2
            (event, _) = (await client.get("/v1/events?type=room.updated")).json()["events"]
            assert event["room"]["name"] == "Lobby"

    async def test_who_may_write_is_known_at_once(self) -> None:
        config = network_config(mode=AuthMode.BEARER, tokens=TOKENS, rooms=ROOMS)
        async with open_test_server(config) as server:
            alpha, admin = http_client(server, "alpha"), http_client(server, "admin")
            await admin.patch("/v1/rooms/general", {"write_policy": "operators"})
            assert (await alpha.get("/v1/rooms/general")).json()["access"]["reason"] == "private/operators-write"
            (event,) = (await alpha.get("/v1/events?type=room.updated")).json()["events"]
            assert event["room"]["write_policy"] == "operators"

    @pytest.mark.parametrize(
        ("change", "path"),
        [
            ({"visibility": "secret"}, "$.visibility"),
            ({"write_policy": "nobody"}, "$.write_policy"),
            ({"name": "x" * 1000}, "$.name"),
        ],
    )
    async def test_what_makes_no_sense_is_refused(self, change: dict[str, str], path: str) -> None:
        async with open_test_server() as server:
            answer = await http_client(server).patch("/v1/rooms/general", change)
            assert (answer.status, answer.json()["problems"][0]["path"]) == (422, path)

    async def test_a_room_that_is_not_there_is_not_found(self) -> None:
        async with open_test_server() as server:
            client = http_client(server)
            await client.delete("/v1/rooms/general")
            for room_id in ("general", "nowhere", "no%20id", "%00"):
                assert (await client.patch(f"/v1/rooms/{room_id}", {"name": "x"})).code == "unknown_room"


class TestRemovedRooms:
    async def test_they_are_listed_for_administrators_until_they_are_restored(self) -> None:
        rooms = [room(each, "alpha") for each in "abcde"]
        config = network_config(mode=AuthMode.BEARER, tokens=TOKENS, rooms=rooms)
        async with open_test_server(config) as server:
            admin = http_client(server, "admin")
            for room_id in "bcd":
                await admin.delete(f"/v1/rooms/{room_id}")
            page = (await admin.get("/v1/rooms?removed=true&limit=2")).json()
            assert [(each["id"], "removed_at" in each, "members" in each) for each in page["rooms"]] == [
                ("b", True, False),
                ("c", True, False),
            ]
            assert page["page"] == {"has_more": True, "next_after": "c"}
            rest = (await admin.get("/v1/rooms?removed=true&before=d&limit=1")).json()
            assert ([each["id"] for each in rest["rooms"]], rest["page"]["next_before"]) == (["c"], "c")
            assert (await admin.get("/v1/rooms?removed=true&after=a")).code == "invalid_cursor"
            assert (await http_client(server, "observer").get("/v1/rooms?removed=true")).code == "missing_scope"
            assert [each["id"] for each in (await admin.get("/v1/rooms?removed=no")).json()["rooms"]] == ["a", "e"]
            await admin.post("/v1/rooms/c/restore", {"members": ["alpha"]})
            assert [each["id"] for each in (await admin.get("/v1/rooms?removed=true")).json()["rooms"]] == ["b", "d"]


class TestPreviewOfApply:
    async def preview(self, client: HttpClient, body: Any) -> list[tuple[str, str, str, str]]:
        answer = await client.post("/v1/apply?preview=true", body)
        assert (answer.status, answer.json()["applied"]) == (200, False)
        return [(each["kind"], each["id"], each["action"], each.get("detail", "")) for each in answer.json()["changes"]]

    async def test_it_says_what_would_change_and_changes_nothing(self) -> None:
        rooms = [room("general", "alpha", "beta"), room("removed", "alpha"), room("same", "alpha")]
        config = network_config(mode=AuthMode.BEARER, tokens=TOKENS, rooms=rooms)
        async with open_test_server(config) as server:
            client = http_client(server, "admin")
            await client.delete("/v1/rooms/removed")
            before = await event_types(server.app)
            many = [f"m{number:02}" for number in range(12)]
            body = {
                "agents": [
                    {"id": "alpha", "credential_key": "token:alpha"},
                    {"id": "beta", "credential_key": "token:beta"},
                ],
                "rooms": [
                    {"id": "general", "name": "Lobby", "visibility": "public", "members": ["beta", "gamma"]},
                    {"id": "removed", "name": "Removed", "members": ["alpha"]},
                    {"id": "same", "name": "Same", "members": ["alpha"]},
                    {"id": "new", "members": many},
                ],
            }
            assert await self.preview(client, body) == [
                ("agent", "beta", "create", ""),
                (
                    "room",
                    "general",
                    "change",
                    'name "General" becomes "Lobby"; visibility "private" becomes "public"; adds gamma; removes alpha',
                ),
                ("room", "removed", "restore", "adds alpha"),
                ("room", "new", "create", f"adds {', '.join(many[:8])} and 4 more"),
            ]
            assert await event_types(server.app) == before
            assert (await client.post("/v1/apply?preview=no", body)).json()["applied"] is True
            assert await self.preview(client, body) == []
            changed = {"agents": [{"id": "beta", "name": "Beta", "credential_key": "token:other"}]}
            detail = 'another credential; name "" becomes "Beta"'
            assert await self.preview(client, changed) == [("agent", "beta", "change", detail)]

    async def test_what_apply_refuses_is_refused(self) -> None:
        async with open_test_server() as server:
            answer = await http_client(server).post("/v1/apply?preview=true", {"rooms": [{"id": "no id"}]})
            assert (answer.status, answer.code) == (422, "invalid_field")


class TestTokens:
    async def test_they_are_listed_without_their_values(self) -> None:
        soon, past = utc_now() + timedelta(hours=1), datetime(2026, 1, 1, tzinfo=UTC)
        tokens = [
            *TOKENS,
            attrs.evolve(token("old", "write"), expires_at=past),
            attrs.evolve(token("pair", "pair"), network=NetworkId("net_b")),
            attrs.evolve(
                token("turning", "write observe"), previous_value=Secret(secret_of("before")), previous_expires_at=soon
            ),
        ]
        async with open_test_server(network_config(mode=AuthMode.BEARER, tokens=tokens)) as server:
            client = http_client(server, "admin")
            answer = await client.get("/v1/tokens")
            assert b"PLANTED" not in answer.body
            listed = {each.pop("id"): each for each in answer.json()["tokens"]}
            assert list(listed) == ["admin", "alpha", "observer", "old", "pair", "turning"]
            assert listed["alpha"] == {"scopes": ["attach", "write"], "agents": ["alpha"]}
            assert listed["old"]["expires_at"] == format_timestamp(past)
            assert listed["old"]["is_expired"] is True
            assert listed["pair"]["network"] == "net_b"
            assert listed["turning"]["is_rotating"] is True
            assert listed["turning"]["previous_expires_at"] == format_timestamp(soon)
            page = (await client.get("/v1/tokens?limit=2&after=alpha")).json()
            assert [each["id"] for each in page["tokens"]] == ["observer", "old"]
            assert page["page"] == {"has_more": True, "next_after": "old"}
            assert (await client.get("/v1/tokens?before=none")).code == "invalid_cursor"
            assert (await http_client(server, "observer").get("/v1/tokens")).code == "missing_scope"

    async def test_a_network_that_asks_nobody_has_none(self) -> None:
        async with open_test_server() as server:
            assert (await http_client(server).get("/v1/tokens")).json() == {"tokens": [], "page": {"has_more": False}}
