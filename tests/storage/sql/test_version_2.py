"""A database as the release with schema version 2 left it: everything is found, and the network goes on.

The dump was made by that release's own server, with clients that created, sent, attached and removed. Each release
leaves one like it; they are never edited.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from moltnet.protocol.artifacts import Artifact
from moltnet.protocol.codec import decode
from moltnet.protocol.events import Event
from moltnet.protocol.ids import DirectId, RoomId, ThreadId, event_id_of_message
from moltnet.protocol.messages import HUMAN, Message
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.rooms import Visibility, WritePolicy
from moltnet.storage.commands import MessageRepeated, RestoreRoom, RoomStored
from moltnet.storage.records import History
from moltnet.storage.sql.migrate import load_migrations, schema_version
from moltnet.storage.sql.sqlite import open_sqlite
from moltnet.storage.store import Store
from tests.fakes.network import NETWORK, network_config, open_test_app, post, room_message
from tests.storage.examples import at, direct_history, room_history, thread_history
from tests.storage.examples import post as append
from tests.storage.sql.raw import raw_connection, raw_value

VERSION_2 = Path(__file__).parent / "version_2.sql"


@pytest.fixture
def path(path: Path) -> Path:
    with raw_connection(path) as connection:
        connection.executescript(VERSION_2.read_text(encoding="utf-8"))
        assert schema_version(connection) == 2
    return path


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    async with open_sqlite(path, NETWORK) as opened:
        yield opened


async def message_ids(store: Store, history: History) -> list[str]:
    page = await store.message_page(history, PageRequest())
    return [decode(body, Message).id for body in page.items]


async def test_it_gets_the_newest_schema(store: Store, path: Path) -> None:
    assert raw_value(path, "SELECT max(version) FROM schema_migrations") == len(load_migrations("sqlite"))
    assert raw_value(path, "PRAGMA integrity_check") == "ok"
    assert raw_value(path, "SELECT count(*) FROM pragma_foreign_key_check") == 0


async def test_rooms_and_agents_are_found(store: Store) -> None:
    contents = await store.load_directory()
    assert [(each.room.id, each.room.members) for each in contents.rooms] == [
        ("general", ("alpha", "beta", "net_b:gamma")),
        ("hall", ("alpha",)),
        ("workshop", ("alpha", "beta")),
    ]
    general, hall, workshop = contents.rooms
    assert (hall.room.visibility, workshop.room.write_policy) == (Visibility.PUBLIC, WritePolicy.OPERATORS)
    assert (workshop.room.name, workshop.declaration) == ("The workshop", "")
    assert len(general.declaration) == 64
    assert [(agent.id, agent.credential_key, agent.registration.display_name) for agent in contents.agents] == [
        ("alpha", "token:alpha", "Alpha the first"),
        ("beta", "token:beta", ""),
        ("delta", "token:admin", "Delta"),
    ]
    assert (contents.sessions, contents.pair_networks) == ((), ())


async def test_conversations_are_found(store: Store) -> None:
    assert await message_ids(store, room_history()) == ["m1", "m2", "m10"]
    assert await message_ids(store, thread_history("t1")) == ["m3", "m4"]
    assert await message_ids(store, direct_history("d1")) == ["m5", "m6"]
    assert await message_ids(store, direct_history("d2")) == ["m7"]
    first = decode((await store.message_page(room_history(), PageRequest())).items[0], Message)
    assert first.parts[0].text == 'hello @beta, "quotes" \\ ünïcödé 🦞 line\nend'
    assert (first.sender.name, first.mentions) == ("Alpha the first", ("molt://lab/agents/beta",))
    threads, has_more = await store.threads(RoomId("general"), PageRequest())
    assert ([(each.id, each.parent_message_id, each.message_count) for each in threads], has_more) == (
        [("t1", "m1", 2)],
        False,
    )
    directs, _ = await store.directs(PageRequest(), None)
    assert [(each.id, each.participant_ids, each.message_count) for each in directs] == [
        ("d1", ("alpha", "beta"), 2),
        ("d2", ("delta", "net_b:gamma"), 1),
    ]


async def test_artifacts_are_found(store: Store) -> None:
    for history, expected in (
        (room_history(), ["art_m2_0", "art_m2_2", "art_m4_0"]),
        (thread_history("t1"), ["art_m4_0"]),
        (direct_history("d1"), ["art_m6_0"]),
    ):
        page = await store.artifact_page(history, PageRequest())
        assert [decode(body, Artifact).id for body in page.items] == expected


async def test_a_removed_room_is_hidden_and_comes_back_with_its_messages(store: Store) -> None:
    thread = await store.thread(ThreadId("t2"))
    assert thread is not None
    assert thread.room_id == "attic"
    (restored,) = (await store.commit([RestoreRoom(RoomId("attic"), ("beta",), at(0))])).outcomes
    assert isinstance(restored, RoomStored)
    assert (restored.room.members, restored.room.created_at) == (("beta",), "2026-11-20T09:00:05.12Z")
    assert await message_ids(store, room_history("attic")) == ["m8"]


async def test_the_whole_log_can_be_replayed(store: Store) -> None:
    records = await store.events_after(0, 1000)
    assert [record.seq for record in records] == list(range(1, 25))
    for record in records:
        event = decode(record.wire, Event)
        assert (event.id, event.type, event.created_at) == (record.id, record.type, record.created_at)
        assert await store.event_seq(record.id) == record.seq
    types = [record.type for record in records]
    assert types[3:6] == ["room.created", "room.members.updated", "agent.removed"]
    assert types[-5:] == [
        "room.removed",
        "agent.connected",
        "message.created",
        "agent.wake.delivered",
        "agent.disconnected",
    ]
    by_message = {record.message_id: record for record in records if record.type == "message.created"}
    assert list(by_message) == [f"m{number}" for number in range(1, 11)]
    assert all(record.id == event_id_of_message(message_id) for message_id, record in by_message.items())


async def test_the_next_message_goes_on(store: Store) -> None:
    committed = await store.commit([append("next"), append("m1", text="other")])
    assert [record.seq for record in committed.records] == [25]
    assert committed.outcomes[1] == MessageRepeated(event_id_of_message("m1"), same=False)
    assert await message_ids(store, room_history()) == ["m1", "m2", "m10", "next"]


async def test_a_server_serves_it(path: Path) -> None:
    async with open_test_app(network_config(sqlite_path=path)) as app:
        accepted = await post(app, room_message("hello", message_id="next", sender="operator", sender_type=HUMAN))
        assert accepted.event_id == event_id_of_message("next")
        assert set(app.context.directory.room_ids()) == {"general", "hall", "workshop"}
        assert await app.context.store.direct(DirectId("d1")) is not None
