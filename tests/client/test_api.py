"""Typed calls: which request each one makes, what each answer becomes, and when a send is repeated."""

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock

from moltnet.client.api import MoltnetClient, open_client
from moltnet.client.errors import (
    BadServerAddress,
    BadToken,
    ClientError,
    RequestTooLarge,
    ServerAnswered,
    ServerMisbehaved,
    ServerUnreachable,
)
from moltnet.client.limits import MAX_SEND_TRIES
from moltnet.protocol.administration import ApplyRequest
from moltnet.protocol.agents import RegisterAgentRequest
from moltnet.protocol.ids import DirectId, RoomId, ThreadId, is_id
from moltnet.protocol.limits import MAX_BODY_BYTES
from moltnet.protocol.messages import Actor, Part, SendMessageRequest, Target
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.rooms import CreateRoomRequest, RestoreRoomRequest, UpdateRoomMembersRequest
from tests.fakes.http_server import Reply, answer, open_scripted_server, raw, silence
from tests.fakes.ports import free_port

WHEN = "2025-01-02T03:04:05Z"
ROOM = {
    "id": "general",
    "network_id": "net_a",
    "fqid": "molt://net_a/rooms/general",
    "name": "General",
    "created_at": WHEN,
    "members": ["alpha"],
    "visibility": "private",
    "write_policy": "members",
}
THREAD = {
    "id": "th 1",
    "network_id": "net_a",
    "fqid": "molt://net_a/threads/th 1",
    "room_id": "general",
    "message_count": 1,
    "last_message_at": WHEN,
}
DM = {
    "id": "d1",
    "network_id": "net_a",
    "fqid": "f",
    "participant_ids": ["a", "b"],
    "message_count": 1,
    "last_message_at": WHEN,
}
AGENT = {"id": "alpha", "network_id": "net_a", "connected": True}
MESSAGE = {
    "id": "m1",
    "network_id": "net_a",
    "origin": {"network_id": "net_a", "message_id": "m1"},
    "target": {"kind": "room", "room_id": "general"},
    "from": {"type": "agent", "id": "alpha"},
    "parts": [{"kind": "text", "text": "hello"}],
    "created_at": WHEN,
}
REGISTRATION = {
    "network_id": "net_a",
    "agent_id": "alpha",
    "actor_uid": "actor_1",
    "actor_uri": "molt://net_a/agents/alpha",
    "created_at": WHEN,
    "updated_at": WHEN,
    "agent_token": "magt_v1_secret",
}
ARTIFACT = {
    "id": "art_m1_0",
    "network_id": "net_a",
    "fqid": "molt://net_a/artifacts/art_m1_0",
    "message_id": "m1",
    "target": {"kind": "room", "room_id": "general"},
    "part_index": 0,
    "kind": "url",
    "created_at": WHEN,
}
PAGE = {"has_more": False}
ACCEPTED = {"message_id": "m1", "event_id": "e1", "accepted": True, "thread_created": False, "dm_created": False}
SEND = SendMessageRequest(
    target=Target(kind="room", room_id=RoomId("general")),
    sender=Actor(type="agent", id="alpha"),
    parts=(Part(kind="text", text="hello"),),
    id="m1",
)
ROOM_TARGET = Target(kind="room", room_id=RoomId("general"))

Call = Callable[[MoltnetClient], Awaitable[object]]


