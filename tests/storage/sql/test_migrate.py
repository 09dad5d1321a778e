"""How a schema comes to its version, and which databases are left alone."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from moltnet.protocol.artifacts import Artifact, artifacts_of
from moltnet.protocol.codec import decode
from moltnet.protocol.events import Event
from moltnet.protocol.ids import DirectId, NetworkId, ThreadId
from moltnet.protocol.messages import Message, Part, PartKind
from moltnet.protocol.pages import PageRequest
from moltnet.storage.changes import MessageRow
from moltnet.storage.sql.migrate import APPLICATION_ID, Migration, load_migrations, migrate, schema_version
from moltnet.storage.sql.rows import message_row
from moltnet.storage.sql.sqlite import open_sqlite
from moltnet.storage.store import SchemaUnsupported, StorageError, WrongNetwork
from tests.storage.examples import (
    NETWORK,
    direct_history,
    direct_post,
    link,
    post,
    room_history,
    thread_history,
    thread_post,
    with_parts,
)
from tests.storage.sql.raw import raw_connection, raw_value

NOW = datetime(2026, 1, 2, tzinfo=UTC)
VERSION_1 = Path(__file__).parent / "version_1.sql"

FIRST = Migration(1, "first", "CREATE TABLE things (name TEXT); INSERT INTO things VALUES ('one');")
SECOND = Migration(2, "second", "ALTER TABLE things ADD COLUMN size INTEGER; UPDATE things SET size = 1;")
BROKEN = Migration(2, "second", "ALTER TABLE things ADD COLUMN size INTEGER; UPDATE nothing SET size = 1;")


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        yield opened


def applied(connection: sqlite3.Connection) -> list[tuple[int, str, str]]:
    return connection.execute("SELECT version, name, applied_at FROM schema_migrations ORDER BY version").fetchall()


def test_steps_are_applied_in_order_and_recorded(connection: sqlite3.Connection) -> None:
    assert schema_version(connection) == 0
    migrate(connection, [FIRST, SECOND], NOW)
    assert applied(connection) == [(1, "first", "2026-01-02T00:00:00Z"), (2, "second", "2026-01-02T00:00:00Z")]
    assert connection.execute("SELECT name, size FROM things").fetchall() == [("one", 1)]
    assert schema_version(connection) == 2


def test_only_missing_steps_are_applied(connection: sqlite3.Connection) -> None:
    migrate(connection, [FIRST], NOW)
    connection.execute("INSERT INTO things VALUES ('kept')")
    for _ in range(2):
        migrate(connection, [FIRST, SECOND], NOW)
    assert connection.execute("SELECT name, size FROM things").fetchall() == [("one", 1), ("kept", 1)]


def test_a_step_that_fails_leaves_the_version_before_it(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="nothing"):
        migrate(connection, [FIRST, BROKEN], NOW)
    assert not connection.in_transaction
    assert [version for version, _, _ in applied(connection)] == [1]
    assert connection.execute("SELECT * FROM things").fetchall() == [("one",)]
    migrate(connection, [FIRST, SECOND], NOW)
    assert schema_version(connection) == 2


def test_a_first_step_that_fails_leaves_an_empty_database(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, [Migration(1, "broken", "CREATE TABLE things (name TEXT); nonsense;")], NOW)
    assert schema_version(connection) == 0
    migrate(connection, [FIRST], NOW)
    assert schema_version(connection) == 1


def test_the_shipped_steps_are_numbered_from_one_and_named() -> None:
    steps = load_migrations("sqlite")
    assert [step.version for step in steps] == list(range(1, len(steps) + 1))
    assert (steps[0].name, "CREATE TABLE events" in steps[0].script) == ("initial", True)


async def test_a_new_database_gets_the_newest_schema(path: Path) -> None:
    async with open_sqlite(path, NETWORK):
        pass
    assert raw_value(path, "SELECT max(version) FROM schema_migrations") == len(load_migrations("sqlite"))
    assert raw_value(path, "PRAGMA application_id") == APPLICATION_ID
    assert raw_value(path, "SELECT value FROM meta WHERE key = 'network_id'") == NETWORK


async def test_a_database_of_version_1_is_still_read(path: Path) -> None:
    """The dump is of the first version for ever; a later one must bring its data along."""
    with raw_connection(path) as connection:
        connection.executescript(VERSION_1.read_text())
        assert schema_version(connection) == 1
    async with open_sqlite(path, NETWORK) as store:
        records = await store.events_after(0, 100)
        assert [record.type for record in records] == [
            "room.created",
            "message.created",
            "thread.created",
            "message.created",
            "dm.created",
            "message.created",
            "agent.wake.delivered",
        ]
        assert [decode(record.wire, Event).id for record in records] == [record.id for record in records]
        (first,) = (await store.message_page(room_history(), PageRequest())).items
        assert decode(first, Message) == post("m1", addressed=["molt://net_a/agents/beta"]).message
        assert (await store.message_page(direct_history("d1"), PageRequest())).first_id == "m3"
        thread, direct = await store.thread(ThreadId("t1")), await store.direct(DirectId("d1"))
        assert thread is not None
        assert direct is not None
        assert (thread.parent_message_id, direct.participant_ids) == ("m1", ("alpha", "net_b:beta"))
        contents = await store.load_directory()
        assert [(stored.room.members, stored.declaration) for stored in contents.rooms] == [(("alpha",), "digest")]
        assert [(agent.id, agent.credential_key) for agent in contents.agents] == [("alpha", "key1")]
        (stored,) = (await store.commit([post("m9")])).records
        assert stored.seq == 8


async def test_messages_of_version_1_get_their_artifacts(path: Path) -> None:
    words = Part(kind=PartKind.TEXT, text="words")
    odd = Part(
        kind=PartKind.FILE, filename='\x00 " \\ 🦞 \u2028', url="http://a.test/?a=1&b=<2>", data={"deep": [{"a": None}]}
    )
    named = Part(kind=PartKind.TEXT, text="more words", media_type="text/markdown")
    commands = [
        with_parts(post("m11"), words, odd, words, named),
        with_parts(thread_post("m12", "t1"), link("molt://x")),
        with_parts(
            direct_post("m13", "d1", ("alpha", "net_b:beta")), Part(kind=PartKind.DATA, data={"a": 1}, text="t")
        ),
    ]
    with raw_connection(path) as connection:
        connection.executescript(VERSION_1.read_text())
        for seq, command in enumerate(commands, start=11):
            row = message_row(MessageRow(seq, command.message, command.body, command.digest))
            connection.execute(f"INSERT INTO messages VALUES ({', '.join('?' * len(row))})", row)
    async with open_sqlite(path, NETWORK) as store:
        expected = [artifacts_of(command.message) for command in commands]
        assert [len(artifacts) for artifacts in expected] == [2, 1, 1]
        for history, artifacts in [
            (room_history(), expected[0] + expected[1]),
            (thread_history("t1"), expected[1]),
            (direct_history("d1"), expected[2]),
        ]:
            found = await store.artifact_page(history, PageRequest())
            assert tuple(decode(body, Artifact) for body in found.items) == artifacts


async def test_a_newer_schema_is_refused_and_left_as_it_is(path: Path) -> None:
    async with open_sqlite(path, NETWORK):
        pass
    newest = len(load_migrations("sqlite"))
    with raw_connection(path) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (?, 'from the future', '')", (newest + 1,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.read_bytes()
    with pytest.raises(SchemaUnsupported, match=rf"{path}: .* version {newest + 1}, this program .* up to {newest}"):
        async with open_sqlite(path, NETWORK):
            pass
    assert path.read_bytes() == before


@pytest.mark.parametrize("script", ["CREATE TABLE schema_migrations (version INTEGER)", "PRAGMA application_id = 7"])
async def test_a_database_of_another_program_is_refused_and_left_as_it_is(path: Path, script: str) -> None:
    with raw_connection(path) as connection:
        connection.execute(script)
    path.chmod(0o644)
    before = path.read_bytes()
    with pytest.raises(SchemaUnsupported, match=f"{path}: .*another program"):
        async with open_sqlite(path, NETWORK):
            pass
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o777 == 0o644
    assert {file.name for file in path.parent.iterdir()} == {"moltnet.db", "moltnet.db.lock"}


async def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path: Path) -> None:
    text = "rooms:\n  - id: general\n" * 100
    path.write_text(text)
    with pytest.raises(SchemaUnsupported, match=f"{path}: .*not an SQLite database"):
        async with open_sqlite(path, NETWORK):
            pass
    assert path.read_text() == text


async def test_a_damaged_database_is_an_error_that_names_it(path: Path) -> None:
    async with open_sqlite(path, NETWORK):
        pass
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 4000)
    with pytest.raises(StorageError, match=f"{path}: "):
        async with open_sqlite(path, NETWORK):
            pass


async def test_a_database_of_another_network_is_refused(path: Path) -> None:
    """Every address in it holds the network's id; the reference changed its name without a word."""
    async with open_sqlite(path, NETWORK):
        pass
    with pytest.raises(WrongNetwork, match='holds network "net_a", but the configuration names "net_z"'):
        async with open_sqlite(path, NetworkId("net_z")):
            pass
    async with open_sqlite(path, NETWORK):
        pass
