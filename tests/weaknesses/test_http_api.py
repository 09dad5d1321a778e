"""The HTTP API where the reference implementation is weak: what this one does instead.

Which weakness each test is about stands in `test_completeness`.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack

import orjson
import pytest
import trio

from moltnet.app import App
from moltnet.auth.sessions import cookie_name
from moltnet.config.settings import AuthMode
from moltnet.protocol import limits
from moltnet.protocol.events import AgentEvent, Event, EventType
from moltnet.protocol.ids import AgentId, RoomId, new_event_id
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.rooms import DirectConversation, Thread, Visibility, WritePolicy
from moltnet.storage.commands import RecordEvents
from moltnet.storage.store import Store
from tests.fakes.attach_client import attach, open_websocket_wire
from tests.fakes.credentials import static
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.homes import Home
from tests.fakes.http_client import HttpAnswer, HttpClient, http_client, open_silent_stream
from tests.fakes.network import (
    TestServer,
    event_types,
    network_config,
    post,
    post_texts,
    room,
    room_message,
    secret_of,
    token,
)
from tests.weaknesses.bodies import agent, in_direct, in_thread, said

PUBLIC = Visibility.PUBLIC
ALPHA, BETA = token("alpha", "attach write", "alpha"), token("beta", "attach write", "beta")
ADMIN = token("admin", "admin write")
LOBBY = room("lobby", "alpha", visibility=PUBLIC)


def is_envelope(answer: HttpAnswer, status: int, code: str) -> bool:
    body = answer.json()
    return (
        answer.status == status
        and body.keys() >= {"code", "error", "request_id"}
        and body["code"] == code
        and body["request_id"] == answer.headers["x-request-id"]
        and answer.headers["content-type"] == "application/json"
    )


async def test_an_unknown_route_of_the_api_is_404_in_the_envelope(home: Home) -> None:
    async with home.serve() as server:
        for target in ("/v1/nothing", "/v1/", "/v1/rooms/general/", "/v1/rooms/general/nothing"):
            for method in ("GET", "POST", "DELETE"):
                assert is_envelope(await http_client(server).request(method, target), 404, "unknown_route")


async def test_a_wrong_method_is_405_in_the_envelope_and_told_the_right_ones(home: Home) -> None:
    async with home.serve() as server:
        for method, target, allowed in (
            ("DELETE", "/v1/rooms", "GET, HEAD, POST"),
            ("GET", "/v1/messages", "POST"),
            ("PUT", "/v1/rooms/general/members", "PATCH"),
        ):
            answer = await http_client(server).request(method, target)
            assert is_envelope(answer, 405, "method_not_allowed")
            assert answer.headers["allow"] == allowed


async def test_a_body_that_is_too_large_is_413(home: Home) -> None:
    body = orjson.dumps(said("x" * limits.MAX_BODY_BYTES))
    async with home.serve() as server:
        client = http_client(server)
        assert is_envelope(await client.post("/v1/messages", body), 413, "body_too_large")
        chunked = await client.request("POST", "/v1/messages", body, chunk_bytes=64 * limits.KIB)
        assert is_envelope(chunked, 413, "body_too_large")


async def test_refusals_of_one_status_tell_themselves_apart(home: Home) -> None:
    config = network_config(mode=AuthMode.OPEN, tokens=[ALPHA, ADMIN], rooms=[room("general", "alpha")])
    async with home.serve(config) as server:
        admin, nobody = http_client(server, "admin"), http_client(server)
        await admin.delete("/v1/rooms/general")
        await admin.post("/v1/rooms", {"id": "here"})
        send = {"room_id": "here", "kind": "room"}
        await admin.post("/v1/messages", said(id="m1", target=send))
        codes = [
            (await admin.post("/v1/rooms", {"id": "here"})).code,
            (await admin.post("/v1/rooms", {"id": "general"})).code,
            (await admin.post("/v1/messages", said("other", id="m1", target=send))).code,
            (await nobody.post("/v1/agents/register", {"requested_agent_id": "alpha"})).code,
        ]
        assert codes == ["room_exists", "room_removed", "message_id_conflict", "agent_owned_by_other"]


async def test_a_link_with_a_bad_token_plants_nothing_and_locks_nobody_out(home: Home) -> None:
    config = network_config(mode=AuthMode.BEARER, public_read=True, tokens=[ADMIN], rooms=[LOBBY])
    async with home.serve(config) as server:
        client = http_client(server)
        for target in ("/", "/console", "/console/", "/console/rooms", "/anything"):
            answer = await client.get(f"{target}?access_token=junk")
            assert "set-cookie" not in answer.headers
            assert "junk" not in answer.headers.get("location", "")
        for target in ("/v1/rooms", "/healthz", "/v1/rooms/lobby/messages"):
            assert (await client.get(target, Cookie="moltnet_auth=junk")).status == 200


async def test_a_cookie_never_stands_for_a_bearer_token(home: Home) -> None:
    async with home.serve(network_config(mode=AuthMode.BEARER, tokens=[ADMIN])) as server:
        client = http_client(server)
        for name in ("moltnet_auth", cookie_name(server.app.context.id, is_secure=False)):
            headers = {"Cookie": f"{name}={secret_of('admin')}", "Origin": "http://console.test"}
            assert (await client.request("POST", "/v1/rooms", {"id": "planted"}, headers=headers)).status == 401
            assert (await client.request("GET", "/v1/rooms", headers=headers)).status == 401
        for target in ("/console/", "/console", "/"):
            answer = await client.request("GET", f"{target}?access_token={secret_of('admin')}", headers=headers)
            assert secret_of("admin") not in f"{answer.headers} {answer.body!r}"


async def test_an_agent_sees_what_it_may_write_and_reads_its_own(home: Home) -> None:
    rooms = [
        LOBBY,
        room("vault", "alpha", "beta"),
        room("theirs", "beta"),
        room("all", visibility=PUBLIC, write_policy=WritePolicy.REGISTERED_AGENTS),
    ]
    config = network_config(mode=AuthMode.BEARER, public_read=True, tokens=[ALPHA, BETA], rooms=rooms)
    async with home.serve(config) as server:
        alpha, beta = http_client(server, "alpha"), http_client(server, "beta")
        await beta.post("/v1/messages", in_thread("t1", "vault", sender=agent("beta")))
        await beta.post("/v1/messages", in_direct("d1", "alpha", "beta", sender=agent("beta")))
        await beta.post("/v1/messages", in_direct("d2", "gamma", "beta", sender=agent("beta")))
        found = (await alpha.get("/v1/rooms")).json()["rooms"]
        assert {each["id"]: each["access"]["can_write"] for each in found} == {
            "all": False,  # a token of the config file never profits from this policy
            "lobby": True,
            "vault": True,
        }
        assert (await alpha.get("/v1/threads/t1/messages")).status == 200
        assert (await alpha.get("/v1/rooms/theirs/messages")).status == 403
        assert [each["id"] for each in (await alpha.get("/v1/dms")).json()["dms"]] == ["d1"]
        assert len((await alpha.get("/v1/dms/d1/messages")).json()["messages"]) == 1
        assert (await alpha.get("/v1/dms/d2/messages")).status == 404


async def test_asking_for_the_head_of_a_stream_holds_none(home: Home) -> None:
    async with home.serve() as server, trio.open_nursery() as nursery:
        for _ in range(40):
            nursery.start_soon(_head_of_a_stream, server.url)


async def _head_of_a_stream(url: str) -> None:
    # The client waits for the end of the answer, which a stream does not have.
    answer = await HttpClient(url).request("HEAD", "/v1/events/stream")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")


async def test_agents_that_come_and_go_push_no_message_out_of_the_replay(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RING_EVENTS", 64)
    async with home.serve() as server:
        cursor = (await http_client(server).post("/v1/messages", said("before"))).json()["event_id"]
        await post_texts(server.app, "one")
        async with open_websocket_wire(server.url) as wire:
            await attach(wire, "beta")
        await churn(server.app, 600)
        await post_texts(server.app, "two")
        assert await replayed(server, cursor) == ["one", "two"]
    async with home.serve() as server:
        assert await replayed(server, cursor) == ["one", "two"]


async def churn(app: App, times: int) -> None:
    """Agents that come and go, faster than sockets can."""
    now = app.context.now()
    events = [
        Event(new_event_id(), EventType.AGENT_CONNECTED, app.context.id, now, agent=AgentEvent(AgentId(f"a{number}")))
        for number in range(times)
    ]
    await app.context.journal.commit(RecordEvents(tuple(events)))


async def replayed(server: TestServer, cursor: str, last: str = "two") -> list[str]:
    """The texts after a cursor; a gap is none of them."""
    texts: list[str] = []
    async with http_client(server).stream_events(last_event_id=cursor) as source:
        while last not in texts:
            event = await source.next_event()
            assert event is not None
            texts += [event.text] if event.type == EventType.MESSAGE_CREATED else []
            texts += ["gap"] if event.type == EventType.REPLAY_GAP else []
    return texts


async def test_a_cursor_that_is_not_known_is_answered_with_a_gap_also_after_a_restart(home: Home) -> None:
    async with home.serve() as server:
        await post_texts(server.app, "one")
    async with home.serve() as server:
        assert await replayed(server, "evt_of-another-life", "one") == ["gap", "one"]


async def test_a_reader_that_stalls_misses_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RING_EVENTS", 16)
    monkeypatch.setattr(limits, "WRITE_SECONDS", 60.0)  # this is not about when it is cut
    texts = [f"{number} " + "x" * 100_000 for number in range(60)]  # 6 MB: more than the kernel takes for it
    async with home.serve() as server, open_silent_stream(server) as stalled:
        await post_texts(server.app, *texts)
        assert [(await stalled.next_of("message.created")).text for _ in texts] == texts


async def test_filtering_a_public_stream_reads_nothing_from_the_store(home: Home) -> None:
    opened: list[FaultyStore] = []

    def counted(store: Store) -> Store:
        opened.append(FaultyStore(store))
        return opened[0]

    config = network_config(mode=AuthMode.OPEN, tokens=[ADMIN], rooms=[LOBBY, room("vault", "alpha")])
    async with home.serve(config, wrap=counted) as server, AsyncExitStack() as streams:
        readers = [await streams.enter_async_context(http_client(server).stream_events()) for _ in range(5)]
        opened[0].read_count = 0
        for name in ("vault", "lobby") * 20:
            await post(server.app, room_message(name, room=name), static("admin write"))
        for reader in readers:
            assert [(await reader.next_of("message.created")).text for _ in range(20)] == ["lobby"] * 20
        assert opened[0].read_count == 0


async def test_a_stop_with_an_open_stream_is_soon_and_clean(home: Home) -> None:
    with trio.fail_after(limits.CLOSE_SECONDS):
        async with home.serve() as server:
            async with http_client(server).stream_events() as source:
                server.stop.set()
                assert await source.next_event() is None
            await server.ended.wait()


async def test_lists_are_read_by_the_page_and_not_whole(home: Home) -> None:
    """What a page costs is counted in `tests/scale`; here, that the store is asked for no more than the page."""
    asked: list[PageRequest] = []

    class AskedStore(FaultyStore):
        async def threads(self, room_id: RoomId, page: PageRequest) -> tuple[Sequence[Thread], bool]:
            asked.append(page)
            return await super().threads(room_id, page)

        async def directs(
            self, page: PageRequest, participants: Sequence[str] | None
        ) -> tuple[Sequence[DirectConversation], bool]:
            asked.append(page)
            return await super().directs(page, participants)

    async with home.serve(wrap=AskedStore) as server:
        client = http_client(server)
        for number in range(4):
            await client.post("/v1/messages", in_thread(f"t{number}"))
            await client.post("/v1/messages", in_direct(f"d{number}", "alpha", "beta"))
        for target, name in (("/v1/rooms/general/threads?limit=2", "threads"), ("/v1/dms?limit=2", "dms")):
            assert len((await client.get(target)).json()[name]) == 2
        assert asked == [PageRequest(limit=2)] * 2


async def test_the_console_is_served_with_headers_that_keep_it_harmless(home: Home) -> None:
    async with home.serve() as server:
        headers = (await http_client(server).get("/console/")).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert (headers["x-frame-options"], headers["x-content-type-options"]) == ("DENY", "nosniff")
        again = await http_client(server).get("/console/", If_None_Match=headers["etag"])
        assert (again.status, again.body) == (304, b"")


async def test_an_answer_of_history_stays_below_one_mebibyte_and_says_that_there_is_more(home: Home) -> None:
    texts = [f"{number} " + "x" * 300_000 for number in range(8)]
    async with home.serve() as server:
        await post_texts(server.app, *texts)
        found: list[str] = []
        target = "/v1/rooms/general/messages?limit=500"
        while True:
            answer = await http_client(server).get(target)
            assert len(answer.body) <= limits.MAX_BODY_BYTES
            body = answer.json()
            assert body["messages"]
            found = [message["parts"][0]["text"] for message in body["messages"]] + found
            if not body["page"]["has_more"]:
                break
            target = f"/v1/rooms/general/messages?limit=500&before={body['page']['next_before']}"
        assert found == texts


async def test_apply_does_all_of_it_or_nothing_and_reports_the_members(home: Home) -> None:
    async with home.serve() as server:
        client = http_client(server)
        before = await event_types(server.app)
        half_wrong = {"rooms": [{"id": "new"}, {"id": "general", "members": ["gamma"]}, {"id": "not an id"}]}
        assert is_envelope(await client.post("/v1/apply", half_wrong), 422, "invalid_field")
        assert (await client.get("/v1/rooms/new")).status == 404
        assert (await client.get("/v1/rooms/general")).json()["members"] == ["alpha", "beta"]
        assert await event_types(server.app) == before
        right = {"rooms": half_wrong["rooms"][:2]}
        assert (await client.post("/v1/apply", right)).status == 200
        assert (await event_types(server.app))[len(before) :] == ["room.created", "room.members.updated"]