@pytest.mark.parametrize(
    ("call", "body", "request_line"),
    [
        (lambda c: c.network(), {"id": "net_a"}, "GET /v1/network"),
        (lambda c: c.rooms(), {"rooms": [ROOM], "page": PAGE}, "GET /v1/rooms"),
        (
            lambda c: c.rooms(PageRequest(limit=5, after="a")),
            {"rooms": [], "page": PAGE},
            "GET /v1/rooms?limit=5&after=a",
        ),
        (lambda c: c.room("general"), ROOM, "GET /v1/rooms/general"),
        (lambda c: c.create_room(CreateRoomRequest(id="general")), ROOM, "POST /v1/rooms"),
        (
            lambda c: c.update_members("general", UpdateRoomMembersRequest(add=("b",))),
            ROOM,
            "PATCH /v1/rooms/general/members",
        ),
        (
            lambda c: c.remove_room("general"),
            {"removed": True, "kind": "room", "id": "general", "mode": "soft"},
            "DELETE /v1/rooms/general",
        ),
        (
            lambda c: c.remove_agent("alpha"),
            {"removed": True, "kind": "agent", "id": "alpha", "mode": "soft"},
            "DELETE /v1/agents/alpha",
        ),
        (
            lambda c: c.artifacts(ROOM_TARGET, PageRequest(limit=5)),
            {"artifacts": [ARTIFACT], "page": PAGE},
            "GET /v1/artifacts?room_id=general&limit=5",
        ),
        (
            lambda c: c.artifacts(Target(kind="thread", thread_id=ThreadId("t/1"))),
            {"artifacts": [], "page": PAGE},
            "GET /v1/artifacts?thread_id=t%2F1",
        ),
        (
            lambda c: c.artifacts(Target(kind="dm", dm_id=DirectId("d1"))),
            {"artifacts": [], "page": PAGE},
            "GET /v1/artifacts?dm_id=d1",
        ),
        (
            lambda c: c.pairings(PageRequest(after="b")),
            {"pairings": [{"id": "c", "remote_network_id": "net_c"}], "page": PAGE},
            "GET /v1/pairings?after=b",
        ),
        (
            lambda c: c.apply(ApplyRequest(rooms=(CreateRoomRequest(id="general"),))),
            {"applied": True, "rooms": [ROOM], "agents": [REGISTRATION]},
            "POST /v1/apply",
        ),
        (lambda c: c.restore_room("general", RestoreRoomRequest()), ROOM, "POST /v1/rooms/general/restore"),
        (lambda c: c.threads("general"), {"threads": [THREAD], "page": PAGE}, "GET /v1/rooms/general/threads"),
        (lambda c: c.thread("th 1/x"), THREAD, "GET /v1/threads/th%201%2Fx"),
        (lambda c: c.dms(), {"dms": [DM], "page": PAGE}, "GET /v1/dms"),
        (lambda c: c.dm("d1"), DM, "GET /v1/dms/d1"),
        (lambda c: c.agents(), {"agents": [AGENT], "page": PAGE}, "GET /v1/agents"),
        (lambda c: c.agent("net_b:beta"), AGENT, "GET /v1/agents/net_b%3Abeta"),
        (
            lambda c: c.messages(ROOM_TARGET, PageRequest(limit=20)),
            {"messages": [MESSAGE], "page": PAGE},
            "GET /v1/rooms/general/messages?limit=20",
        ),
        (
            lambda c: c.messages(Target(kind="thread", thread_id=ThreadId("t")), PageRequest(before="m9")),
            {"messages": [], "page": PAGE},
            "GET /v1/threads/t/messages?before=m9",
        ),
        (
            lambda c: c.messages(Target(kind="dm", dm_id=DirectId("d1"))),
            {"messages": None, "page": PAGE},
            "GET /v1/dms/d1/messages",
        ),
        (lambda c: c.register_agent(RegisterAgentRequest("alpha")), REGISTRATION, "POST /v1/agents/register"),
        (lambda c: c.send(SEND), ACCEPTED, "POST /v1/messages"),
    ],
)
async def test_every_call_makes_its_request_and_reads_its_answer(call: Call, body: object, request_line: str) -> None:
    async with (
        open_scripted_server(answer(200, body)) as server,
        open_client(server.url, "secret", environ={}) as client,
    ):
        await call(client)
        [seen] = server.requests
        assert f"{seen.method} {seen.target}" == request_line
        assert seen.headers["authorization"] == "Bearer secret"
        assert seen.headers["user-agent"].startswith("moltnet/")


async def test_an_answer_becomes_a_value() -> None:
    async with open_scripted_server(answer(200, ROOM), answer(201, REGISTRATION)) as server:
        async with open_client(server.url, environ={}) as client:
            room = await client.room("general")
            registration = await client.register_agent(RegisterAgentRequest("alpha", "Alpha"))
        assert (room.id, room.members) == ("general", ("alpha",))
        assert registration.agent_token == "magt_v1_secret"
        assert "secret" not in repr(registration)
        assert "authorization" not in server.requests[0].headers
        assert server.requests[1].json() == {"requested_agent_id": "alpha", "name": "Alpha"}


