"""What the previous release left behind opens: databases and a file, each with a little of everything in it.

They were made by that release's own server, with clients that created, sent, attached and removed. Each release leaves
some like them; they are never edited. `sql/test_version_2` is about an older one.
"""

import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import attrs
import pytest

from moltnet.config.secrets import Secret
from moltnet.config.settings import FileStorage, PostgresStorage, StorageKind, StorageSettings
from moltnet.protocol.artifacts import Artifact
from moltnet.protocol.codec import decode
from moltnet.protocol.events import Event, EventType
from moltnet.protocol.ids import AgentId, DirectId, RoomId, ThreadId, event_id_of_message
from moltnet.protocol.messages import HUMAN, Message
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.rooms import Visibility, WritePolicy
from moltnet.storage.backup.transfer import restore_backup
from moltnet.storage.commands import MessageRepeated, RestoreRoom, RoomStored
from moltnet.storage.factory import open_store
from moltnet.storage.records import EventRecord, History
from moltnet.storage.sql.migrate import load_migrations, schema_version
from moltnet.storage.store import Store
from tests.fakes.network import NETWORK, network_config, open_test_app, post, room_message
from tests.fakes.postgres import PostgresServer
from tests.storage.backup.places import KINDS, place_in, silent
from tests.storage.crashes import whole_log
from tests.storage.examples import at, direct_history, room_history, thread_history
from tests.storage.examples import post as append
from tests.storage.sql.raw import raw_connection, raw_value

HERE = Path(__file__).parent
SQLITE = HERE / "sql" / "version_4.sql"
POSTGRES = HERE / "sql" / "postgres_version_2.sql"
JSON = HERE / "snapshot_version_1.json"
BACKUP = HERE / "backup" / "version_1.backup"


@pytest.fixture(params=[StorageKind.SQLITE, StorageKind.POSTGRES, StorageKind.JSON])
def left_behind(request: pytest.FixtureRequest, tmp_path: Path) -> StorageSettings:
    """The storage of a server that is upgraded now."""
    match request.param:
        case StorageKind.SQLITE:
            path = tmp_path / "moltnet.db"
            with raw_connection(path) as connection:
                connection.executescript(SQLITE.read_text(encoding="utf-8"))
                assert schema_version(connection) == 4
            return StorageSettings(StorageKind.SQLITE, FileStorage(path))
        case StorageKind.POSTGRES:
            server: PostgresServer = request.getfixturevalue("postgres_server")
            database: str = request.getfixturevalue("postgres_database")
            server.sql(POSTGRES.read_text(encoding="utf-8"), database)
            assert server.sql("SELECT max(version) FROM moltnet_migrations", database) == "2"
            return StorageSettings(StorageKind.POSTGRES, postgres=PostgresStorage(Secret(server.dsn(database))))
        case _:
            path = tmp_path / "moltnet.json"
            shutil.copyfile(JSON, path)
            return StorageSettings(StorageKind.JSON, json=FileStorage(path))


@pytest.fixture
async def store(left_behind: StorageSettings) -> AsyncIterator[Store]:
    sqlite, json, postgres = left_behind.sqlite, left_behind.json, left_behind.postgres
    async with open_store(
        left_behind.kind,
        sqlite_path=None if sqlite is None else sqlite.path,
        json_path=None if json is None else json.path,
        postgres_dsn=None if postgres is None else postgres.dsn,
        network_id=NETWORK,
    ) as opened:
        yield opened


async def message_ids(store: Store, history: History) -> list[str]:
    page = await store.message_page(history, PageRequest())
    return [decode(body, Message).id for body in page.items]


async def test_rooms_agents_and_credentials_are_found(store: Store) -> None:
    contents = await store.load_directory()
    assert sorted((each.room.id, each.room.members) for each in contents.rooms) == [
        ("general", ("alpha", "beta", "net_b:gamma")),
        ("hall", ("alpha",)),
        ("workshop", ("alpha",)),
    ]
    rooms = {each.room.id: each for each in contents.rooms}
    hall, workshop = rooms[RoomId("hall")], rooms[RoomId("workshop")]
    assert (hall.room.visibility, hall.room.write_policy) == (Visibility.PUBLIC, WritePolicy.REGISTERED_AGENTS)
    assert (workshop.room.name, workshop.room.write_policy) == ("The workshop", WritePolicy.OPERATORS)
    assert (len(hall.declaration), workshop.declaration) == (64, "")
    agents = {agent.id: (agent.registration.display_name, agent.credential_key) for agent in contents.agents}
    assert agents.keys() == {"alpha", "beta", "epsilon"}
    assert agents[AgentId("alpha")] == ("Alpha the first", "token:alpha")
    assert agents[AgentId("beta")] == ("Betä 🦞", "token:beta")
    assert agents[AgentId("epsilon")][1].startswith("agent-token:")
    assert {session.credential_key.partition("@")[0] for session in contents.sessions} == {"token:ops", "token:alpha"}
    assert [(pair.credential_key, pair.network_id) for pair in contents.pair_networks] == [("token:pair", "net_b")]


