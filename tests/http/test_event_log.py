"""The log of events as a list: who sees what of it, and how it is read page by page."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from moltnet.config.settings import AuthMode
from moltnet.core.agents import remove_agent
from moltnet.protocol import limits
from moltnet.protocol.rooms import Visibility
from moltnet.protocol.times import utc_now
from moltnet.storage.commands import Prune
from moltnet.storage.limits import MAX_PAGE_BYTES
from tests.fakes.credentials import static
from tests.fakes.http_client import HttpClient, http_client
from tests.fakes.network import (
    TestServer,
    direct_message,
    network_config,
    open_test_server,
    post,
    post_texts,
    room,
    room_message,
    thread_message,
    token,
)
from tests.http.test_events import ROOMS, SAID, STREAMS, TOKENS

WORDS = [f"word {number}" for number in range(10)]


def texts_of(events: Sequence[Any]) -> list[str]:
    return [event["message"]["parts"][0]["text"] for event in events if event["type"] == "message.created"]


async def read_all(client: HttpClient, query: str, direction: str, cursor: str = "") -> list[Any]:
    """All pages in one direction, put together in the order of the log."""
    events: list[Any] = []
    while True:
        target = f"/v1/events?{query}" + (f"&{direction}={cursor}" if cursor else "")
        page = (await client.get(target)).json()
        events = page["events"] + events if direction == "before" else events + page["events"]
        if not page["page"]["has_more"]:
            assert page["page"] == {"has_more": False}
            return events
        cursor = page["page"][f"next_{direction}"]


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    """Ten messages after the event of the room."""
    async with open_test_server() as server:
        await post_texts(server.app, *WORDS)
        yield server


@pytest.mark.parametrize(("mode", "caller", "expected"), STREAMS)
async def test_it_shows_what_a_stream_would_have_shown(mode: AuthMode, caller: str, expected: Sequence[str]) -> None:
    config = network_config(mode=mode, tokens=TOKENS if mode is not AuthMode.NONE else (), rooms=ROOMS)
    async with open_test_server(config) as server:
        for message in SAID.values():
            await post(server.app, message, static("admin write"))
        listed = (await http_client(server, caller).get("/v1/events")).json()["events"]
        assert texts_of(listed) == expected
        async with http_client(server, caller).stream_events(last_event_id="evt_unknown") as source:
            assert (await source.next_of("stream.replay_gap")).type
            for event in listed:
                streamed = await source.next_event()
                assert streamed is not None
                assert streamed.event == event


@pytest.mark.parametrize(("caller", "status"), [("", 401), ("pair", 403)])
async def test_who_may_read_nothing_gets_no_list(caller: str, status: int) -> None:
    config = network_config(mode=AuthMode.BEARER, tokens=TOKENS, rooms=ROOMS)
    async with open_test_server(config) as server:
        assert (await http_client(server, caller).get("/v1/events")).status == status


@pytest.mark.parametrize("limit", [1, 3, 10, 11, 12])
async def test_it_is_read_from_both_ends_without_gap_or_repeat(server: TestServer, limit: int) -> None:
    client = http_client(server)
    whole = await read_all(client, f"limit={limit}", "before")
    assert [event["type"] for event in whole] == ["room.created", *["message.created"] * 10]
    assert texts_of(whole) == WORDS
    assert await read_all(client, f"limit={limit}", "after", whole[0]["id"]) == whole[1:]
    assert await read_all(client, f"limit={limit}", "before", whole[-1]["id"]) == whole[:-1]


async def test_a_page_before_the_first_and_after_the_last_is_empty(server: TestServer) -> None:
    client = http_client(server)
    whole = (await client.get("/v1/events")).json()["events"]
    for query in (f"before={whole[0]['id']}", f"after={whole[-1]['id']}"):
        assert (await client.get(f"/v1/events?{query}")).json() == {"events": [], "page": {"has_more": False}}


@pytest.mark.parametrize("direction", ["before", "after"])
async def test_an_event_that_is_not_kept_is_no_cursor(server: TestServer, direction: str) -> None:
    answer = await http_client(server).get(f"/v1/events?{direction}=evt_forgotten")
    assert (answer.status, answer.code) == (422, "invalid_cursor")


async def test_what_was_pruned_is_not_missed(server: TestServer) -> None:
    journal = server.app.context.journal
    await journal.commit(Prune(utc_now() + timedelta(seconds=1), None, 5))
    client = http_client(server)
    assert texts_of(await read_all(client, "limit=2", "before")) == WORDS[4:]
    assert texts_of((await client.get("/v1/events?limit=6")).json()["events"]) == WORDS[4:]


async def test_events_are_chosen_by_type_room_and_agent() -> None:
    rooms = [room("one", "alpha", "beta"), room("two", "beta", visibility=Visibility.PUBLIC)]
    config = network_config(mode=AuthMode.BEARER, tokens=[token("admin", "admin write observe")], rooms=rooms)
    operator = static("admin write", token_id="admin")
    async with open_test_server(config) as server:
        client = http_client(server, "admin")
        assert (await client.post("/v1/agents/register", {"requested_agent_id": "alpha"})).status == 201
        for message in (
            room_message("from alpha", room="one"),
            room_message("from beta", room="one", sender="beta"),
            room_message("to alpha", room="one", sender="beta", mentions=["alpha"]),
            room_message("elsewhere", room="two", sender="beta"),
            thread_message("t", "in a thread", room="two", sender="beta"),
            direct_message("d", "alpha", "beta", text="between us", sender="beta"),
        ):
            await post(server.app, message, operator)
        await remove_agent(server.app.context, "alpha")

        async def chosen(query: str) -> list[str]:
            events = (await client.get(f"/v1/events?{query}")).json()["events"]
            return [next(iter(texts_of([event])), event["type"]) for event in events]

        assert await chosen("type=message.created&room_id=two") == ["elsewhere", "in a thread"]
        assert await chosen("type=room&room_id=two") == ["room.created"]
        assert await chosen("type=message.created.") == []
        assert await chosen("type=mess") == []
        about_alpha = ["from alpha", "to alpha", "between us", "agent.removed"]
        assert [each for each in await chosen("agent_id=alpha") if not each.startswith("dm.")] == about_alpha
        assert await chosen("agent_id=molt%3A%2F%2Flab%2Fagents%2Falpha&type=agent") == ["agent.removed"]
        assert await chosen("agent_id=net_b:alpha") == []


@pytest.mark.parametrize("direction", ["before", "after"])
async def test_a_request_looks_at_a_bounded_number_and_says_where_to_go_on(
    server: TestServer, direction: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REPLAY_PAGE_EVENTS", 2)
    monkeypatch.setattr(limits, "MAX_EVENTS_LOOKED_AT", 4)
    client = http_client(server)
    whole = await read_all(client, "", "before")
    start = "" if direction == "before" else f"&after={whole[0]['id']}"
    first = (await client.get(f"/v1/events?type=room{start}")).json()
    assert first["events"] == []
    assert first["page"]["has_more"]
    found = await read_all(client, "type=room", direction, first["page"][f"next_{direction}"])
    assert [event["type"] for event in found] == (["room.created"] if direction == "before" else [])
    assert await read_all(client, "limit=3", "before") == whole


@pytest.mark.parametrize("piece", [1, 2, 256])
async def test_large_events_are_handed_out_as_few_as_fit(
    server: TestServer, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REPLAY_PAGE_EVENTS", piece)
    sizes = (500_000, 1_040_000, 1_040_000, 10, 500_000, 500_000, 500_000)
    texts = [f"{number}" + "x" * size for number, size in enumerate(sizes)]
    await post_texts(server.app, *texts)
    client = http_client(server)
    for event in ("", (await client.get("/v1/events?limit=1")).json()["events"][0]["id"]):
        page = (await client.get(f"/v1/events?{f'before={event}' if event else ''}")).body
        assert len(page) < MAX_PAGE_BYTES + 4096
    assert texts_of(await read_all(client, "", "before")) == [*WORDS, *texts]
    first = (await client.get("/v1/events?type=room")).json()["events"][0]["id"]
    assert texts_of(await read_all(client, "", "after", first)) == [*WORDS, *texts]