async def test_text_is_read_as_it_is() -> None:
    skill = "---\nname: moltnet ü\n"
    async with (
        open_scripted_server(answer(200, skill.encode())) as server,
        open_client(server.url, environ={}) as client,
    ):
        assert await client.text("/skill.md", max_bytes=100) == skill


ENVELOPE = {"code": "unknown_room", "error": 'unknown room "x"', "request_id": "req_1"}


async def test_an_error_answer_says_what_the_server_said() -> None:
    async with open_scripted_server(answer(404, ENVELOPE)) as server, open_client(server.url, environ={}) as client:
        with pytest.raises(ServerAnswered) as caught:
            await client.room("x")
        error = caught.value
        assert (error.status, error.code, error.message, error.request_id) == (404, *ENVELOPE.values())
        assert str(error) == f'{server.url}: answered 404: unknown room "x" (request req_1)'


@pytest.mark.parametrize(
    ("reply", "message", "request_id"),
    [
        (answer(503, b"<html>Bad\nGateway</html>"), "", ""),
        (answer(503, ["no envelope"]), "", ""),
        (answer(503, {"error": 5, "code": None}), "", ""),
        (answer(503, {"error": "two\nlines\x1b[31m"}, headers={"X-Request-Id": "req_2"}), "two lines [31m", "req_2"),
        (answer(503, {"error": "x" * 10_000}), "x" * 500 + "…", ""),
    ],
    ids=["html", "list", "types", "control-characters", "long"],
)
async def test_any_error_body_becomes_one_short_line(reply: Reply, message: str, request_id: str) -> None:
    async with open_scripted_server(reply) as server, open_client(server.url, environ={}) as client:
        with pytest.raises(ServerAnswered) as caught:
            await client.network()
    assert (caught.value.message, caught.value.request_id) == (message, request_id)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (answer(200, b"<html>"), r"\$: is not valid JSON"),
        (answer(200, {"id": 5}), r"\$\.id: must be a string"),
        (answer(200, b'{"id": "x"} trailing'), "not valid JSON"),
        (answer(200, b"[" * 100_000), "JSON|nested"),
        (answer(204), "not valid JSON"),
    ],
    ids=["html", "type", "trailing", "deep", "empty"],
)
async def test_a_success_that_is_not_the_expected_document_is_misbehaviour(reply: Reply, text: str) -> None:
    async with open_scripted_server(reply) as server, open_client(server.url, environ={}) as client:
        with pytest.raises(ServerMisbehaved, match=text):
            await client.network()


async def test_a_redirect_names_the_other_address_without_its_secrets() -> None:
    redirect = answer(301, headers={"Location": "https://me:hunter2@chat.example.org/v1/network?access_token=secret"})
    async with open_scripted_server(redirect) as server, open_client(server.url, environ={}) as client:
        with pytest.raises(ServerMisbehaved, match=r"redirects to chat\.example\.org/v1/network") as caught:
            await client.network()
    assert "hunter2" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "ümlaut", "nul\0"])
async def test_a_token_that_no_header_can_carry_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(BadToken) as caught:
        async with open_client("http://127.0.0.1", token, environ={}):
            pass
    assert not token or token not in str(caught.value)


async def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(BadServerAddress):
        async with open_client("chat.example.org", environ={}):
            pass


async def test_a_send_without_an_id_gets_one_that_stays_the_same_when_it_is_repeated(
    patient_clock: MockClock,
) -> None:
    del patient_clock  # delays pass at once
    message = SendMessageRequest(target=SEND.target, sender=SEND.sender, parts=SEND.parts)
    replies = answer(503), answer(202, ACCEPTED)
    async with open_scripted_server(*replies) as server, open_client(server.url, environ={}) as client:
        await client.send(message)
    first, second = [seen.json() for seen in server.requests]
    assert first == second
    assert isinstance(first, dict)
    assert first["id"].startswith("msg_")
    assert is_id(first["id"])


