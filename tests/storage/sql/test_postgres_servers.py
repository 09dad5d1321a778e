"""Several servers on one database: PostgreSQL is the store that they may share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import attrs
import pytest
import trio

from moltnet.config.secrets import Secret
from moltnet.config.settings import PostgresStorage, StorageKind, StorageSettings
from moltnet.storage.commands import RecordEvents
from moltnet.storage.limits import MAX_NEWS_EVENTS, MAX_REPLAY_BYTES
from moltnet.storage.sql.postgres import feed
from moltnet.storage.sql.postgres.store import open_postgres
from moltnet.storage.store import Store
from tests.contracts.store_messages import wake
from tests.contracts.store_shared import OpenStore, SharedContract
from tests.fakes.attach_client import attach, open_wire
from tests.fakes.http_client import http_client
from tests.fakes.network import TestServer, network_config, open_test_server, room_message, wait_until
from tests.storage.examples import NETWORK, create_room, post, register


@pytest.fixture
def open_another(postgres_dsn: str) -> OpenStore:
    return partial(open_postgres, postgres_dsn, NETWORK)


@pytest.fixture
async def first(open_another: OpenStore) -> AsyncIterator[Store]:
    async with open_another() as store:
        yield store


@pytest.fixture
async def second(open_another: OpenStore, first: Store) -> AsyncIterator[Store]:
    async with open_another() as store:
        yield store


class TestTwoServers(SharedContract):
    """Both in one process: they share nothing but the database."""

    async def test_who_was_away_for_long_gets_the_newest_and_finds_the_rest(self, first: Store, second: Store) -> None:
        count = MAX_NEWS_EVENTS + 500
        await first.commit([create_room(), register("alpha", "key1")])
        await first.commit([RecordEvents(tuple(wake(f"evt_{number}") for number in range(count)))])
        news = await second.commit([post("m1")])
        seqs = [record.seq for record in news.records]
        assert seqs == list(range(count + 1 - MAX_NEWS_EVENTS + 1, count + 3))
        assert [agent.id for agent in news.agents] == ["alpha"]
        assert [record.seq for record in await second.events_after(0, 10)] == list(range(1, 11))

    async def test_large_events_of_others_are_few_at_a_time(self, first: Store, second: Store) -> None:
        text = "x" * (MAX_REPLAY_BYTES // 4)
        await first.commit([create_room(), *(post(f"m{number}", text=text) for number in range(9))])
        news = await second.commit([])
        assert [record.message_id for record in news.records][-3:] == ["m6", "m7", "m8"]
        assert sum(len(record.wire) for record in news.records) <= MAX_REPLAY_BYTES + 2 * len(text)


@asynccontextmanager
async def open_two_servers(dsn: str) -> AsyncIterator[tuple[TestServer, TestServer]]:
    config = attrs.evolve(
        network_config(), storage=StorageSettings(StorageKind.POSTGRES, postgres=PostgresStorage(Secret(dsn)))
    )
    async with open_test_server(config) as one, open_test_server(config) as other:
        yield one, other


class TestOneNetworkOnTwoServers:
    async def test_a_message_to_one_reaches_the_readers_of_the_other(self, postgres_dsn: str) -> None:
        async with (
            open_two_servers(postgres_dsn) as (one, other),
            http_client(other).stream_events() as stream,
            open_wire(other.app) as wire,
        ):
            beta = await attach(wire, "beta")
            with trio.fail_after(30):
                for text in ("first", "second"):
                    assert (await http_client(one).post("/v1/messages", room_message(text))).status == 202
                assert [(await stream.next_of("message.created")).text for _ in range(2)] == ["first", "second"]
                assert await beta.next_texts(2) == ["first", "second"]
            page = await http_client(other).get("/v1/rooms/general/messages")
            assert [message["parts"][0]["text"] for message in page.json()["messages"]] == ["first", "second"]

    async def test_events_of_both_have_one_order_on_both(self, postgres_dsn: str) -> None:
        async with open_two_servers(postgres_dsn) as (one, other):

            async def send(server: TestServer, name: str) -> None:
                for number in range(10):
                    sent = await http_client(server).post("/v1/messages", room_message(f"{name}{number}"))
                    assert sent.status == 202

            async with http_client(one).stream_events() as here, http_client(other).stream_events() as there:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(send, one, "one")
                    nursery.start_soon(send, other, "other")
                with trio.fail_after(30):
                    seen_here = [(await here.next_of("message.created")).id for _ in range(20)]
                    seen_there = [(await there.next_of("message.created")).id for _ in range(20)]
            assert seen_here == seen_there
            assert len(set(seen_here)) == 20

    async def test_a_room_made_on_one_is_known_to_the_other(self, postgres_dsn: str) -> None:
        async with open_two_servers(postgres_dsn) as (one, other):
            made = await http_client(one).post("/v1/rooms", {"id": "new", "name": "New", "members": ["alpha"]})
            assert made.status == 201
            await wait_until(lambda: other.app.context.directory.room("new") is not None)
            sent = await http_client(other).post("/v1/messages", room_message("hello", room="new"))
            assert sent.status == 202
            await wait_until(lambda: one.app.broker.newest_seq == other.app.broker.newest_seq)

    async def test_readers_miss_nothing_of_what_was_too_much_to_be_told(
        self, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(feed, "MAX_NEWS_EVENTS", 3)
        async with (
            open_two_servers(postgres_dsn) as (one, other),
            http_client(other).stream_events() as stream,
            open_wire(other.app) as wire,
        ):
            beta = await attach(wire, "beta")
            texts = [f"text{number}" for number in range(20)]
            await one.app.context.store.commit([post(f"m{text}", text=text) for text in texts])
            with trio.fail_after(30):
                assert [(await stream.next_of("message.created")).text for _ in texts] == texts
                assert await beta.next_texts(20) == texts

    async def test_a_cursor_of_one_is_a_cursor_of_the_other(self, postgres_dsn: str) -> None:
        async with open_two_servers(postgres_dsn) as (one, other):
            sent = [await http_client(one).post("/v1/messages", room_message(text)) for text in ("a", "b", "c")]
            cursor = sent[0].json()["event_id"]
            async with http_client(other).stream_events(last_event_id=cursor) as stream:
                assert [(await stream.next_of("message.created")).text for _ in range(2)] == ["b", "c"]
