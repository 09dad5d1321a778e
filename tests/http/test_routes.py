"""Every route: what it answers when all is well, whom it refuses, and what it does not find."""

import re

import pytest

from moltnet.config.settings import AuthMode, Registration
from moltnet.protocol.ids import event_id_of_message
from moltnet.storage.store import StorageError, StorageFull
from tests.fakes.credentials import static
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.http_client import http_client
from tests.fakes.network import (
    TestServer,
    direct_message,
    network_config,
    open_test_server,
    post,
    room,
    room_message,
    thread_message,
    token,
)

TIMESTAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z"

TOKENS = [
    token("alpha", "attach write", "alpha"),
    token("stranger", "attach write", "stranger"),
    token("observer", "observe"),
    token("writer", "write"),
    token("admin", "admin write"),
    token("pair", "pair"),
]
BEARER = network_config(
    mode=AuthMode.BEARER,
    tokens=TOKENS,
    rooms=[room("general", "alpha", "beta")],
    registration=Registration.TOKEN,
)


async def fill(server: TestServer) -> None:
    """One message in the room, one in a thread, one between alpha and beta."""
    claims = static("admin write", token_id="admin")
    for message in (
        room_message("in the room", message_id="m1"),
        thread_message("t1", "in the thread", message_id="m2"),
        direct_message("d1", "alpha", "beta", text="between us", message_id="m3"),
    ):
        await post(server.app, message, claims)


