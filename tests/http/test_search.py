"""Looking for messages: what is found, by whom, and how far one request looks."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import pytest

from moltnet.config.settings import AuthMode
from moltnet.core.rooms import remove_room
from moltnet.protocol import limits
from moltnet.protocol.messages import Part, PartKind
from moltnet.protocol.rooms import Visibility
from moltnet.protocol.times import parse_timestamp
from moltnet.storage.limits import MAX_PAGE_BYTES
from tests.fakes.credentials import static
from tests.fakes.http_client import HttpClient, http_client
from tests.fakes.network import (
    TestServer,
    direct_message,
    network_config,
    open_test_server,
    post,
    room,
    room_message,
    thread_message,
)
from tests.http.test_events import ROOMS, SAID, STREAMS, TOKENS

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@attrs.define
class Clock:
    """Goes on by a minute with each look."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


def texts_of(found: Any) -> list[str]:
    return [message["parts"][0]["text"] for message in found["messages"]]


async def search(client: HttpClient, **wanted: object) -> Any:
    query = "&".join(f"{name.strip('_')}={quote(str(value))}" for name, value in wanted.items())
    answer = await client.get(f"/v1/search?{query}")
    assert answer.status == 200, answer.body
    return answer.json()


async def search_all(client: HttpClient, **wanted: object) -> list[str]:
    """What all pages hold, newest first."""
    texts: list[str] = []
    while True:
        found = await search(client, **wanted)
        texts += texts_of(found)
        if not found["page"]["has_more"]:
            assert found["page"] == {"has_more": False}
            return texts
        wanted["before"] = found["page"]["next_before"]


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TestServer]:
    """Twenty messages, one each minute."""
    rooms = [room("general", "alpha", "beta"), room("other", "alpha")]
    config = network_config(rooms=rooms, sqlite_path=tmp_path / "moltnet.db")
    async with open_test_server(config, clock=Clock()) as server:
        for number in range(10):
            await post(server.app, room_message(f"Word {number}", message_id=f"m{number}"))
            await post(server.app, room_message(f"other {number}", room="other", sender="beta"))
        yield server


@pytest.mark.parametrize(("mode", "caller", "expected"), STREAMS)
async def test_only_what_the_caller_may_read_is_found(mode: AuthMode, caller: str, expected: Sequence[str]) -> None:
    config = network_config(mode=mode, tokens=TOKENS if mode is not AuthMode.NONE else (), rooms=ROOMS)
    async with open_test_server(config) as server:
        for message in SAID.values():
            await post(server.app, message, static("admin write"))
        client = http_client(server, caller)
        assert await search_all(client) == [*expected][::-1]
        assert await search_all(client, limit=1) == [*expected][::-1]
        for conversation, text in (("room_id=theirs", "theirs"), ("dm_id=d2", "to others")):
            answer = await client.get(f"/v1/search?{conversation}")
            assert (answer.status == 200) is (text in expected)
            assert text in expected or answer.code in ("not_readable", "unknown_direct_conversation")


@pytest.mark.parametrize(("caller", "status"), [("", 401), ("pair", 403)])
async def test_who_may_read_nothing_may_not_search(caller: str, status: int) -> None:
    config = network_config(mode=AuthMode.BEARER, tokens=TOKENS, rooms=ROOMS)
    async with open_test_server(config) as server:
        assert (await http_client(server, caller).get("/v1/search?text=x")).status == status


async def test_a_way_through_what_others_say_does_not_tell_their_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_MESSAGES_LOOKED_AT", 2)
    config = network_config(mode=AuthMode.BEARER, tokens=TOKENS, rooms=ROOMS)
    async with open_test_server(config) as server:
        await post(server.app, room_message("mine", room="mine", sender="beta"), static("admin write"))
        for number in range(9):
            secret = room_message("x", room="theirs", sender="beta", message_id=f"secret{number}")
            await post(server.app, secret, static("admin write"))
        client, pages, before = http_client(server, "alpha"), 0, ""
        while True:
            answer = await client.get(f"/v1/search?before={before}")
            assert b"secret" not in answer.body
            if not answer.json()["messages"]:
                assert answer.json()["looked_at"] == 0
                assert "searched_to" not in answer.json()
            pages += 1
            if answer.json()["messages"]:
                break
            before = answer.json()["page"]["next_before"]
        assert pages == 5
        assert texts_of(answer.json()) == ["mine"]
        # A search that goes step by step does not stop at them either.
        monkeypatch.setattr(limits, "MAX_MESSAGES_LOOKED_AT", 4096)
        answer = await client.get("/v1/search?depth=1")
        assert texts_of(answer.json()) == ["mine"]
        refused = await client.get("/v1/search?before=secret4")
        assert (refused.status, refused.code) == (422, "invalid_cursor")


