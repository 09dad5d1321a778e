"""Backups: from any store that keeps something to any other, while a server writes, and all of it or nothing."""

import gzip
import os
import sqlite3
import stat
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
import trio

from moltnet.protocol.ids import NetworkId
from moltnet.protocol.pages import PageRequest
from moltnet.storage.backup.format import Content, Counts, Kind, Selection
from moltnet.storage.backup.target import StoreNotEmpty
from moltnet.storage.backup.transfer import WrongContent, restore_backup, write_backup
from moltnet.storage.commands import MessageRepeated, MessageStored
from moltnet.storage.records import DirectoryContents, EventBounds
from moltnet.storage.sql.migrate import load_migrations, migrate
from moltnet.storage.store import SchemaUnsupported, StorageError, StoreInUse, WrongNetwork
from tests.contracts.store_messages import EVERYTHING, ids_of
from tests.fakes.postgres import PostgresServer
from tests.storage.backup.places import KINDS, Place, back_up, everything_in, fill, place_in, restore, silent
from tests.storage.examples import create_room, post, room_history

NewPlace = Callable[[str], Place]


@pytest.fixture
def new_place(tmp_path: Path, request: pytest.FixtureRequest) -> NewPlace:
    def server() -> PostgresServer:
        found: PostgresServer = request.getfixturevalue("postgres_server")
        return found

    def make(kind: str) -> Place:
        directory = tmp_path / f"{kind}-{len(list(tmp_path.iterdir()))}"
        directory.mkdir()
        return place_in(directory, kind, server)

    return make


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "network.backup"


async def filled(place: Place) -> Any:
    async with place.open() as store:
        await fill(store)
        return await everything_in(store)


def lines_of(path: Path) -> list[Any]:
    content = path.read_bytes()
    text = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    return [orjson.loads(line) for line in text.splitlines()]


class TestEveryPair:
    @pytest.mark.parametrize("to", KINDS)
    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_network_moves_whole_from_one_store_to_another(
        self, new_place: NewPlace, file: Path, kind: str, to: str
    ) -> None:
        before, after = new_place(kind), new_place(to)
        expected = await filled(before)
        written = await back_up(before, file)
        header = await restore(file, after)
        assert header == written.header
        async with after.open() as store:
            assert await everything_in(store) == expected
            outcomes = (await store.commit([post("m1"), post("new")])).outcomes
            assert isinstance(outcomes[0], MessageRepeated)
            assert isinstance(outcomes[1], MessageStored)
            assert (await store.event_bounds()).newest_seq == expected[1].newest_seq + 1
        # What was restored can be backed up again, and is the same.
        async with after.open() as store:
            assert len(await store.events_after(0, EVERYTHING)) == len(expected[2]) + 1

    @pytest.mark.parametrize("kind", KINDS)
    async def test_the_lines_are_the_same_whatever_store_they_come_from(
        self, new_place: NewPlace, file: Path, kind: str
    ) -> None:
        model = new_place("sqlite")
        await filled(model)
        await back_up(model, file)
        place, again = new_place(kind), file.with_name("again.backup")
        await restore(file, place)
        await back_up(place, again)
        assert lines_of(again)[1:-1] == lines_of(file)[1:-1]

    @pytest.mark.parametrize("kind", KINDS)
    async def test_sessions_come_along_only_if_they_are_asked_for(
        self, new_place: NewPlace, file: Path, kind: str
    ) -> None:
        place = new_place(kind)
        await filled(place)
        await back_up(place, file)
        assert "session" not in {line["kind"] for line in lines_of(file)}
        with_sessions, after = file.with_name("sessions.backup"), new_place(kind)
        await back_up(place, with_sessions, Selection(sessions=True))
        await restore(with_sessions, after)
        async with after.open() as store:
            assert [session.digest for session in (await store.load_directory()).sessions] == ["abc"]

    @pytest.mark.parametrize("kind", KINDS)
    async def test_an_export_holds_conversations_only_and_begins_a_network(
        self, new_place: NewPlace, file: Path, kind: str
    ) -> None:
        place, after = new_place(kind), new_place(kind)
        expected = await filled(place)
        await back_up(place, file, Selection(Content.CONVERSATIONS))
        assert file.read_bytes().startswith(b'{"kind":"header",')
        assert {line["kind"] for line in lines_of(file)} == {"header", "room", "thread", "direct", "message", "end"}
        assert b"agent:key" not in file.read_bytes()
        with pytest.raises(WrongContent, match="holds an export of conversations, not a backup"):
            await restore(file, after)
        await restore(file, after, Content.CONVERSATIONS)
        async with after.open() as store:
            found = await everything_in(store)
            # Rooms and messages, artifacts, threads and direct conversations; of the log the newest message only.
            assert found[3:-1] == expected[3:-1]
            assert found[0].rooms == expected[0].rooms
            assert found[0].agents == ()
            assert [record["message_id"] for record in found[2]] == ["m6"]

    @pytest.mark.parametrize("kind", KINDS)
    async def test_an_empty_network_is_a_backup_too(self, new_place: NewPlace, file: Path, kind: str) -> None:
        place, after = new_place(kind), new_place(kind)
        async with place.open():
            pass
        assert (await back_up(place, file)).header.counts.total == 0
        await restore(file, after)
        async with after.open() as store:
            assert await store.event_bounds() == EventBounds(0, 0)


