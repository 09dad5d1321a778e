"""Pages from the middle of a conversation: around a message, and from a moment on."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import pytest

from moltnet.config.settings import AuthMode
from moltnet.protocol.times import format_timestamp
from moltnet.storage.limits import MAX_PAGE_BYTES
from tests.fakes.faulty_store import FaultyStore
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
from tests.http.test_events import TOKENS

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CONVERSATIONS = {"m": "/v1/rooms/general", "t": "/v1/threads/thread", "d": "/v1/dms/direct"}


@attrs.define
class Clock:
    """Stands still until it is set."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[TestServer]:
    """Ten messages in each of three conversations, one of each every hour from noon on."""
    clock = Clock()
    rooms = [room("general", "alpha", "beta"), room("quiet", "alpha")]
    config = network_config(rooms=rooms, sqlite_path=tmp_path / "moltnet.db")
    async with open_test_server(config, clock=clock) as server:
        for number in range(10):
            await post(server.app, room_message(message_id=f"m{number}"))
            await post(server.app, thread_message("thread", message_id=f"t{number}"))
            await post(server.app, direct_message("direct", "alpha", "beta", message_id=f"d{number}"))
            clock.now += timedelta(hours=1)
        yield server


async def page(client: HttpClient, target: str) -> tuple[list[str], Any]:
    answer = await client.get(target)
    assert answer.status == 200, answer.body
    return [message["id"] for message in answer.json()["messages"]], answer.json()["page"]


def moment(hours: float) -> str:
    return quote(format_timestamp(NOON + timedelta(hours=hours)))


@pytest.mark.parametrize(("letter", "path"), CONVERSATIONS.items())
class TestAroundAMessage:
    async def test_it_stands_in_the_middle(self, server: TestServer, letter: str, path: str) -> None:
        client = http_client(server)
        ids = [f"{letter}{number}" for number in range(10)]
        assert await page(client, f"{path}/messages?around={letter}5&limit=5") == (
            ids[3:8],
            {"has_more": True, "next_before": ids[3], "next_after": ids[7]},
        )
        assert await page(client, f"{path}/messages?around={letter}5&limit=4") == (
            ids[3:7],
            {"has_more": True, "next_before": ids[3], "next_after": ids[6]},
        )
        assert (await page(client, f"{path}/messages?around={letter}5&limit=1"))[0] == ids[5:6]
        assert await page(client, f"{path}/messages?around={letter}5") == (ids, {"has_more": False})

    async def test_near_an_end_there_is_more_of_the_other_side(
        self, server: TestServer, letter: str, path: str
    ) -> None:
        client = http_client(server)
        ids = [f"{letter}{number}" for number in range(10)]
        first = await page(client, f"{path}/messages?around={letter}0&limit=4")
        assert first == (ids[:4], {"has_more": True, "next_after": ids[3]})
        last = await page(client, f"{path}/messages?around={letter}9&limit=4")
        assert last == (ids[6:], {"has_more": True, "next_before": ids[6]})
        assert (await page(client, f"{path}/messages?after={ids[3]}&limit=500"))[0] == ids[4:]

    async def test_one_of_another_conversation_is_refused(self, server: TestServer, letter: str, path: str) -> None:
        for other in {"m1", "t1", "d1", "nothing"} - {f"{letter}1"}:
            answer = await http_client(server).get(f"{path}/messages?around={other}")
            assert (answer.status, answer.code) == (422, "invalid_cursor")
            assert answer.json()["problems"][0]["path"] == "$.around"

    async def test_a_page_from_a_moment_on(self, server: TestServer, letter: str, path: str) -> None:
        client = http_client(server)
        ids = [f"{letter}{number}" for number in range(10)]
        for hours in (3, 2.5, 2.0001):
            assert await page(client, f"{path}/messages?at={moment(hours)}&limit=2") == (
                ids[3:5],
                {"has_more": True, "next_before": ids[3], "next_after": ids[4]},
            )
        everything = (ids, {"has_more": False})
        assert await page(client, f"{path}/messages?at={moment(-100)}") == everything
        assert await page(client, f"{path}/messages?at={moment(9)}") == (
            ids[9:],
            {"has_more": True, "next_before": ids[9]},
        )
        assert await page(client, f"{path}/messages?at={moment(9.1)}") == ([], {"has_more": False})


async def test_a_conversation_without_messages_has_none_at_any_time(server: TestServer) -> None:
    assert await page(http_client(server), f"/v1/rooms/quiet/messages?at={moment(0)}") == ([], {"has_more": False})


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("around=m1&before=m2", "invalid_cursor"),
        ("around=m1&after=m2", "invalid_cursor"),
        ("at=2026-11-20T12:00:00Z&after=m2", "invalid_cursor"),
        ("at=2026-11-20T12:00:00Z&around=m2", "invalid_cursor"),
        ("around=no%20id", "invalid_cursor"),
        ("at=noon", "invalid_field"),
        ("at=2026-11-20T12:00:00", "invalid_field"),
    ],
)
async def test_what_makes_no_sense_is_refused(server: TestServer, query: str, code: str) -> None:
    for path in CONVERSATIONS.values():
        answer = await http_client(server).get(f"{path}/messages?{query}")
        assert (answer.status, answer.code) == (422, code)


async def test_it_is_cut_before_it_is_too_large(server: TestServer) -> None:
    for number in range(5):
        await post(server.app, room_message("x" * 400_000, message_id=f"large{number}"))
    client = http_client(server)
    answer = await client.get("/v1/rooms/general/messages?around=large2")
    assert len(answer.body) < MAX_PAGE_BYTES + 4096
    ids, info = await page(client, "/v1/rooms/general/messages?around=large2")
    assert ids == ["large1", "large2"]
    assert info == {"has_more": True, "next_before": "large1", "next_after": "large2"}


async def test_who_may_not_read_the_conversation_gets_nothing_of_it() -> None:
    config = network_config(mode=AuthMode.BEARER, tokens=TOKENS, rooms=[room("theirs", "beta")])
    async with open_test_server(config) as server:
        for query in ("around=m1", f"at={moment(0)}"):
            answer = await http_client(server, "alpha").get(f"/v1/rooms/theirs/messages?{query}")
            assert (answer.status, answer.code) == (403, "not_readable")


async def test_a_moment_is_found_without_reading_everything() -> None:
    store, clock = FaultyStore(), Clock()
    async with open_test_server(store=store, clock=clock) as server:
        for number in range(500):
            clock.now += timedelta(seconds=1)
            await post(server.app, room_message(message_id=f"m{number}"))
        store.read_count = 0
        ids, _ = await page(http_client(server), f"/v1/rooms/general/messages?limit=1&at={moment(100 / 3600)}")
        assert ids == ["m99"]
        assert store.read_count <= 15