async def test_conversations_are_found(store: Store) -> None:
    assert await message_ids(store, room_history()) == ["m1", "m2", "m10"]
    assert await message_ids(store, thread_history("t1")) == ["m3", "m4"]
    assert await message_ids(store, direct_history("d1")) == ["m5", "m6"]
    assert await message_ids(store, direct_history("d2")) == ["m7"]
    items = (await store.message_page(room_history(), PageRequest())).items
    first, last = decode(items[0], Message), decode(items[-1], Message)
    assert first.parts[0].text == 'hello @beta, "quotes" \\ ünïcödé 🦞 line\nend'
    assert (first.sender.name, first.mentions) == ("Alpha the first", ("molt://lab/agents/beta",))
    assert (last.origin.network_id, last.origin.message_id) == ("net_b", "x1")
    threads, _ = await store.threads(RoomId("general"), PageRequest())
    assert [(each.id, each.parent_message_id, each.message_count) for each in threads] == [("t1", "m1", 2)]
    directs, _ = await store.directs(PageRequest(), None)
    assert [(each.id, each.participant_ids, each.message_count) for each in directs] == [
        ("d1", ("alpha", "beta"), 2),
        ("d2", ("delta", "net_b:gamma"), 1),
    ]


async def test_artifacts_and_wakes_are_found(store: Store) -> None:
    for history, expected in (
        (room_history(), ["art_m2_1", "art_m2_3", "art_m4_1"]),
        (thread_history("t1"), ["art_m4_1"]),
        (direct_history("d1"), ["art_m6_0"]),
    ):
        page = await store.artifact_page(history, PageRequest())
        assert [decode(body, Artifact).id for body in page.items] == expected
    wakes = [decode(body, Event) for body in (await store.wake_page(AgentId("beta"), PageRequest())).items]
    assert len(wakes) == 4
    assert {wake.type for wake in wakes} == {EventType.AGENT_WAKE_DELIVERED}


async def test_a_removed_room_is_hidden_and_comes_back_with_its_messages(store: Store) -> None:
    thread = await store.thread(ThreadId("t2"))
    assert thread is not None
    assert thread.room_id == "attic"
    (restored,) = (await store.commit([RestoreRoom(RoomId("attic"), ("beta",), at(0))])).outcomes
    assert isinstance(restored, RoomStored)
    assert restored.room.members == ("beta",)
    assert await message_ids(store, room_history("attic")) == ["m8"]


async def test_the_whole_log_can_be_replayed_and_goes_on(store: Store) -> None:
    records: Sequence[EventRecord] = await whole_log(store)
    assert [record.seq for record in records] == list(range(1, 29))
    for record in records:
        event = decode(record.wire, Event)
        assert (event.id, event.type, event.created_at) == (record.id, record.type, record.created_at)
        assert await store.event_seq(record.id) == record.seq
    said = [record for record in records if record.type == EventType.MESSAGE_CREATED]
    assert [record.message_id for record in said] == [f"m{number}" for number in range(1, 11)]
    assert all(record.id == event_id_of_message(record.message_id) for record in said)
    committed = await store.commit([append("next"), append("m1", text="other")])
    assert [record.seq for record in committed.records] == [29]
    assert committed.outcomes[1] == MessageRepeated(event_id_of_message("m1"), same=False)
    assert await message_ids(store, room_history()) == ["m1", "m2", "m10", "next"]


@pytest.mark.parametrize("kind", KINDS)
async def test_its_backups_are_restored(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """One of the same network as the databases."""

    def server() -> PostgresServer:
        found: PostgresServer = request.getfixturevalue("postgres_server")
        return found

    place = place_in(tmp_path, kind, server)
    at_lab = attrs.evolve(place, network_id=NETWORK)
    header = await restore_backup(BACKUP, at_lab.target(), NETWORK, silent)
    assert (header.version, header.counts.message, header.counts.session) == (1, 10, 2)
    async with at_lab.open() as store:
        await test_conversations_are_found(store)
        await test_artifacts_and_wakes_are_found(store)
        await test_rooms_agents_and_credentials_are_found(store)
        await test_the_whole_log_can_be_replayed_and_goes_on(store)


async def test_a_server_goes_on_with_it_and_leaves_the_newest_schema(left_behind: StorageSettings) -> None:
    """Also where the first start after the upgrade is followed by another one."""
    config = attrs.evolve(network_config(), storage=left_behind)
    for start in range(2):
        async with open_test_app(config) as app:
            message = room_message("hello", message_id=f"next{start}", sender="operator", sender_type=HUMAN)
            accepted = await post(app, message)
            assert accepted.event_id == event_id_of_message(f"next{start}")
            assert set(app.context.directory.room_ids()) == {"general", "hall", "workshop"}
            assert await app.context.store.direct(DirectId("d1")) is not None
    if left_behind.sqlite is not None:
        path = left_behind.sqlite.path
        assert raw_value(path, "SELECT max(version) FROM schema_migrations") == len(load_migrations("sqlite"))
        assert raw_value(path, "PRAGMA integrity_check") == "ok"
        assert raw_value(path, "SELECT count(*) FROM pragma_foreign_key_check") == 0