class TestRunningNetwork:
    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_backup_is_one_state_of_a_store_that_is_written_to(
        self, new_place: NewPlace, file: Path, kind: str
    ) -> None:
        place, after = new_place(kind), new_place(kind)
        async with place.open() as store:
            await store.commit([create_room(), *(post(f"m{number}") for number in range(1200))])
            async with place.source() as source, trio.open_nursery() as nursery:

                async def write() -> None:
                    for number in range(50):
                        await store.commit([post(f"later{number}"), create_room(f"room{number}")])

                nursery.start_soon(write)
                await write_backup(source, file, silent)
            assert (await store.event_bounds()).newest_seq == 1301
        await restore(file, after)
        async with after.open() as store:
            assert (await store.event_bounds()).newest_seq == 1201
            assert len((await store.load_directory()).rooms) == 1
            assert ids_of(await store.message_page(room_history(), PageRequest(1))) == ["m1199"]

    async def test_nothing_is_restored_over_a_running_server(self, new_place: NewPlace, file: Path) -> None:
        place = new_place("sqlite")
        await filled(place)
        await back_up(place, file)
        async with place.open():
            with pytest.raises(StoreInUse):
                await restore(file, place)

    async def test_a_server_that_runs_on_an_empty_postgres_database_hears_of_what_is_restored(
        self, new_place: NewPlace, file: Path
    ) -> None:
        before, after = new_place("sqlite"), new_place("postgres")
        expected = await filled(before)
        await back_up(before, file)
        async with after.open() as store:
            await restore(file, after)
            heard = await store.commit([])
            assert heard.records[-1].seq == expected[1].newest_seq
            assert {stored.room.id for stored in heard.rooms} == {"general", "gone"}
            assert [agent.id for agent in heard.agents] == ["alpha"]