class TestAnswers:
    """The whole documents, on a network that asks nobody."""

    async def test_health(self) -> None:
        async with open_test_server() as server:
            for target, document in [("/healthz", {"status": "ok"}), ("/readyz", {"status": "ready"})]:
                answer = await http_client(server).get(target)
                assert (answer.status, answer.json()) == (200, document)
                assert answer.headers["content-type"] == "application/json"
                assert answer.body.endswith(b"}\n")

    async def test_the_network(self) -> None:
        async with open_test_server() as server:
            answer = await http_client(server).get("/v1/network")
            document = answer.json()
            assert (answer.status, document["id"], document["name"]) == (200, "lab", "Lab")
            assert document["capabilities"]["attachment_protocol"] == "websocket"
            assert document["console"] == {"can_send_human": True}

    async def test_a_room_and_the_list_of_rooms(self) -> None:
        async with open_test_server() as server:
            document = (await http_client(server).get("/v1/rooms/general")).json()
            assert re.fullmatch(TIMESTAMP, document.pop("created_at"))
            assert document == {
                "id": "general",
                "network_id": "lab",
                "fqid": "molt://lab/rooms/general",
                "name": "General",
                "visibility": "private",
                "write_policy": "members",
                "members": ["alpha", "beta"],
                "access": {"can_read": True, "can_write": True, "reason": "private/members-write"},
            }
            listed = (await http_client(server).get("/v1/rooms")).json()
            assert [each["id"] for each in listed["rooms"]] == ["general"]
            assert listed["page"] == {"has_more": False}

    async def test_making_a_room_and_changing_its_members(self) -> None:
        async with open_test_server() as server:
            client = http_client(server)
            made = await client.post("/v1/rooms", {"id": "ops", "members": ["beta", "alpha", "beta"]})
            assert (made.status, made.json()["members"], made.json()["name"]) == (201, ["alpha", "beta"], "ops")
            assert "access" not in made.json()
            again = await client.post("/v1/rooms", {"id": "ops"})
            assert (again.status, again.code) == (409, "room_exists")
            changed = await client.patch("/v1/rooms/ops/members", {"add": ["gamma"], "remove": ["alpha"]})
            assert (changed.status, changed.json()["members"]) == (200, ["beta", "gamma"])

    async def test_sending_and_reading_a_message(self) -> None:
        async with open_test_server() as server:
            client = http_client(server)
            sent = await client.post("/v1/messages", room_message("hello @beta", message_id="m1"))
            assert (sent.status, sent.json()) == (
                202,
                {
                    "message_id": "m1",
                    "event_id": event_id_of_message("m1"),
                    "accepted": True,
                    "thread_created": False,
                    "dm_created": False,
                },
            )
            page = (await client.get("/v1/rooms/general/messages")).json()
            assert page["page"] == {"has_more": False}
            (message,) = page["messages"]
            assert re.fullmatch(TIMESTAMP, message.pop("created_at"))
            assert message == {
                "id": "m1",
                "network_id": "lab",
                "origin": {"network_id": "lab", "message_id": "m1"},
                "target": {"kind": "room", "room_id": "general"},
                "from": {"type": "agent", "id": "alpha", "network_id": "lab", "fqid": "molt://lab/agents/alpha"},
                "parts": [{"kind": "text", "text": "hello @beta"}],
                "mentions": ["molt://lab/agents/beta"],
            }

    async def test_sending_twice_and_sending_other_content_under_the_same_id(self) -> None:
        async with open_test_server() as server:
            client = http_client(server)
            answers = [
                await client.post("/v1/messages", room_message(text, message_id="m1"))
                for text in ("one", "one", "other")
            ]
            assert [answer.status for answer in answers] == [202, 202, 409]
            assert answers[0].json() == answers[1].json()
            assert answers[2].code == "message_id_conflict"

    async def test_a_thread(self) -> None:
        async with open_test_server() as server:
            client = http_client(server)
            assert (await client.post("/v1/messages", thread_message("t1"))).json()["thread_created"]
            document = (await client.get("/v1/threads/t1")).json()
            assert re.fullmatch(TIMESTAMP, document.pop("last_message_at"))
            assert document == {
                "id": "t1",
                "network_id": "lab",
                "fqid": "molt://lab/threads/t1",
                "room_id": "general",
                "parent_message_id": "m1",
                "message_count": 1,
            }
            listed = (await client.get("/v1/rooms/general/threads")).json()
            assert [each["id"] for each in listed["threads"]] == ["t1"]
            page = (await client.get("/v1/threads/t1/messages")).json()
            assert [message["target"]["thread_id"] for message in page["messages"]] == ["t1"]

    async def test_a_direct_conversation(self) -> None:
        async with open_test_server() as server:
            client = http_client(server)
            assert (await client.post("/v1/messages", direct_message("d1", "alpha", "beta"))).json()["dm_created"]
            document = (await client.get("/v1/dms/d1")).json()
            assert re.fullmatch(TIMESTAMP, document.pop("last_message_at"))
            assert document == {
                "id": "d1",
                "network_id": "lab",
                "fqid": "molt://lab/dms/d1",
                "participant_ids": ["alpha", "beta"],
                "message_count": 1,
            }
            assert [each["id"] for each in (await client.get("/v1/dms")).json()["dms"]] == ["d1"]
            assert len((await client.get("/v1/dms/d1/messages")).json()["messages"]) == 1

    async def test_registering_an_agent_and_looking_at_it(self) -> None:
        async with open_test_server() as server:
            client = http_client(server)
            made = await client.post("/v1/agents/register", {"requested_agent_id": "luna", "name": "Luna"})
            assert made.status == 201
            document = made.json()
            assert document.pop("created_at") == document.pop("updated_at")
            assert re.fullmatch(r"actor_[0-9a-f-]{36}", document.pop("actor_uid"))
            assert document == {
                "network_id": "lab",
                "agent_id": "luna",
                "actor_uri": "molt://lab/agents/luna",
                "display_name": "Luna",
            }
            again = await client.post("/v1/agents/register", {"requested_agent_id": "luna"})
            assert (again.status, again.json()["display_name"]) == (200, "Luna")
            shown = (await client.get("/v1/agents/luna")).json()
            assert shown.pop("actor_uid") == made.json()["actor_uid"]
            assert shown == {
                "id": "luna",
                "network_id": "lab",
                "name": "Luna",
                "fqid": "molt://lab/agents/luna",
                "connected": False,
            }
            listed = (await client.get("/v1/agents")).json()
            assert [each["id"] for each in listed["agents"]] == ["alpha", "beta", "luna"]
            assert listed["page"] == {"has_more": False}

    @pytest.mark.parametrize(
        "agent_id", ["net_b:gamma", "molt://net_b/agents/gamma", "molt%3A%2F%2Fnet_b%2Fagents%2Fgamma"]
    )
    async def test_an_agent_of_another_network_by_any_of_its_names(self, agent_id: str) -> None:
        async with open_test_server(network_config(rooms=[room("general", "net_b:gamma")])) as server:
            answer = await http_client(server).get(f"/v1/agents/{agent_id}")
            assert (answer.status, answer.json()["id"]) == (200, "net_b:gamma")


