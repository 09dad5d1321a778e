"""Storage where the reference implementation is weak: what this one does instead.

Which weakness each test is about stands in `test_completeness`.
"""

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from moltnet.config.settings import AuthMode
from moltnet.protocol.rooms import Visibility
from moltnet.retention import Retention, prune_old
from moltnet.storage.factory import SQLITE
from moltnet.storage.sql.sqlite import SqliteStore
from moltnet.storage.store import SchemaUnsupported, Store, StoreInUse
from tests.fakes.attach_client import attach, open_websocket_wire
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.homes import Home
from tests.fakes.http_client import HttpClient, http_client
from tests.fakes.network import event_types, network_config, post_texts, room, token
from tests.weaknesses.bodies import agent, in_direct, in_thread, said


@pytest.fixture
def sqlite_home(tmp_path: Path) -> Home:
    return Home(SQLITE, tmp_path)


async def test_events_and_wakes_are_there_after_a_restart(home: Home) -> None:
    async with home.serve() as server:
        async with open_websocket_wire(server.url) as wire:
            beta = await attach(wire, "beta")
            await post_texts(server.app, "settled", "not settled")
            settled = await beta.next_of("message.created")
            await beta.ack(settled)
            assert await beta.next_texts(1, ack=False) == ["not settled"]
        types = await event_types(server.app)
    async with home.serve() as server, open_websocket_wire(server.url) as wire:
        assert (await event_types(server.app))[: len(types)] == types
        beta = await attach(wire, "beta", cursor=settled.cursor)
        assert await beta.next_texts(1) == ["not settled"]


async def test_two_servers_never_share_one_database_file(sqlite_home: Home) -> None:
    async with sqlite_home.serve() as server:
        with pytest.RaisesGroup(StoreInUse, allow_unwrapped=True, flatten_subgroups=True):
            async with sqlite_home.serve():
                raise AssertionError("two servers on one file")
        assert (await http_client(server).get("/readyz")).status == 200


async def test_order_survives_a_clock_that_steps_back_and_a_restart(home: Home) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    texts = []
    for number, seconds in enumerate((10, 0.1, 0.12, 0.12, -5)):

        def clock(now: datetime = start + timedelta(seconds=seconds)) -> datetime:
            return now

        async with home.serve(clock=clock) as server:
            texts.append(f"message {number}")
            await http_client(server).post("/v1/messages", said(texts[-1]))
    async with home.serve() as server:
        client = http_client(server)
        found = (await client.get("/v1/rooms/general/messages")).json()["messages"]
        assert [message["parts"][0]["text"] for message in found] == texts
        after = (await client.get(f"/v1/rooms/general/messages?after={found[1]['id']}")).json()["messages"]
        assert after == found[2:]


async def test_every_connection_has_its_settings(sqlite_home: Home) -> None:
    async with sqlite_home.open_store() as store:
        assert isinstance(store, SqliteStore)
        writer, readers = store.database.writer, store.database.readers
        for connection in (writer, *readers):
            assert pragma(connection, "foreign_keys") == 1
            assert pragma(connection, "journal_mode") == "wal"
            assert pragma(connection, "busy_timeout") > 0
        assert pragma(writer, "synchronous") == 2  # FULL


