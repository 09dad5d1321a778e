"""A disk runs full under a server, or takes no writes at all: what callers are told, and that nothing accepted is lost.

The disk is a small one, mounted for the test. Where nothing may be mounted, the kernel limits the server's files
instead, as a quota does, so no test here is ever left out.
"""

import os
import random
import resource
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol

import attrs
import pytest
import trio

from moltnet.cli.exit_codes import ExitCode
from moltnet.config.secrets import Secret
from moltnet.config.settings import PostgresStorage, StorageKind, StorageSettings
from moltnet.protocol.ids import event_id_of_message
from moltnet.storage.sql.sqlite import SqliteStore
from tests.e2e.killed_server import FROM_THE_BEGINNING, history
from tests.e2e.running import PATIENCE_SECONDS, Program, Server, open_network, running
from tests.fakes.http_client import HttpAnswer, HttpClient, http_client
from tests.fakes.network import network_config, open_test_server, room_message
from tests.fakes.postgres import PostgresServer
from tests.storage.sql.raw import raw_value

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
# Nothing that a database could compress.
LARGE = random.Random(1).randbytes(50_000).hex()
SENDERS = 3
# More than a disk of this test holds.
MOST_MESSAGES = 2000


class Disk(Protocol):
    """Where a server has its storage."""

    @property
    def path(self) -> Path: ...

    def fill(self, program: Program) -> None:
        """Leave room for a few large messages."""

    def make_room(self, program: Program) -> None: ...


@attrs.frozen
class SmallDisk:
    """A file system of its own, of 64 MiB."""

    path: Path

    def fill(self, program: Program) -> None:
        system = os.statvfs(self.path)
        (self.path / "filler").write_bytes(b"x" * (system.f_bavail * system.f_frsize - 3 * MIB))

    def make_room(self, program: Program) -> None:
        (self.path / "filler").unlink()


@attrs.frozen
class LimitedFiles:
    """A directory in which no file of the server may grow beyond a limit."""

    path: Path

    def fill(self, program: Program) -> None:
        self._limit(program, 3 * MIB)

    def make_room(self, program: Program) -> None:
        self._limit(program, resource.RLIM_INFINITY)

    def _limit(self, program: Program, size_bytes: int) -> None:
        _, hard = resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE, (size_bytes, hard))


@contextmanager
def mounted(path: Path, options: str) -> Iterator[bool]:
    """A file system at ``path`` in memory; false where nothing may be mounted."""
    path.mkdir(exist_ok=True)
    finished = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=False, capture_output=True)
    try:
        yield finished.returncode == 0
    finally:
        if finished.returncode == 0:
            subprocess.run(["umount", "-l", path], check=True)