# Callers → statuses. `-` is no credential.
ROUTES: list[tuple[str, str, object, str]] = [
    # method, target, body, by caller: - alpha stranger observer writer admin pair
    ("GET", "/healthz", None, "200 200 200 200 200 200 200"),
    ("GET", "/readyz", None, "200 200 200 200 200 200 200"),
    ("GET", "/v1/network", None, "401 200 200 200 403 200 200"),
    ("GET", "/v1/rooms", None, "401 200 200 200 403 200 200"),
    ("GET", "/v1/rooms/general", None, "401 200 403 200 403 200 403"),
    ("GET", "/v1/rooms/nowhere", None, "401 404 404 404 403 404 403"),
    ("GET", "/v1/rooms/general/messages", None, "401 200 403 200 403 200 403"),
    ("GET", "/v1/rooms/general/threads", None, "401 200 403 200 403 200 403"),
    ("GET", "/v1/threads/t1", None, "401 200 403 200 403 200 403"),
    ("GET", "/v1/threads/t9", None, "401 404 404 404 403 404 403"),
    ("GET", "/v1/threads/t1/messages", None, "401 200 403 200 403 200 403"),
    ("GET", "/v1/dms", None, "401 200 200 200 403 200 403"),
    ("GET", "/v1/dms/d1", None, "401 200 404 200 403 200 403"),
    ("GET", "/v1/dms/d1/messages", None, "401 200 404 200 403 200 403"),
    ("GET", "/v1/agents", None, "401 200 200 200 403 200 200"),
    ("GET", "/v1/agents/alpha", None, "401 200 404 200 403 200 403"),
    ("POST", "/v1/rooms", {"id": "ops"}, "401 403 403 403 403 201 403"),
    ("PATCH", "/v1/rooms/general/members", {"add": ["gamma"]}, "401 403 403 403 403 200 403"),
    ("PATCH", "/v1/rooms/nowhere/members", {"add": ["gamma"]}, "401 403 403 403 403 404 403"),
    ("DELETE", "/v1/rooms/nowhere", None, "401 403 403 403 403 404 403"),
    ("DELETE", "/v1/rooms/no%20id", None, "401 403 403 403 403 422 403"),
    ("DELETE", "/v1/rooms/general", None, "401 403 403 403 403 200 403"),
    ("POST", "/v1/rooms/nowhere/restore", None, "401 403 403 403 403 404 403"),
    ("POST", "/v1/rooms/general/restore", None, "401 403 403 403 403 409 403"),
    ("DELETE", "/v1/agents/nobody", None, "401 403 403 403 403 404 403"),
    ("DELETE", "/v1/agents/beta", None, "401 403 403 403 403 200 403"),
    ("GET", "/v1/pairings", None, "401 403 403 200 403 200 403"),
    ("GET", "/v1/pairings/nobody/network", None, "401 403 403 404 403 404 403"),
    ("POST", "/v1/apply", {"rooms": [{"id": "ops"}]}, "401 403 403 403 403 200 403"),
    ("POST", "/v1/apply", {"rooms": [{}]}, "401 403 403 403 403 422 403"),
    ("POST", "/v1/agents/register", {"name": "New"}, "401 403 403 403 403 201 403"),
    ("POST", "/v1/messages", room_message(sender="alpha"), "401 202 403 403 409 202 403"),
    ("POST", "/v1/messages", room_message(sender="ada", sender_type="human"), "401 403 403 403 403 202 403"),
    ("POST", "/v1/messages", room_message(room="nowhere"), "401 404 403 403 409 404 403"),
    ("POST", "/v1/messages", direct_message("d9", "alpha", "beta"), "401 202 403 403 409 202 403"),
]
CALLERS = ["", "alpha", "stranger", "observer", "writer", "admin", "pair"]