def pragma(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


async def test_reading_goes_on_while_a_write_waits(sqlite_home: Home) -> None:
    async with sqlite_home.serve() as server, trio.open_nursery() as nursery:
        client = http_client(server)
        await post_texts(server.app, "before")
        with closing(sqlite3.connect(sqlite_home.database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            nursery.start_soon(post_texts, server.app, "waits")
            await trio.testing.wait_all_tasks_blocked()
            found = (await client.get("/v1/rooms/general/messages")).json()["messages"]
            assert len(found) == 1
            assert (await client.get("/v1/rooms")).status == 200
            other.execute("ROLLBACK")
    async with sqlite_home.serve() as server:
        assert len((await http_client(server).get("/v1/rooms/general/messages")).json()["messages"]) == 2


async def test_a_directory_keeps_its_mode_and_the_files_in_it_are_private(sqlite_home: Home) -> None:
    directory = sqlite_home.database.parent
    directory.mkdir(mode=0o755)
    directory.chmod(0o755)
    async with sqlite_home.serve() as server:
        await post_texts(server.app, "hello")
        files = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
    assert directory.stat().st_mode & 0o777 == 0o755
    assert len(files) >= 3  # the database, its log, the log's index
    assert set(files.values()) == {0o600}


async def test_looking_up_rooms_agents_and_mentions_reads_nothing_from_the_store(home: Home) -> None:
    opened: list[FaultyStore] = []

    def counted(store: Store) -> Store:
        opened.append(FaultyStore(store))
        return opened[0]

    rooms = [room("general", "alpha", "beta"), *(room(f"r{number}", f"a{number}") for number in range(50))]
    async with home.serve(network_config(rooms=rooms), wrap=counted) as server:
        client = http_client(server)
        opened[0].read_count = 0
        for target in ("/v1/rooms", "/v1/rooms/r7", "/v1/agents", "/v1/agents/a7", "/v1/network"):
            assert (await client.get(target)).status == 200
        assert (await client.post("/v1/messages", said("@beta @a7 look"))).status == 202
        assert opened[0].read_count == 0


async def test_a_removed_room_comes_back_with_its_messages(home: Home) -> None:
    async with home.serve(network_config(rooms=[room("general"), room("kept", "alpha")])) as server:
        client = http_client(server)
        await client.post("/v1/messages", said("old", target={"kind": "room", "room_id": "kept"}))
        assert (await client.delete("/v1/rooms/kept")).status == 200
        assert (await client.post("/v1/rooms/kept/restore", {"members": ["beta"]})).status == 200
        found = (await client.get("/v1/rooms/kept/messages")).json()["messages"]
        assert [message["parts"][0]["text"] for message in found] == ["old"]
        assert (await client.get("/v1/rooms/kept")).json()["members"] == ["beta"]


async def test_what_is_old_goes_for_good_and_the_rest_stays(home: Home) -> None:
    start, moved = datetime(2026, 1, 1, tzinfo=UTC), timedelta()

    def clock() -> datetime:
        return start + moved

    async with home.serve(clock=clock) as server:
        client, app = http_client(server), server.app
        assert (await client.post("/v1/messages", said("old", id="old"))).status == 202
        moved = timedelta(days=40)
        assert (await client.post("/v1/messages", said("new", id="new"))).status == 202
        keep = Retention(events=timedelta(days=7), messages=timedelta(days=30))
        await prune_old(app.context.journal, keep, clock, app.metrics.retention)
        found = (await client.get("/v1/rooms/general/messages")).json()["messages"]
        assert [message["id"] for message in found] == ["new"]
        assert await event_types(app) == ["message.created"]
        assert (await client.get("/v1/rooms/general")).json()["members"] == ["alpha", "beta"]


async def test_a_credential_that_owns_two_agents_speaks_for_both(home: Home) -> None:
    tokens = [token("pair-of-them", "attach write"), token("admin", "admin write")]
    config = network_config(mode=AuthMode.BEARER, tokens=tokens, rooms=[room("general", "alpha", "beta")])
    async with home.serve(config) as server:
        agents = [{"id": each, "credential_key": "token:pair-of-them"} for each in ("beta", "alpha")]
        assert (await http_client(server, "admin").post("/v1/apply", {"agents": agents})).status == 200
        both = http_client(server, "pair-of-them")
        for each in ("alpha", "beta"):
            assert (await both.post("/v1/messages", said(f"from {each}", sender=agent(each)))).status == 202
        found = (await both.get("/v1/rooms/general/messages")).json()["messages"]
        assert [message["from"]["id"] for message in found] == ["alpha", "beta"]


async def test_a_damaged_row_is_never_passed_over_in_silence(sqlite_home: Home) -> None:
    async with sqlite_home.serve() as server:
        cursor = (await server.app.context.store.event_bounds()).newest_id
        await post_texts(server.app, "one", "two", "three")
    with closing(sqlite3.connect(sqlite_home.database, isolation_level=None)) as other:
        other.execute("PRAGMA foreign_keys = OFF")
        other.execute("DELETE FROM messages WHERE seq = (SELECT max(seq) - 1 FROM messages)")
    async with sqlite_home.serve() as server, http_client(server).stream_events(last_event_id=cursor) as source:
        # The second event has lost its message: the stream ends there, it does not go on without it.
        texts = []
        while (event := await source.next_event()) is not None:
            texts.append(event.text)
        assert "three" not in texts
    with closing(sqlite3.connect(sqlite_home.database, isolation_level=None)) as other:
        other.execute("UPDATE rooms SET write_policy = 'nobody'")
    with pytest.raises(Exception, match="nobody"):
        async with sqlite_home.serve():
            raise AssertionError("started with a room that nobody understands")


async def test_a_database_of_a_newer_program_is_refused_and_left_alone(sqlite_home: Home) -> None:
    async with sqlite_home.serve():
        pass
    with closing(sqlite3.connect(sqlite_home.database, isolation_level=None)) as other:
        other.execute("INSERT INTO schema_migrations VALUES (9999, 'from the future', '')")
        before = list(other.iterdump())
    with pytest.raises(SchemaUnsupported):
        async with sqlite_home.serve():
            raise AssertionError("started with a schema that we do not know")
    with closing(sqlite3.connect(sqlite_home.database, isolation_level=None)) as other:
        assert list(other.iterdump()) == before


REQUESTS: Sequence[tuple[str, str, Any]] = [
    ("POST", "/v1/messages", said(id="m1")),
    ("POST", "/v1/messages", said("other", id="m1")),
    ("POST", "/v1/messages", said(id=" m2 ", target={"kind": "room", "room_id": " general "})),
    ("POST", "/v1/messages", said(target={"kind": "room", "room_id": "nowhere"})),
    ("POST", "/v1/messages", in_thread("t1", id="m3", parts=[{"kind": "url", "url": "https://example.com/"}])),
    ("POST", "/v1/messages", in_thread("t1", "nowhere")),
    ("POST", "/v1/messages", in_direct("d1", "alpha", "net_b:beta", id="m4")),
    ("POST", "/v1/messages", in_direct("d1", "alpha", "eve", sender=agent("eve"))),
    ("GET", "/v1/rooms/general/messages", None),
    ("GET", "/v1/rooms/general/messages?limit=1", None),
    ("GET", "/v1/rooms/general/messages?after=m2", None),
    ("GET", "/v1/rooms/general/messages?before=m2", None),
    ("GET", "/v1/rooms/general/messages?after=m3", None),
    ("GET", "/v1/rooms/general/messages?after=nothing", None),
    ("GET", "/v1/rooms/general/threads", None),
    ("GET", "/v1/rooms/general/threads?after=t1", None),
    ("GET", "/v1/rooms/general/threads?after=t2", None),
    ("GET", "/v1/threads/t1", None),
    ("GET", "/v1/threads/t1/messages?before=m3", None),
    ("GET", "/v1/artifacts?room_id=general", None),
    ("GET", "/v1/artifacts?thread_id=t1&limit=1", None),
    ("GET", "/v1/artifacts?dm_id=d1", None),
    ("GET", "/v1/artifacts?room_id=general&after=art_m1_0", None),
    ("GET", "/v1/dms", None),
    ("GET", "/v1/dms?before=d1", None),
    ("GET", "/v1/dms?before=d0", None),
    ("GET", "/v1/dms/d1", None),
    ("GET", "/v1/dms/d1/messages", None),
    ("DELETE", "/v1/rooms/general", None),
    ("GET", "/v1/threads/t1", None),
    ("GET", "/v1/artifacts?room_id=general", None),
    ("POST", "/v1/rooms", {"id": "general"}),
    ("POST", "/v1/rooms/general/restore", {"members": ["beta", " alpha "]}),
    ("GET", "/v1/rooms", None),
    ("GET", "/v1/agents", None),
    ("POST", "/v1/agents/register", {"requested_agent_id": "gamma", "name": "Gamma"}),
    ("GET", "/v1/agents?limit=1", None),
    ("DELETE", "/v1/agents/gamma", None),
]
# What is made anew each time.
VOLATILE = re.compile(r'"(?:request_id|created_at|updated_at|last_message_at|actor_uid|message_id|id)":"[^"]*"')


async def test_all_stores_give_the_same_answers_before_and_after_a_restart(home: Home, tmp_path: Path) -> None:
    config = network_config(rooms=[room("general", "alpha", "beta", visibility=Visibility.PUBLIC)])
    model = Home("memory", tmp_path)
    async with model.serve(config) as server:
        expected = [await answer_of(http_client(server), *request) for request in REQUESTS]
    reads = [request for request in REQUESTS if request[0] == "GET"]
    async with home.serve(config) as server:
        assert [await answer_of(http_client(server), *request) for request in REQUESTS] == expected
        reading = [await answer_of(http_client(server), *request) for request in reads]
    async with home.serve(config) as server:
        assert [await answer_of(http_client(server), *request) for request in reads] == reading


async def answer_of(client: HttpClient, method: str, target: str, body: Any) -> tuple[int, str]:
    answer = await client.request(method, target, body)
    return answer.status, VOLATILE.sub("", answer.body.decode())


async def test_a_disk_that_takes_no_writes_is_not_ready(sqlite_home: Home) -> None:
    async with sqlite_home.serve() as server:
        store, client = server.app.context.store, http_client(server)
        assert isinstance(store, SqliteStore)
        assert (await client.get("/readyz")).status == 200
        store.database.writer.execute("PRAGMA query_only = ON")
        ready, sent = await client.get("/readyz"), await client.post("/v1/messages", said())
        assert (ready.status, ready.code) == (503, "storage_full")
        assert (sent.status, sent.code) == (507, "storage_full")
        assert (await client.get("/healthz")).status == 200
        assert (await client.get("/v1/rooms/general/messages")).status == 200
        store.database.writer.execute("PRAGMA query_only = OFF")
        assert (await client.get("/readyz")).status == 200