class TestRefusals:
    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_store_with_something_in_it_is_left_alone(self, new_place: NewPlace, file: Path, kind: str) -> None:
        place = new_place(kind)
        expected = await filled(place)
        await back_up(place, file)
        with pytest.raises(StoreNotEmpty, match="is not empty"):
            await restore(file, place)
        async with place.open() as store:
            assert await everything_in(store) == expected

    @pytest.mark.parametrize("kind", KINDS)
    async def test_another_network_is_refused(self, new_place: NewPlace, file: Path, kind: str) -> None:
        place = new_place(kind)
        await filled(place)
        await back_up(place, file)
        with pytest.raises(WrongNetwork):
            await restore_backup(file, new_place(kind).target(), NetworkId("other"), silent)

    async def test_a_database_that_is_not_there_is_not_made(self, new_place: NewPlace, file: Path) -> None:
        place = new_place("sqlite")
        with pytest.raises(StorageError, match="there is no database"):
            await back_up(place, file)
        assert not place.at.exists()
        assert not file.exists()

    @pytest.mark.parametrize("kind", ["sqlite", "postgres"])
    async def test_an_empty_database_has_no_network(self, new_place: NewPlace, file: Path, kind: str) -> None:
        place = new_place(kind)
        if kind == "sqlite":
            place.at.touch()
        with pytest.raises(SchemaUnsupported, match="start its server once"):
            await back_up(place, file)

    async def test_a_file_is_private_and_never_written_over(self, new_place: NewPlace, file: Path) -> None:
        place = new_place("sqlite")
        await filled(place)
        await back_up(place, file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        content = file.read_bytes()
        with pytest.raises(FileExistsError):
            await back_up(place, file)
        assert file.read_bytes() == content
        assert [path.name for path in file.parent.iterdir() if path.is_file()] == [file.name]

    async def test_a_backup_that_is_cancelled_leaves_no_file(self, new_place: NewPlace, file: Path) -> None:
        place = new_place("sqlite")
        async with place.open() as store:
            await store.commit([create_room(), *(post(f"m{number}") for number in range(1200))])
        with trio.CancelScope() as scope:
            async with place.source() as source:
                await write_backup(source, file, lambda done, total: scope.cancel() if done else None)
        assert scope.cancelled_caught
        assert [path.name for path in file.parent.iterdir() if path.is_file()] == []

    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_restore_that_is_cancelled_leaves_an_empty_store(
        self, new_place: NewPlace, file: Path, kind: str
    ) -> None:
        place, after = new_place("sqlite"), new_place(kind)
        async with place.open() as store:
            await store.commit([create_room(), *(post(f"m{number}") for number in range(1200))])
        await back_up(place, file)
        with trio.CancelScope() as scope:
            await restore_backup(
                file, after.target(), NetworkId("net_a"), lambda done, total: scope.cancel() if done else None
            )
        assert scope.cancelled_caught
        async with after.open() as store:
            assert await store.event_bounds() == EventBounds(0, 0)
            assert await store.load_directory() == DirectoryContents((), ())
        await restore(file, after)


@pytest.mark.slow
async def test_memory_does_not_grow_with_the_network(new_place: NewPlace, file: Path) -> None:
    place, after = new_place("sqlite"), new_place("sqlite")
    text = "x" * 1000
    async with place.open() as store:
        await store.commit([create_room()])
        for start in range(0, 20_000, 500):
            await store.commit([post(f"m{number}", text=text) for number in range(start, start + 500)])
    tracemalloc.start()
    try:
        await back_up(place, file)
        _, peak_bytes = tracemalloc.get_traced_memory()
        assert peak_bytes < 16 * 1024 * 1024
        tracemalloc.reset_peak()
        await restore(file, after)
        _, peak_bytes = tracemalloc.get_traced_memory()
        assert peak_bytes < 16 * 1024 * 1024
    finally:
        tracemalloc.stop()
    assert os.stat(place.at).st_size > 20_000_000
    async with after.open() as store:
        assert (await store.event_bounds()).newest_seq == 20_001


async def test_everything_that_a_store_keeps_has_a_line() -> None:
    """A new table, and a new kind of change, must be backed up too."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, load_migrations("sqlite"), datetime.now(UTC))
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    of_itself = {"meta", "schema_migrations"}
    with_others = {"room_members", "dm_participants", "artifacts"}
    of_lines = {"rooms", "agents", "sessions", "pair_networks", "approvals", "threads", "dms", "messages", "events"}
    of_lines |= {"relay_outbox", "marks"}
    assert tables - {"sqlite_sequence"} == of_itself | with_others | of_lines
    assert len(of_lines) == len(attrs.fields(Counts)) == len(Kind) - 2


@pytest.mark.parametrize("kind", KINDS)
async def test_progress_is_told_from_nothing_to_everything(new_place: NewPlace, file: Path, kind: str) -> None:
    place, written, restored = new_place(kind), list[tuple[int, int]](), list[tuple[int, int]]()
    async with place.open() as store:
        await store.commit([create_room(), *(post(f"m{number}") for number in range(1200))])
    async with place.source() as source:
        await write_backup(source, file, lambda *each: written.append(each))
    await restore_backup(file, new_place(kind).target(), NetworkId("net_a"), lambda *each: restored.append(each))
    lines = 1 + 1 + 1200  # a room, its event, the messages
    for told in (written, restored):
        done = [each for each, _ in told]
        assert (done[0], done[-1]) == (0, lines)
        assert done == sorted(done)
        assert len(done) > 3
        assert {total for _, total in told} == {lines}