@pytest.mark.parametrize(("method", "target", "body", "statuses"), ROUTES)
async def test_who_gets_what_on_a_private_network(method: str, target: str, body: object, statuses: str) -> None:
    async with open_test_server(BEARER) as server:
        await fill(server)
        for caller, status in zip(CALLERS, statuses.split(), strict=True):
            answer = await http_client(server, caller).request(method, target, body)
            assert (caller, answer.status) == (caller, int(status))
            if answer.status >= 400:
                assert answer.json().keys() >= {"code", "error", "request_id"}
            if answer.status == 401:
                assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "target", "allow"),
    [
        ("DELETE", "/v1/rooms", "GET, HEAD, POST"),
        ("POST", "/v1/network", "GET, HEAD"),
        ("OPTIONS", "/v1/messages", "POST"),
        ("GET", "/v1/messages", "POST"),
        ("PUT", "/v1/rooms/general/members", "PATCH"),
        ("PUT", "/v1/agents/alpha", "DELETE, GET, HEAD"),
        ("BREW", "/healthz", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(method: str, target: str, allow: str) -> None:
    async with open_test_server() as server:
        answer = await http_client(server).request(method, target)
        assert (answer.status, answer.code, answer.headers["allow"]) == (405, "method_not_allowed", allow)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_route_is_not_found_whatever_the_method(method: str) -> None:
    async with open_test_server() as server:
        for target in (
            "/v1",
            "/v1/",
            "/v2/rooms",
            "/v1/rooms/",
            "//v1/rooms",
            "/v1//rooms",
            "/v1/../v1/rooms",
            "/V1/rooms",
            "/v1/rooms/a/b/c",
            "/v1/agents/",
            "/v1/nothing",
        ):
            answer = await http_client(server).request(method, target, room_message())
            assert (target, answer.status, answer.code) == (target, 404, "unknown_route")
            assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "target", ["/healthz", "/v1/network", "/v1/rooms", "/v1/rooms/general/messages", "/v1/events/stream"]
)
async def test_head_answers_as_get_does_without_a_body(target: str) -> None:
    async with open_test_server() as server:
        answer = await http_client(server).request("HEAD", target)
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["x-request-id"]
        assert (await http_client(server).request("HEAD", "/v1/nothing")).status == 404


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=1", 200),
        ("limit=0", 200),
        ("limit=-3", 200),
        ("limit=many", 200),
        ("limit=99999", 200),
        ("before=m1&after=m1", 422),
        ("before=no%20id", 422),
        ("after=m-unknown", 422),
        ("before=%20%20", 200),
    ],
)
async def test_parameters_of_pages(query: str, status: int) -> None:
    async with open_test_server() as server:
        await post(server.app, room_message(message_id="m1"))
        answer = await http_client(server).get(f"/v1/rooms/general/messages?{query}")
        assert answer.status == status
        if status == 422:
            assert answer.code == "invalid_cursor"


class TestAStoreThatFails:
    @pytest.mark.parametrize(
        ("failure", "status", "code"),
        [
            (StorageError("/secret/path is broken"), 503, "storage_unavailable"),
            (StorageFull("no room at /secret/path"), 507, "storage_full"),
        ],
    )
    async def test_is_answered_with_try_again_and_nothing_about_this_host(
        self, failure: StorageError, status: int, code: str
    ) -> None:
        store = FaultyStore()
        async with open_test_server(store=store) as server:
            client = http_client(server)
            store.failures.append(failure)
            sent = await client.post("/v1/messages", room_message(message_id="m1"))
            store.read_failure = failure
            read = await client.get("/v1/rooms/general/messages")
            ready = await client.get("/readyz")
            assert [answer.status for answer in (sent, read, ready)] == [status, 503, 503]
            for answer in (sent, read, ready):
                assert answer.code == code
                assert answer.headers["retry-after"] == "1"
                assert b"/secret" not in answer.body
            assert (await client.get("/healthz")).status == 200
            store.read_failure = None
            assert (await client.post("/v1/messages", room_message(message_id="m1"))).status == 202