async def test_words_are_found_wherever_they_stand_in_upper_and_lower_case() -> None:
    async with open_test_server() as server:
        parts = (
            Part(kind=PartKind.TEXT, text="The build BROKE, straße"),
            Part(kind=PartKind.FILE, url="https://example.com/Logs/one", filename="Trace.txt"),
            Part(kind=PartKind.DATA, data={"hidden": "needle"}),
        )
        await post(server.app, attrs.evolve(room_message(), parts=parts))
        await post(server.app, room_message("nothing"))
        client = http_client(server)
        for text in ("broke", "build broke", "broke the", '"build broke"', "STRASSE", "logs", "trace.TXT", "http", ""):
            assert "The build BROKE, straße" in await search_all(client, text=text), text
        for text in ('"broke build"', "needle", "broken", "build nothing"):
            assert await search_all(client, text=text) == [], text
        many = await client.get(f"/v1/search?text={quote(' '.join(map(str, range(17))))}")
        assert (many.status, many.json()["problems"][0]["path"]) == (422, "$.text")


async def test_one_conversation_is_searched(server: TestServer) -> None:
    await post(server.app, thread_message("t1", "in a thread"))
    await post(server.app, direct_message("d1", "alpha", "beta", text="between us"))
    client = http_client(server)
    assert await search_all(client, room_id="other") == [f"other {number}" for number in range(9, -1, -1)]
    assert await search_all(client, thread_id="t1") == ["in a thread"]
    assert await search_all(client, dm_id="d1") == ["between us"]
    assert await search_all(client, text="thread") == ["in a thread"]
    for missing in ("room_id=nowhere", "thread_id=nowhere", "dm_id=nowhere"):
        assert (await client.get(f"/v1/search?{missing}")).status == 404
    await remove_room(server.app.context, "other")
    assert await search_all(client, text="other") == []


async def test_what_one_actor_said_is_found(server: TestServer) -> None:
    client = http_client(server)
    assert len(await search_all(client, _from="beta")) == 10
    assert await search_all(client, _from="molt://lab/agents/beta", text="3") == ["other 3"]
    assert await search_all(client, _from="net_b:beta") == []


async def test_a_span_of_time_is_searched_without_looking_at_what_is_newer(server: TestServer) -> None:
    client = http_client(server)
    said = (await client.get("/v1/rooms/general/messages")).json()["messages"]
    fourth, seventh = said[4]["created_at"], said[7]["created_at"]
    found = await search(client, since=fourth, until=seventh, room_id="general")
    assert texts_of(found) == ["Word 6", "Word 5", "Word 4"]
    assert found["looked_at"] == 3
    assert found["searched_to"] == fourth
    assert texts_of(await search(client, until=said[0]["created_at"])) == []
    later = (parse_timestamp(seventh) + timedelta(days=1)).astimezone().isoformat()
    assert len(texts_of(await search(client, until=later))) == 20
    assert await search_all(client, since=later) == []
    for bad in (
        "since=yesterday",
        "until=2026-11-20",
        "since=2026-11-20T12:00:00",
        "until=0001-01-01T00:00:00%2B23:00",
    ):
        answer = await client.get(f"/v1/search?{bad}")
        assert (answer.status, answer.code) == (422, "invalid_field"), bad


@pytest.mark.parametrize("limit", [1, 3, 10, 500])
async def test_pages_follow_each_other_without_gap_or_repeat(server: TestServer, limit: int) -> None:
    client = http_client(server)
    assert await search_all(client, limit=limit, text="word") == [f"Word {number}" for number in range(9, -1, -1)]
    assert len(await search_all(client, limit=limit)) == 20
    assert await search_all(client, limit=limit, text="word", before="m3") == ["Word 2", "Word 1", "Word 0"]
    for cursor in ("nothing", "no id", "@", "@x"):
        answer = await client.get(f"/v1/search?before={quote(cursor)}")
        assert (answer.status, answer.code) == (422, "invalid_cursor"), cursor


@pytest.mark.parametrize(("piece", "most"), [(3, 4), (1, 1), (256, 7)])
async def test_a_request_looks_at_a_bounded_number_and_says_how_far_it_came(
    server: TestServer, piece: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "SEARCH_PIECE_MESSAGES", piece)
    monkeypatch.setattr(limits, "MAX_MESSAGES_LOOKED_AT", most)
    client = http_client(server)
    found = await search(client, text='"word 0"')
    assert (found["messages"], found["looked_at"], found["page"]["has_more"]) == ([], most, True)
    assert await search_all(client, text='"word 0"') == ["Word 0"]


async def test_a_page_is_cut_before_it_is_too_large(server: TestServer) -> None:
    for number in range(5):
        await post(server.app, room_message(f"large {number}" + "x" * 400_000))
    client = http_client(server)
    assert len((await client.get("/v1/search?text=large")).body) < MAX_PAGE_BYTES + 4096
    assert [text[:7] for text in await search_all(client, text="large")] == [
        f"large {each}" for each in range(4, -1, -1)
    ]


async def test_direct_conversations_that_are_switched_off_are_not_searched() -> None:
    rooms = [room("public", "alpha", visibility=Visibility.PUBLIC)]
    async with open_test_server(network_config(rooms=rooms)) as server:
        await post(server.app, direct_message("d1", "alpha", "beta", text="between us"))
        policy = attrs.evolve(server.app.context.policy, direct_messages=False)
        server.app.context.terms = attrs.evolve(server.app.context.terms, policy=policy)
        client = http_client(server)
        assert await search_all(client, text="between") == []
        assert (await client.get("/v1/search?dm_id=d1")).code == "direct_messages_disabled"