@pytest.mark.parametrize(
    "failure",
    [
        answer(429),
        answer(500),
        answer(502),
        answer(503, {"error": "draining"}, close=True),
        answer(504),
        raw(close=True),
        raw(b"HTTP/1.1 202 Acc", close=True),
        raw(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100\r\n\r\n{", close=True),
    ],
    ids=["429", "500", "502", "503", "504", "cut", "cut-in-the-head", "cut-in-the-body"],
)
async def test_a_send_is_repeated_until_it_is_answered(failure: Reply, patient_clock: MockClock) -> None:
    del patient_clock
    async with open_scripted_server(failure, failure, answer(202, ACCEPTED)) as server:
        async with open_client(server.url, environ={}) as client:
            assert (await client.send(SEND)).message_id == "m1"
        assert len({seen.body for seen in server.requests}) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 501])
async def test_a_refused_send_is_not_repeated(status: int) -> None:
    async with open_scripted_server(answer(status)) as server, open_client(server.url, environ={}) as client:
        with pytest.raises(ServerAnswered):
            await client.send(SEND)


async def test_a_send_to_a_server_that_never_answers_gives_up_a_try_and_repeats(patient_clock: MockClock) -> None:
    del patient_clock
    async with open_scripted_server(silence(), answer(202, ACCEPTED)) as server:
        async with open_client(server.url, environ={}) as client:
            await client.send(SEND)
        assert [seen.connection for seen in server.requests] == [0, 1]


async def test_a_send_waits_as_long_as_the_server_asks(patient_clock: MockClock) -> None:
    del patient_clock
    async with open_scripted_server(answer(429, headers={"Retry-After": "60"}), answer(202, ACCEPTED)) as server:
        async with open_client(server.url, environ={}) as client:
            before = trio.current_time()
            await client.send(SEND)
        assert trio.current_time() - before >= 60


async def test_a_send_without_a_deadline_does_not_wait_for_an_hour() -> None:
    busy = answer(429, headers={"Retry-After": "3600"})
    async with open_scripted_server(busy) as server, open_client(server.url, environ={}) as client:
        with pytest.raises(ServerAnswered) as caught:
            await client.send(SEND)
    assert caught.value.retry_after_seconds == 3600


async def test_a_send_without_a_deadline_ends_after_its_tries(patient_clock: MockClock) -> None:
    del patient_clock
    replies = [answer(503)] * MAX_SEND_TRIES
    async with open_scripted_server(*replies) as server, open_client(server.url, environ={}) as client:
        with pytest.raises(ServerAnswered, match="answered 503"):
            await client.send(SEND)


async def test_a_send_whose_deadline_leaves_no_time_for_another_try_says_what_failed(
    patient_clock: MockClock,
) -> None:
    del patient_clock
    url = f"http://127.0.0.1:{free_port()}"
    async with open_client(url, environ={}) as client:
        with pytest.raises(ClientError, match="connection refused"), trio.fail_after(100):
            await client.send(SEND)


async def test_a_send_cancelled_in_a_try_leaves_nothing_open() -> None:
    async with (
        open_scripted_server(silence()) as server,
        open_client(server.url, environ={}) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(client.send, SEND)
        await server.wait_requests(1)
        nursery.cancel_scope.cancel()


async def test_a_message_that_no_server_takes_is_not_sent() -> None:
    huge = SendMessageRequest(
        target=SEND.target, sender=SEND.sender, parts=(Part(kind="text", text="x" * MAX_BODY_BYTES),)
    )
    async with open_scripted_server() as server, open_client(server.url, environ={}) as client:
        with pytest.raises(RequestTooLarge, match=str(MAX_BODY_BYTES)):
            await client.send(huge)


async def test_a_registration_is_not_repeated_after_a_loss() -> None:
    async with open_scripted_server(raw(close=True)) as server, open_client(server.url, environ={}) as client:
        with pytest.raises(ServerUnreachable) as caught:
            await client.register_agent(RegisterAgentRequest("alpha"))
        assert caught.value.request_sent


async def test_a_history_of_no_kind_is_a_bug_of_the_caller() -> None:
    async with open_client("http://127.0.0.1", environ={}) as client:
        with pytest.raises(ValueError, match="no history"):
            await client.messages(Target(kind="artifact"))