@pytest.fixture(params=["a small file system", "limited files"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    with mounted(tmp_path / "disk", "size=64m") as is_mounted:
        if is_mounted and request.param == "a small file system":
            yield SmallDisk(tmp_path / "disk")
        else:
            yield LimitedFiles(tmp_path / "disk")


@attrs.define(eq=False)
class Senders:
    """Some who send large messages until they are told to stop, and again what was refused."""

    client: HttpClient
    accepted: list[str] = attrs.field(factory=list)
    refused: list[HttpAnswer] = attrs.field(factory=list)
    _stopped: bool = False

    async def send(self, name: str) -> None:
        number = 0
        while not self._stopped:
            message_id = f"{name}-{number}"
            answer = await self.client.post("/v1/messages", room_message(LARGE, message_id=message_id))
            if answer.status == 202:
                self.accepted.append(message_id)
                assert len(self.accepted) < MOST_MESSAGES, "the disk is not full"
                number += 1
            else:
                self.refused.append(answer)
                await trio.sleep(0.02)

    async def wait_refused(self, more: int) -> None:
        wanted = len(self.refused) + more
        await self._wait(lambda: len(self.refused) >= wanted)

    async def wait_accepted(self, more: int) -> None:
        wanted = len(self.accepted) + more
        await self._wait(lambda: len(self.accepted) >= wanted)

    async def _wait(self, is_done: Callable[[], bool]) -> None:
        with trio.fail_after(60):
            while not is_done():
                await trio.sleep(0.01)

    def stop(self) -> None:
        self._stopped = True


@asynccontextmanager
async def sending(server: Server) -> AsyncIterator[Senders]:
    senders = Senders(HttpClient(server.url))
    async with trio.open_nursery() as nursery:
        for number in range(SENDERS):
            nursery.start_soon(senders.send, f"s{number}")
        yield senders
        senders.stop()


async def assert_full(client: HttpClient) -> None:
    """What is said while there is no room, and what goes on."""
    ready = await client.get("/readyz")
    assert ready.status == 503, ready.body
    assert ready.code == "storage_full"
    assert (await client.get("/healthz")).status == 200
    assert (await client.get("/v1/rooms/general/messages")).status == 200
    assert (await client.get("/v1/rooms")).status == 200


async def assert_all_there(client: HttpClient, senders: Senders) -> None:
    found = await history(client, "room", "general")
    assert sorted(found) == sorted(senders.accepted)
    streamed: list[str] = []
    async with client.stream_events(last_event_id=FROM_THE_BEGINNING) as source:
        while len(streamed) < len(found):
            streamed.append((await source.next_of("message.created")).id)
    assert streamed == [event_id_of_message(message_id) for message_id in found]


async def fill_and_make_room(server: Server, disk: Disk) -> Senders:
    """Under load, twice: the second time in the life of a server that has been through it once, and is then killed."""
    async with server.run() as program:
        client = HttpClient(server.url)
        assert (await client.get("/readyz")).status == 200
        async with sending(server) as senders:
            await senders.wait_accepted(SENDERS)
            for _ in range(2):
                disk.fill(program)
                await senders.wait_refused(2 * SENDERS)
                await assert_full(client)
                disk.make_room(program)
                await senders.wait_accepted(SENDERS)
                assert (await client.get("/readyz")).status == 200
            disk.fill(program)
            await senders.wait_refused(SENDERS)
        assert {(answer.status, answer.code) for answer in senders.refused} == {(507, "storage_full")}
        assert {answer.headers["retry-after"] for answer in senders.refused} == {"1"}
        assert "Traceback" not in program.log()
        await program.kill()
    # Where there is no room, what is there can still be read.
    async with server.run() as program:
        await assert_all_there(client, senders)
        disk.make_room(program)
        assert (await client.post("/v1/messages", room_message(LARGE, message_id="last"))).status == 202
        senders.accepted.append("last")
        await assert_all_there(client, senders)
    return senders


async def test_a_full_disk_under_sqlite(disk: Disk, tmp_path: Path) -> None:
    path = disk.path / "moltnet.db"
    server = attrs.evolve(open_network(tmp_path / "net", ["alpha"]), environment={"MOLTNET_SQLITE_PATH": str(path)})
    senders = await fill_and_make_room(server, disk)
    assert raw_value(path, "PRAGMA integrity_check") == "ok"
    assert raw_value(path, "SELECT count(*) FROM messages") == len(senders.accepted)


@attrs.frozen
class FullTables:
    """A database that says of its tables what it would say of a full disk."""

    path: Path
    server: PostgresServer
    database: str

    def fill(self, program: Program) -> None:
        self.server.sql(
            "CREATE OR REPLACE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$; "
            "CREATE TRIGGER no_room BEFORE INSERT ON messages FOR EACH STATEMENT EXECUTE FUNCTION no_room(); "
            # What is small still finds a place.
            "CREATE TRIGGER no_room BEFORE INSERT ON meta FOR EACH ROW WHEN (length(NEW.value) > 1000) "
            "EXECUTE FUNCTION no_room()",
            self.database,
        )

    def make_room(self, program: Program) -> None:
        self.server.sql("DROP TRIGGER no_room ON messages; DROP TRIGGER no_room ON meta", self.database)


@pytest.fixture(params=["a small file system", "tables that are full"])
def postgres_disk(request: pytest.FixtureRequest, postgres_server: PostgresServer) -> Iterator[tuple[str, Disk]]:
    """A database whose tables lie on a small disk, their log on another."""
    path, name = postgres_server.directory / "small", "on_small_disk"
    with mounted(path, "size=64m") as is_mounted:
        if not is_mounted or request.param != "a small file system":
            name = postgres_server.new_database()
            yield name, FullTables(path, postgres_server, name)
            postgres_server.drop_database(name)
            return
        (path / "tables").mkdir()
        for each in (path, path / "tables"):
            postgres_server.own(each)
        postgres_server.sql(f"CREATE TABLESPACE small LOCATION '{path / 'tables'}'")
        postgres_server.sql(f"CREATE DATABASE {name} TEMPLATE template0 TABLESPACE small")
        yield name, SmallDisk(path)
        postgres_server.drop_database(name)
        postgres_server.sql("DROP TABLESPACE small")


async def test_a_full_disk_under_postgres(
    postgres_disk: tuple[str, Disk], postgres_server: PostgresServer, tmp_path: Path
) -> None:
    name, disk = postgres_disk
    environment = {"MOLTNET_POSTGRES_DSN": postgres_server.dsn(name), "MOLTNET_SQLITE_PATH": ""}
    server = attrs.evolve(open_network(tmp_path / "net", ["alpha"]), environment=environment)
    senders = await fill_and_make_room(server, disk)
    assert postgres_server.sql("SELECT count(*) FROM messages", name) == str(len(senders.accepted))


async def test_a_disk_that_becomes_read_only_under_sqlite(tmp_path: Path) -> None:
    """As after an error of the disk, when systems let nobody write to it any more."""
    async with open_test_server(network_config(sqlite_path=tmp_path / "moltnet.db")) as server:
        store, client = server.app.context.store, http_client(server)
        assert isinstance(store, SqliteStore)
        assert (await client.post("/v1/messages", room_message(message_id="before"))).status == 202
        store.database.writer.execute("PRAGMA query_only = ON")
        refused = await client.post("/v1/messages", room_message(message_id="after"))
        assert (refused.status, refused.code) == (507, "storage_full")
        await assert_full(client)
        store.database.writer.execute("PRAGMA query_only = OFF")
        assert (await client.get("/readyz")).status == 200
        assert (await client.post("/v1/messages", room_message(message_id="after"))).status == 202
        assert await history(client, "room", "general") == ["before", "after"]


async def test_a_database_that_becomes_read_only_under_postgres(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    """As a primary does that has become a standby, or that its operator protects."""
    storage = StorageSettings(
        StorageKind.POSTGRES, postgres=PostgresStorage(Secret(postgres_server.dsn(postgres_database)))
    )
    database = f"ALTER DATABASE {postgres_database} SET default_transaction_read_only"
    others = f"pg_stat_activity WHERE datname = '{postgres_database}' AND pid <> pg_backend_pid()"
    async with open_test_server(attrs.evolve(network_config(), storage=storage)) as server:
        client = http_client(server)
        assert (await client.post("/v1/messages", room_message(message_id="before"))).status == 202
        postgres_server.sql(f"{database} = on")
        postgres_server.sql(f"SELECT pg_terminate_backend(pid) FROM {others}")
        refused = await client.post("/v1/messages", room_message(message_id="after"))
        assert (refused.status, refused.code) == (507, "storage_full")
        await assert_full(client)
        # Whoever was refused connects anew the next time, and finds the one that takes writes.
        postgres_server.sql(f"{database} = off")
        assert (await client.post("/v1/messages", room_message(message_id="after"))).status == 202
        assert (await client.get("/readyz")).status == 200
        assert await history(client, "room", "general") == ["before", "after"]


async def test_a_server_whose_disk_takes_no_writes_says_so_and_does_not_start(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "ro,size=1m") as is_mounted:
        # Where nobody may create anything, not even root.
        place = tmp_path / "disk" if is_mounted else Path("/proc/self")
        server = open_network(tmp_path / "net", ["alpha"])
        async with running(
            "start",
            directory=server.directory,
            log_path=tmp_path / "log",
            environment={"MOLTNET_SQLITE_PATH": str(place / "data" / "moltnet.db")},
        ) as program:
            with trio.fail_after(PATIENCE_SECONDS):
                assert await program.process.wait() == ExitCode.SERVER
    assert f"can't open {place.resolve() / 'data' / 'moltnet.db'}: " in program.log()
    assert "Traceback" not in program.log()
