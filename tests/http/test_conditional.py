"""Asking again with a tag: 304 for what has not changed for this caller, and only for that."""

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from moltnet.config.settings import AuthMode, Registration
from moltnet.core.agents import register_agent
from moltnet.core.rooms import create_room, remove_room, update_members
from moltnet.protocol.agents import RegisterAgentRequest
from moltnet.protocol.rooms import CreateRoomRequest, UpdateRoomMembersRequest, Visibility
from tests.fakes.attach_client import attach, open_websocket_wire
from tests.fakes.credentials import static
from tests.fakes.http_client import HttpAnswer, http_client
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

ADMIN = static("admin write", token_id="admin")
TOKENS = [
    token("alpha", "attach write", "alpha"),
    token("beta", "attach write", "beta"),
    token("observer", "observe"),
    token("admin", "admin write"),
]

# Every document and every list that is one answer.
DOCUMENTS = [
    "/v1/network",
    "/v1/rooms",
    "/v1/rooms/general",
    "/v1/rooms/general/messages",
    "/v1/rooms/general/threads",
    "/v1/threads/t1",
    "/v1/threads/t1/messages",
    "/v1/dms",
    "/v1/dms/d1",
    "/v1/dms/d1/messages",
    "/v1/artifacts?room_id=general",
    "/v1/agents",
    "/v1/agents/alpha",
    "/v1/pairings",
]


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    config = network_config(
        mode=AuthMode.BEARER,
        tokens=TOKENS,
        rooms=[room("general", "alpha", "beta")],
        registration=Registration.TOKEN,
    )
    async with open_test_server(config) as server:
        for message in (
            room_message(message_id="m1"),
            thread_message("t1"),
            direct_message("d1", "alpha", "beta"),
        ):
            await post(server.app, message, ADMIN)
        yield server


async def ask(server: TestServer, target: str, tag: str, caller: str = "admin", method: str = "GET") -> HttpAnswer:
    return await http_client(server, caller).request(method, target, headers={"If-None-Match": tag})


@pytest.mark.parametrize("target", DOCUMENTS)
async def test_what_has_not_changed_is_not_sent_again(server: TestServer, target: str) -> None:
    first = await http_client(server, "admin").get(target)
    assert first.status == 200
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    for method, given in [("GET", tag), ("GET", tag.removeprefix("W/")), ("GET", f'"x", {tag}'), ("HEAD", "*")]:
        again = await ask(server, target, given, method=method)
        assert (again.status, again.body) == (304, b"")
        assert again.headers.keys().isdisjoint({"content-type", "content-length", "content-encoding"})
        for name in ("etag", "cache-control", "vary"):
            assert again.headers[name] == first.headers[name]
        assert again.headers["x-request-id"]
    for given in ('"other"', "nonsense", ""):
        assert (await ask(server, target, given)).body == first.body


Change = Callable[[TestServer], Coroutine[Any, Any, object]]


async def change_members(server: TestServer) -> None:
    await update_members(server.app.context, "general", UpdateRoomMembersRequest(remove=("beta",)))


# What changes → the documents that must then be sent again, as the caller sees them.
CHANGES: list[tuple[Change, str, list[str]]] = [
    (change_members, "admin", ["/v1/rooms/general", "/v1/rooms", "/v1/agents"]),
    (
        lambda server: post(server.app, thread_message("t1", "more"), ADMIN),
        "alpha",
        ["/v1/threads/t1", "/v1/threads/t1/messages", "/v1/rooms/general/threads"],
    ),
    (
        lambda server: post(server.app, direct_message("d1", "alpha", "beta", text="more"), ADMIN),
        "beta",
        ["/v1/dms/d1", "/v1/dms", "/v1/dms/d1/messages"],
    ),
    (
        lambda server: register_agent(server.app.context, RegisterAgentRequest("alpha", "Alpha"), ADMIN),
        "alpha",
        ["/v1/agents/alpha", "/v1/agents"],
    ),
    (
        lambda server: create_room(
            server.app.context, CreateRoomRequest("new", members=("alpha",), visibility=Visibility.PRIVATE)
        ),
        "alpha",
        ["/v1/rooms", "/v1/agents/alpha"],
    ),
]


@pytest.mark.parametrize(("change", "caller", "targets"), CHANGES)
async def test_what_has_changed_is_sent_again(
    server: TestServer, change: Change, caller: str, targets: list[str]
) -> None:
    client = http_client(server, caller)
    tags = {target: (await client.get(target)).headers["etag"] for target in targets}
    await change(server)
    for target, tag in tags.items():
        answer = await ask(server, target, tag, caller)
        assert answer.status == 200
        assert answer.headers["etag"] != tag


async def test_an_agent_that_connects_is_a_change(server: TestServer) -> None:
    tag = (await http_client(server, "admin").get("/v1/agents/alpha")).headers["etag"]
    async with open_websocket_wire(server.url, "alpha") as wire:
        await attach(wire, "alpha")
        answer = await ask(server, "/v1/agents/alpha", tag)
        assert (answer.status, answer.json()["connected"]) == (200, True)


@pytest.mark.parametrize("target", ["/v1/rooms", "/v1/network", "/v1/agents"])
async def test_a_tag_of_one_caller_is_none_of_another_who_sees_something_else(server: TestServer, target: str) -> None:
    await create_room(server.app.context, CreateRoomRequest("secret", members=("alpha",)))
    tags = {caller: (await http_client(server, caller).get(target)).headers["etag"] for caller in ("admin", "beta")}
    for caller, other in [("admin", "beta"), ("beta", "admin")]:
        assert (await ask(server, target, tags[caller], caller)).status == 304
        assert (await ask(server, target, tags[other], caller)).status == 200


async def test_a_tag_opens_nothing(server: TestServer) -> None:
    """Whoever lost the right to read gets a refusal, whatever it has kept; so does whoever guesses."""
    tag = (await http_client(server, "beta").get("/v1/rooms/general")).headers["etag"]
    await change_members(server)
    for given in (tag, "*"):
        assert (await ask(server, "/v1/rooms/general", given, "beta")).status == 403
        assert (await ask(server, "/v1/rooms/general", given, "")).status == 401
        assert (await ask(server, "/v1/rooms/nowhere", given)).status == 404
    await remove_room(server.app.context, "general")
    assert (await ask(server, "/v1/rooms/general", tag)).status == 404


async def test_only_reading_has_tags(server: TestServer) -> None:
    client = http_client(server, "admin")
    made = await client.request("POST", "/v1/rooms", {"id": "ops"}, headers={"If-None-Match": "*"})
    assert (made.status, "etag" in made.headers) == (201, False)
    for target in ("/healthz", "/readyz", "/v1/rooms/nowhere"):
        answer = await ask(server, target, "*")
        assert answer.status != 304
        assert "etag" not in answer.headers


async def test_a_stream_has_no_tag(server: TestServer) -> None:
    head = await ask(server, "/v1/events/stream", "*", method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers.keys().isdisjoint({"etag", "content-length", "content-encoding"})
    async with http_client(server, "admin").stream_events() as source:
        assert source.head is not None
        assert b"etag" not in dict(source.head.headers)
