"""Opening a database on PostgreSQL: how the schema comes, and what is said when it may not or can not be opened."""

from pathlib import Path

import pytest
import trio

from moltnet.protocol.codec import decode
from moltnet.protocol.events import Event
from moltnet.protocol.ids import DirectId, NetworkId, ThreadId
from moltnet.protocol.messages import Message
from moltnet.protocol.pages import PageRequest
from moltnet.storage import limits
from moltnet.storage.records import PairNetwork
from moltnet.storage.sql.migrate import load_migrations
from moltnet.storage.sql.postgres.database import open_database
from moltnet.storage.sql.postgres.dsn import parse_dsn
from moltnet.storage.sql.postgres.schema import MIGRATIONS
from moltnet.storage.sql.postgres.store import open_postgres
from moltnet.storage.store import Committed, SchemaUnsupported, StorageError, StorageFull, WrongNetwork
from tests.fakes.ports import free_port
from tests.fakes.postgres import PASSWORD, PostgresServer
from tests.fakes.tcp_proxy import open_proxy
from tests.storage.examples import GENERAL, NETWORK, create_room, direct_history, post, room_history

VERSION_1 = Path(__file__).parent / "postgres_version_1.sql"
NEWEST = len(load_migrations("postgres"))


async def refusal(dsn: str, network_id: NetworkId = NETWORK) -> StorageError:
    """Why a database is not opened. No text about it may hold the password."""
    with pytest.raises(StorageError) as refused:
        async with open_postgres(dsn, network_id):
            pass
    for shown in (str(refused.value), repr(refused.value), str(refused.value.__cause__)):
        assert PASSWORD not in shown
        assert "%3A" not in shown
    return refused.value


class TestTheSchema:
    def test_the_shipped_steps_are_numbered_from_one_and_named(self) -> None:
        steps = load_migrations("postgres")
        assert [step.version for step in steps] == list(range(1, len(steps) + 1))
        assert (steps[0].name, "CREATE TABLE events" in steps[0].script) == ("initial", True)

    async def test_a_new_database_gets_the_newest_schema_and_keeps_its_content(
        self, postgres_server: PostgresServer, postgres_database: str
    ) -> None:
        dsn = postgres_server.dsn(postgres_database)
        async with open_postgres(dsn, NETWORK) as store:
            await store.commit([create_room()])
        async with open_postgres(dsn, NETWORK) as store:
            assert [stored.room.id for stored in (await store.load_directory()).rooms] == [GENERAL]
        versions = postgres_server.sql(f"SELECT version, name FROM {MIGRATIONS}", postgres_database)
        assert versions.splitlines() == [f"{step.version}|{step.name}" for step in load_migrations("postgres")]

    async def test_servers_that_start_together_do_not_disturb_each_other(self, postgres_dsn: str) -> None:
        async def start() -> None:
            async with open_postgres(postgres_dsn, NETWORK) as store:
                await store.check_writable()

        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(start)

    async def test_a_start_that_waits_for_another_server_can_be_stopped(self, postgres_dsn: str) -> None:
        async with open_postgres(postgres_dsn, NETWORK):
            pass
        async with open_database(parse_dsn(postgres_dsn)) as other:
            await other.write(lambda connection: connection.execute("BEGIN; LOCK TABLE meta"))
            with trio.fail_after(30), trio.move_on_after(0.2) as scope:
                async with open_postgres(postgres_dsn, NETWORK):
                    pass
            assert scope.cancelled_caught
            await other.write(lambda connection: connection.execute("ROLLBACK"))
        async with open_postgres(postgres_dsn, NETWORK) as store:
            await store.check_writable()

    async def test_two_networks_share_a_database_in_schemas_of_their_own(self, postgres_server: PostgresServer) -> None:
        one, other = postgres_server.dsn_of_new_schema(), postgres_server.dsn_of_new_schema()
        async with open_postgres(one, NETWORK) as first, open_postgres(other, NetworkId("net_z")) as second:
            await first.commit([create_room()])
            assert (await second.event_bounds()).newest_seq == 0

    async def test_a_database_of_version_1_is_still_read(
        self, postgres_server: PostgresServer, postgres_database: str
    ) -> None:
        """The dump is of the first version for ever; a later one must bring its data along."""
        postgres_server.sql(VERSION_1.read_text(), postgres_database)
        async with open_postgres(postgres_server.dsn(postgres_database), NETWORK) as store:
            records = await store.events_after(0, 100)
            assert [decode(record.wire, Event).type for record in records] == [
                "room.created",
                "message.created",
                "thread.created",
                "message.created",
                "dm.created",
                "message.created",
                "agent.wake.delivered",
                "message.created",
                "room.created",
                "room.removed",
                "agent.removed",
            ]
            bodies = (await store.message_page(room_history(), PageRequest())).items
            assert decode(bodies[0], Message) == post("m1", addressed=["molt://net_a/agents/beta"]).message
            assert (await store.message_page(direct_history("d1"), PageRequest())).first_id == "m3"
            assert (await store.artifact_page(room_history(), PageRequest())).first_id == "art_m4_0"
            thread, direct = await store.thread(ThreadId("t1")), await store.direct(DirectId("d1"))
            assert thread is not None
            assert direct is not None
            assert (thread.parent_message_id, direct.participant_ids) == ("m1", ("alpha", "net_b:beta"))
            contents = await store.load_directory()
            assert [(stored.room.name, stored.room.members) for stored in contents.rooms] == [("A\\B", ("alpha",))]
            assert [agent.registration.display_name for agent in contents.agents] == ["Al\0pha"]
            assert [session.digest for session in contents.sessions] == ["digest"]
            assert contents.pair_networks == (PairNetwork("key9", NetworkId("net_b")),)
            assert await store.commit([]) == Committed(())
            (stored,) = (await store.commit([post("m9")])).records
            assert stored.seq == 12

    async def test_a_newer_schema_is_refused_and_left_as_it_is(
        self, postgres_server: PostgresServer, postgres_database: str
    ) -> None:
        dsn = postgres_server.dsn(postgres_database)
        async with open_postgres(dsn, NETWORK):
            pass
        postgres_server.sql(f"INSERT INTO {MIGRATIONS} VALUES ({NEWEST + 1}, 'from the future', '')", postgres_database)
        error = await refusal(dsn)
        assert isinstance(error, SchemaUnsupported)
        assert f"schema version {NEWEST + 1}, this program knows versions up to {NEWEST}" in str(error)

    async def test_tables_of_another_program_are_left_alone(
        self, postgres_server: PostgresServer, postgres_database: str
    ) -> None:
        """Those of the reference among them: it calls its tables by some of the same names."""
        postgres_server.sql("CREATE TABLE rooms (id text); CREATE TABLE messages (id text)", postgres_database)
        error = await refusal(postgres_server.dsn(postgres_database))
        assert isinstance(error, SchemaUnsupported)
        assert "tables of another program (rooms, messages)" in str(error)
        tables = postgres_server.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", postgres_database)
        assert tables == "2"

    async def test_a_step_that_fails_leaves_nothing(
        self, postgres_server: PostgresServer, postgres_database: str
    ) -> None:
        postgres_server.sql("CREATE SEQUENCE artifacts_by_room", postgres_database)  # a name that an index needs
        with pytest.raises(StorageError, match="artifacts_by_room"):
            async with open_postgres(postgres_server.dsn(postgres_database), NETWORK):
                pass
        assert (
            postgres_server.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", postgres_database) == "0"
        )

    async def test_a_database_of_another_network_is_refused(self, postgres_dsn: str) -> None:
        async with open_postgres(postgres_dsn, NETWORK):
            pass
        error = await refusal(postgres_dsn, NetworkId("net_z"))
        assert isinstance(error, WrongNetwork)
        assert 'holds network "net_a", but the configuration names "net_z"' in str(error)


