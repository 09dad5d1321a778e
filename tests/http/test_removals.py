"""Rooms and agents that go away, and come back."""

import pytest

from moltnet.config.settings import AuthMode, Registration
from moltnet.protocol.rooms import Visibility
from tests.fakes.credentials import static
from tests.fakes.faulty_store import memory_store
from tests.fakes.http_client import http_client
from tests.fakes.network import (
    direct_message,
    network_config,
    open_test_server,
    post,
    room,
    room_message,
    thread_message,
    token,
)

TOKENS = [
    token("alpha", "attach write", "alpha"),
    token("stranger", "attach write", "stranger"),
    token("observer", "observe"),
    token("admin", "admin write"),
]
ROOMS = [
    room("hall", "beta", visibility=Visibility.PUBLIC),
    room("general", "alpha"),
    room("own", "stranger"),
]


class TestRooms:
    async def test_a_removed_room_and_its_threads_are_not_found(self) -> None:
        async with open_test_server() as server:
            client = http_client(server)
            await post(server.app, room_message(message_id="m1"))
            await post(server.app, thread_message("t1", message_id="m2"))
            removed = await client.delete("/v1/rooms/general")
            assert (removed.status, removed.json()) == (
                200,
                {"removed": True, "kind": "room", "id": "general", "mode": "soft"},
            )
            for target in ("", "/messages", "/threads"):
                assert (await client.get(f"/v1/rooms/general{target}")).code == "unknown_room"
            for target in ("", "/messages"):
                assert (await client.get(f"/v1/threads/t1{target}")).code == "unknown_room"
            assert (await client.get("/v1/rooms")).json()["rooms"] == []
            assert (await client.post("/v1/messages", room_message(message_id="m3"))).code == "unknown_room"
            assert (await client.delete("/v1/rooms/general")).code == "unknown_room"

    async def test_its_id_is_refused_with_a_code_that_says_so_and_can_be_had_back(self) -> None:
        """In the reference the id was lost for good."""
        async with open_test_server() as server:
            client = http_client(server)
            await post(server.app, room_message("before", message_id="m1"))
            await client.delete("/v1/rooms/general")
            refused = await client.post("/v1/rooms", {"id": "general"})
            assert (refused.status, refused.code) == (409, "room_removed")
            restored = await client.post("/v1/rooms/general/restore", {"members": ["gamma", " alpha "]})
            assert (restored.status, restored.json()["members"]) == (200, ["alpha", "gamma"])
            assert restored.json()["name"] == "General"
            messages = (await client.get("/v1/rooms/general/messages")).json()["messages"]
            assert [message["id"] for message in messages] == ["m1"]
            assert (await client.post("/v1/rooms/general/restore", {})).code == "room_exists"
            assert (await client.post("/v1/rooms", {"id": "general"})).code == "room_exists"

    async def test_without_a_body_it_comes_back_without_members(self) -> None:
        async with open_test_server() as server:
            client = http_client(server)
            await client.delete("/v1/rooms/general")
            restored = await client.request("POST", "/v1/rooms/general/restore")
            assert (restored.status, "members" in restored.json()) == (200, False)

    async def test_what_is_wrong_with_the_members_is_told_and_nothing_is_restored(self) -> None:
        async with open_test_server() as server:
            client = http_client(server)
            await client.delete("/v1/rooms/general")
            refused = await client.post("/v1/rooms/general/restore", {"members": ["al pha"]})
            assert (refused.status, refused.json()["problems"][0]["path"]) == (422, "$.members[0]")
            assert (await client.get("/v1/rooms/general")).code == "unknown_room"

    async def test_a_start_with_the_same_file_restores_it(self) -> None:
        """In the reference the removal made every later start fail."""
        store, config = memory_store(), network_config(rooms=[room("general", "alpha")])
        async with open_test_server(config, store=store) as server:
            await http_client(server).delete("/v1/rooms/general")
        async with open_test_server(config, store=store) as server:
            answer = await http_client(server).get("/v1/rooms/general")
            assert (answer.status, answer.json()["members"]) == (200, ["alpha"])

    @pytest.mark.parametrize(
        ("caller", "public_read", "seen"),
        [
            ("alpha", False, ["general"]),
            ("alpha", True, ["hall", "general"]),
            ("stranger", False, ["own"]),
            ("stranger", True, ["hall", "own"]),
            ("", True, ["hall"]),
            ("observer", False, ["hall", "general", "own"]),
        ],
    )
    async def test_who_could_read_a_room_learns_of_its_end_also_later(
        self, caller: str, public_read: bool, seen: list[str]
    ) -> None:
        store = memory_store()
        config = network_config(mode=AuthMode.BEARER, tokens=TOKENS, rooms=ROOMS, public_read=public_read)
        async with open_test_server(config, store=store) as server:
            start = (await store.event_bounds()).newest_id
            admin, reader = http_client(server, "admin"), http_client(server, caller)
            async with reader.stream_events() as live:
                for each in ROOMS:
                    await admin.delete(f"/v1/rooms/{each.id}")
                for room_id in seen:
                    event = (await live.next_of("room.removed")).event
                    assert (event["room"]["id"], bool(event["room"]["members"])) == (room_id, True)
            async with reader.stream_events(last_event_id=start) as replayed:
                for room_id in seen:
                    assert (await replayed.next_of("room.removed")).event["room"]["id"] == room_id


