"""How SQLite would run each statement: by an index, never through a whole table, never sorting what it found."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import attrs
import pytest

from moltnet.protocol.messages import TargetKind
from moltnet.protocol.pages import PageRequest
from moltnet.storage.limits import SQLITE_ROWS_PER_INSERT
from moltnet.storage.sql import sqlite_outbox
from moltnet.storage.sql import sqlite_statements as statements
from moltnet.storage.sql.migrate import load_migrations, migrate
from moltnet.storage.sql.sqlite import sqlite_store
from moltnet.storage.sql.sqlite_database import SqliteDatabase
from tests.scale.large_network import agent_id, fill
from tests.scale.pages import LISTINGS
from tests.storage.examples import GENERAL, NETWORK, remove_agent, remove_room, restore_room

# All but the directory, which is loaded whole, once.
TEXTS = {
    name: text
    for name, text in {**vars(statements), **vars(sqlite_outbox)}.items()
    if isinstance(text, str) and " " in text and name.isupper() and not name.startswith(("_", "LOAD_"))
}
INSERTS = {
    name: insert.text(SQLITE_ROWS_PER_INSERT)
    for name, insert in {**vars(statements), **vars(sqlite_outbox)}.items()
    if isinstance(insert, statements.Insert)
}
HISTORIES = (
    {
        f"SELECT_HISTORY {kind} {name}": text
        for kind, texts in statements.SELECT_HISTORY.items()
        for name, text in attrs.asdict(texts).items()
    }
    | {
        f"SELECT_ARTIFACTS {kind} {name}": text
        for kind, texts in statements.SELECT_ARTIFACTS.items()
        for name, text in attrs.asdict(texts).items()
    }
    | {
        f"SELECT_APPROVAL_PAGE {filters} {name}": text
        for filters, texts in statements.SELECT_APPROVAL_PAGE.items()
        for name, text in attrs.asdict(texts).items()
    }
)
# A list of keys is a table too, and so are the rows of an INSERT, but those are as long as the batch.
FULL_SCAN = re.compile(r"SCAN (?!json_each\b|\d+ CONSTANT ROWS)|USE TEMP B-TREE")


def pages_of(kind: TargetKind) -> tuple[str, str]:
    texts = statements.SELECT_HISTORY[kind]
    return texts.older, texts.newer


def artifact_pages_of(kind: TargetKind) -> tuple[str, str]:
    texts = statements.SELECT_ARTIFACTS[kind]
    return texts.older, texts.newer


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        migrate(opened, load_migrations("sqlite"), datetime.now(UTC))
        yield opened


def query_plan(connection: sqlite3.Connection, text: str) -> str:
    values = [None] * text.count("?")
    return "\n".join(detail for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {text}", values))


@pytest.mark.parametrize(
    "text", [*TEXTS.values(), *INSERTS.values(), *HISTORIES.values()], ids=[*TEXTS, *INSERTS, *HISTORIES]
)
def test_no_statement_reads_a_whole_table(connection: sqlite3.Connection, text: str) -> None:
    """The reference loads all rooms, agents, threads and DMs for every list, and joins memberships without an index."""
    assert not FULL_SCAN.search(query_plan(connection, text)), query_plan(connection, text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM messages WHERE created_at > ?",
        "SELECT room_id FROM room_members ORDER BY member_id LIMIT 1",
        "SELECT id FROM threads WHERE room_id = ? ORDER BY last_message_at",
    ],
)
def test_a_statement_without_an_index_would_be_noticed(connection: sqlite3.Connection, text: str) -> None:
    assert FULL_SCAN.search(query_plan(connection, text))


@pytest.mark.parametrize(
    ("older", "newer", "index"),
    [
        (*pages_of(TargetKind.ROOM), "messages_by_room (room_id=? AND seq"),
        (*pages_of(TargetKind.THREAD), "messages_by_thread (thread_id=? AND seq"),
        (*pages_of(TargetKind.DM), "messages_by_dm (dm_id=? AND seq"),
        (*artifact_pages_of(TargetKind.ROOM), "artifacts_by_room (room_id=? AND place"),
        (*artifact_pages_of(TargetKind.THREAD), "artifacts_by_thread (thread_id=? AND place"),
        (*artifact_pages_of(TargetKind.DM), "artifacts_by_dm (dm_id=? AND place"),
        (statements.SELECT_THREADS_BEFORE, statements.SELECT_THREADS_AFTER, "threads_by_room (room_id=? AND id"),
        (
            statements.SELECT_PARTICIPANT_BEFORE,
            statements.SELECT_PARTICIPANT_AFTER,
            "dm_participants_by_participant (participant_id=? AND dm_id",
        ),
        (statements.SELECT_DIRECTS_BEFORE, statements.SELECT_DIRECTS_AFTER, "sqlite_autoindex_dms_1 (id"),
    ],
    ids=[
        "messages of a room",
        "messages of a thread",
        "messages of a dm",
        "artifacts of a room",
        "artifacts of a thread",
        "artifacts of a dm",
        "threads",
        "dms of a participant",
        "dms",
    ],
)
def test_a_page_starts_at_its_cursor(connection: sqlite3.Connection, older: str, newer: str, index: str) -> None:
    assert f"{index}<?)" in query_plan(connection, older)
    assert f"{index}>?)" in query_plan(connection, newer)


async def test_nothing_else_is_asked_of_the_database(database: SqliteDatabase) -> None:
    """What really runs, while much is written and every list is read: a text from elsewhere would be found here."""
    store = await sqlite_store(database, NETWORK)
    ran: set[str] = set()
    for connection in (database.writer, *database.readers):
        connection.set_trace_callback(ran.add)
    await fill(store, part=0.05)
    await store.commit([remove_agent(agent_id(0)), remove_room(GENERAL), restore_room(GENERAL, "alpha")])
    await store.check_writable()
    await store.event_seq("evt_1")
    await store.events_after((await store.event_bounds()).newest_seq // 2, 10)
    for listing in LISTINGS:
        await listing.read(store, PageRequest(10))
        await listing.read(store, PageRequest(10, before=listing.cursor(30)))
        await listing.read(store, PageRequest(10, after=listing.cursor(30)))
    for connection in (database.writer, *database.readers):
        connection.set_trace_callback(None)
    # The plan of an INSERT also names what a violated foreign key would make it look for. What commits cost is counted
    # in `tests/scale`.
    asked = {text for text in ran if text.startswith(("SELECT", "DELETE", "UPDATE", "WITH"))}
    rest = {text.split(" ", 1)[0] for text in ran - asked}
    assert len(asked) > 50
    assert rest <= {"BEGIN", "COMMIT", "ROLLBACK", "INSERT"}
    for text in asked:
        plan = "\n".join(detail for *_, detail in database.writer.execute(f"EXPLAIN QUERY PLAN {text}"))
        assert not FULL_SCAN.search(plan), (text, plan)


def test_agents_of_a_credential_and_rooms_of_a_member_have_an_index(connection: sqlite3.Connection) -> None:
    assert "agents_by_credential" in query_plan(connection, "SELECT id FROM agents WHERE credential_key = ?")
    assert "room_members_by_member" in query_plan(connection, "SELECT room_id FROM room_members WHERE member_id = ?")


@pytest.mark.parametrize("size", [0, 1, 5, SQLITE_ROWS_PER_INSERT, 3 * SQLITE_ROWS_PER_INSERT + 7])
def test_an_insert_takes_few_steps_for_many_rows(connection: sqlite3.Connection, size: int) -> None:
    connection.execute("CREATE TABLE numbers (id INTEGER PRIMARY KEY, name TEXT)")
    texts: list[str] = []
    connection.set_trace_callback(texts.append)
    insert = statements.Insert("numbers", ("id", "name"))
    insert.run(connection, ((number, str(number)) for number in range(size)))
    connection.set_trace_callback(None)
    assert len(texts) == size // SQLITE_ROWS_PER_INSERT + (size % SQLITE_ROWS_PER_INSERT).bit_count()
    expected = [(number, str(number)) for number in range(size)]
    assert connection.execute("SELECT id, name FROM numbers ORDER BY id").fetchall() == expected


def test_every_insert_fits_into_the_smallest_limit_of_values() -> None:
    inserts = [value for value in vars(statements).values() if isinstance(value, statements.Insert)]
    assert len(inserts) >= 8
    assert all(len(insert.columns) * SQLITE_ROWS_PER_INSERT <= 999 for insert in inserts)