@pytest.mark.parametrize(("asked", "used"), [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")])
async def test_commits_wait_for_the_disk_whatever_the_database_prefers(
    postgres_server: PostgresServer, postgres_database: str, asked: str, used: str
) -> None:
    postgres_server.sql(f"ALTER DATABASE {postgres_database} SET synchronous_commit = {asked}")
    async with open_database(parse_dsn(postgres_server.dsn(postgres_database))) as database:
        assert await database.write(lambda connection: connection.fetchval("SHOW synchronous_commit")) == used


async def test_a_server_holds_no_more_connections_than_it_says(
    postgres_server: PostgresServer, postgres_database: str
) -> None:
    """However much is asked of it at once: a database has a hundred for all, as it comes."""
    count = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{postgres_database}' AND pid <> pg_backend_pid()"
    async with open_postgres(postgres_server.dsn(postgres_database), NETWORK) as store:
        await store.commit([create_room()])
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(store.events_after, 0, 100)
                nursery.start_soon(store.commit, [post(f"m{number}")])
        # One that writes, one that listens, one that renews the lease, one for what servers settle among themselves.
        assert limits.POSTGRES_READERS < int(postgres_server.sql(count)) <= limits.POSTGRES_READERS + 4


class TestRefusals:
    async def test_an_unknown_password(self, postgres_server: PostgresServer) -> None:
        wrong = "wr%3Aong"
        for dsn in (
            postgres_server.dsn("postgres", password=wrong),
            postgres_server.tcp_dsn("postgres", password=wrong),
            postgres_server.tcp_dsn("postgres", user="nobody_known"),
        ):
            error = await refusal(dsn)
            assert "refused to let us in" in str(error)
            assert "check user and password in storage.postgres.dsn or MOLTNET_POSTGRES_DSN" in str(error)
            assert "wr:ong" not in str(error)

    async def test_a_server_that_is_not_there(self, tmp_path: Path) -> None:
        for dsn in (
            f"postgres://u:{PASSWORD[:2]}@127.0.0.1:{free_port()}/d",
            f"postgres://u@/d?host={tmp_path}",
            "postgres://u@no-such-host.invalid/d",
        ):
            error = await refusal(dsn)
            assert "is away" in str(error)
            assert "is it running" in str(error)

    async def test_a_server_that_does_not_answer(self) -> None:
        with trio.socket.socket() as listening:
            await listening.bind(("127.0.0.1", 0))
            listening.listen()
            port = listening.getsockname()[1]
            error = await refusal(f"postgres://u@127.0.0.1:{port}/d?connect_timeout=1")
        assert f"127.0.0.1:{port}/d is away" in str(error)

    async def test_a_database_that_does_not_exist(self, postgres_server: PostgresServer) -> None:
        error = await refusal(postgres_server.dsn("nowhere"))
        assert 'database "nowhere" does not exist; create it' in str(error)

    async def test_a_user_without_rights(self, postgres_server: PostgresServer, postgres_database: str) -> None:
        role = f"guest_{postgres_database}"
        postgres_server.sql(
            f"CREATE ROLE {role} LOGIN PASSWORD 'guest'; REVOKE ALL ON SCHEMA public FROM PUBLIC", postgres_database
        )
        error = await refusal(postgres_server.dsn(postgres_database, user=role, password="guest"))
        assert "has no schema for us" in str(error)
        postgres_server.sql("GRANT USAGE ON SCHEMA public TO PUBLIC", postgres_database)
        error = await refusal(postgres_server.dsn(postgres_database, user=role, password="guest"))
        assert "permission denied for schema public" in str(error)
        assert "needs USAGE and CREATE on the schema" in str(error)
        async with open_postgres(postgres_server.dsn(postgres_database), NETWORK) as store:
            await store.commit([create_room()])
        error = await refusal(postgres_server.dsn(postgres_database, user=role, password="guest"))
        assert "permission denied for table" in str(error)
        tables = "ALL TABLES IN SCHEMA public"
        postgres_server.sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {role}", postgres_database)
        async with open_postgres(postgres_server.dsn(postgres_database, user=role, password="guest"), NETWORK) as store:
            await store.commit([post("m1")])
            postgres_server.sql(f"REVOKE INSERT ON {tables} FROM {role}", postgres_database)
            with pytest.raises(StorageFull, match="permission denied"):
                await store.commit([post("m2")])
        postgres_server.sql(f"DROP OWNED BY {role}", postgres_database)

    async def test_a_database_that_only_reads(self, postgres_server: PostgresServer, postgres_database: str) -> None:
        async with open_postgres(postgres_server.dsn(postgres_database), NETWORK):
            pass
        dsn = f"{postgres_server.dsn(postgres_database)}&options=-c+default_transaction_read_only%3Don"
        error = await refusal(dsn)
        assert isinstance(error, StorageFull)
        assert "read-only transaction" in str(error)

    async def test_an_encoding_that_can_not_hold_every_name(self, postgres_server: PostgresServer) -> None:
        postgres_server.sql("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
        error = await refusal(postgres_server.dsn("latin"))
        assert "keeps text as LATIN1" in str(error)

    async def test_a_search_path_that_leads_nowhere(self, postgres_server: PostgresServer) -> None:
        error = await refusal(f"{postgres_server.dsn('postgres')}&search_path=nowhere")
        assert "has no schema for us" in str(error)

    async def test_a_parameter_that_makes_no_sense(self, postgres_server: PostgresServer) -> None:
        error = await refusal(postgres_server.tcp_dsn("postgres", query="?sslmode=perhaps"))
        assert "`sslmode` parameter must be one of" in str(error)

    async def test_a_server_that_is_too_old(self, postgres_server: PostgresServer) -> None:
        """One that says so: the version is the first thing that a server tells of itself."""
        async with open_proxy(postgres_server.port) as proxy:
            major = postgres_server.sql("SHOW server_version").partition(".")[0].encode()
            proxy.forgery = (b"server_version\0" + major, b"server_version\x0012")
            error = await refusal(postgres_server.tcp_dsn("postgres", port=proxy.port, query="?sslmode=disable"))
            assert f"PostgreSQL at 127.0.0.1:{proxy.port}/postgres is version 12, and 13 is the oldest" in str(error)
            assert "upgrade the server" in str(error)
            proxy.forgery = (proxy.forgery[0], b"server_version\x0013")
            async with open_postgres(
                f"{postgres_server.tcp_dsn('postgres', port=proxy.port)}?sslmode=disable"
                f"&search_path={postgres_server.new_schema()}",
                NETWORK,
            ):
                pass