class TestAgents:
    async def test_a_removed_agent_is_unknown_and_its_id_is_free(self) -> None:
        async with open_test_server() as server:
            client = http_client(server)
            await client.post("/v1/agents/register", {"requested_agent_id": "alpha", "name": "Alpha"})
            await post(server.app, room_message(message_id="m1"))
            removed = await client.delete("/v1/agents/alpha")
            assert (removed.status, removed.json()) == (
                200,
                {"removed": True, "kind": "agent", "id": "alpha", "mode": "soft"},
            )
            assert (await client.get("/v1/agents/alpha")).code == "unknown_agent"
            assert (await client.get("/v1/rooms/general")).json()["members"] == ["beta"]
            messages = (await client.get("/v1/rooms/general/messages")).json()["messages"]
            assert [message["from"]["id"] for message in messages] == ["alpha"]
            again = await client.post("/v1/agents/register", {"requested_agent_id": "alpha"})
            assert (again.status, "display_name" in again.json()) == (201, False)

    @pytest.mark.parametrize("agent_id", ["nobody", "no%20id", "net_b:gamma", "molt://net_b/agents/gamma"])
    async def test_who_is_no_agent_of_this_network_is_not_found(self, agent_id: str) -> None:
        async with open_test_server(network_config(rooms=[room("general", "net_b:gamma", "gamma")])) as server:
            assert (await http_client(server).delete(f"/v1/agents/{agent_id}")).code == "unknown_agent"
            assert (await http_client(server).delete("/v1/agents/lab:gamma")).json()["id"] == "gamma"

    async def test_its_token_dies_and_its_stream_ends_before_somebody_else_has_its_id(self) -> None:
        config = network_config(mode=AuthMode.OPEN, tokens=TOKENS)
        async with open_test_server(config) as server:
            made = await http_client(server).post("/v1/agents/register", {"requested_agent_id": "luna"})
            own = http_client(server, made.json()["agent_token"])
            async with own.stream_events() as stream:
                await http_client(server, "admin").delete("/v1/agents/luna")
                assert await stream.next_event() is None
            for answer in (await own.get("/v1/rooms"), await own.post("/v1/messages", room_message(sender="luna"))):
                assert (answer.status, answer.code) == (401, "invalid_token")
            taken = await http_client(server).post("/v1/agents/register", {"requested_agent_id": "luna"})
            assert (taken.status, taken.json()["agent_token"]) != (201, made.json()["agent_token"])

    async def test_a_stream_loses_what_its_token_loses(self) -> None:
        """A token without a list reads as the agents that it owns, at that moment."""
        tokens = [token("many", "attach write"), token("admin", "admin write")]
        config = network_config(mode=AuthMode.BEARER, tokens=tokens, registration=Registration.TOKEN)
        async with open_test_server(config) as server:
            many, admin = http_client(server, "many"), http_client(server, "admin")
            for agent_id in ("alpha", "luna"):
                await many.post("/v1/agents/register", {"requested_agent_id": agent_id})
            claims = static("admin write", token_id="admin")
            async with many.stream_events() as stream:
                await post(server.app, direct_message("d1", "luna", "zeta", sender="zeta", text="seen"), claims)
                assert (await stream.next_of("message.created")).text == "seen"
                await admin.delete("/v1/agents/luna")
                await post(server.app, direct_message("d1", "luna", "zeta", sender="zeta", text="not for it"), claims)
                await post(server.app, room_message("seen too", sender="beta"), claims)
                assert (await stream.next_of("message.created")).text == "seen too"
