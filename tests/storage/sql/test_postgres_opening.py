"""Opening a database on PostgreSQL: how the schema comes, and what is said when it may not or can not be opened."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from moltnet.protocol.codec import decode
from moltnet.protocol.events import Event
from moltnet.protocol.ids import DirectId, NetworkId, ThreadId
from moltnet.protocol.messages import Message
from moltnet.protocol.pages import PageRequest
from moltnet.storage.records import PairNetwork
from moltnet.storage.sql.migrate import load_migrations
from moltnet.storage.sql.postgres.database import check_version, open_database
from moltnet.storage.sql.postgres.dsn import parse_dsn
from moltnet.storage.sql.postgres.schema import MIGRATIONS
from moltnet.storage.sql.postgres.store import open_postgres
from moltnet.storage.store import Committed, SchemaUnsupported, StorageError, StorageFull, WrongNetwork
from tests.fakes.postgres import PASSWORD, PostgresServer, free_port
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

    def test_a_server_that_is_too_old(self) -> None:
        dsn = parse_dsn("postgres://u@h/d")
        check_version(13, dsn)
        with pytest.raises(StorageError, match="PostgreSQL at h/d is version 12, and 13 is the oldest"):
            check_version(12, dsn)


class TestTls:
    """A proxy speaks TLS for the server: not every PostgreSQL is built with it."""

    @pytest.mark.parametrize(
        "parameters",
        [
            "?sslmode=verify-full&sslrootcert={}",
            "?sslmode=verify-ca&sslrootcert={}",
            "?sslmode=require",
            "?sslmode=prefer",
            "",
        ],
    )
    async def test_the_modes_of_libpq(
        self, postgres_server: PostgresServer, postgres_database: str, tmp_path: Path, parameters: str
    ) -> None:
        certificate, context = new_certificate(tmp_path / "server.pem")
        async with open_proxy(postgres_server.port, tls=context) as proxy:
            dsn = postgres_server.tcp_dsn(postgres_database, port=proxy.port, query=parameters.format(certificate))
            async with open_postgres(dsn, NETWORK) as store:
                await store.commit([create_room()])
            assert proxy.secured >= 1

    async def test_a_certificate_of_somebody_else_is_refused(
        self, postgres_server: PostgresServer, tmp_path: Path
    ) -> None:
        _, context = new_certificate(tmp_path / "server.pem")
        stranger, _ = new_certificate(tmp_path / "stranger.pem")
        async with open_proxy(postgres_server.port, tls=context) as proxy:
            query = f"?sslmode=verify-full&sslrootcert={stranger}"
            error = await refusal(postgres_server.tcp_dsn("postgres", port=proxy.port, query=query))
        assert "certificate that is not trusted" in str(error)
        assert proxy.secured == 0

    async def test_a_server_without_tls_is_refused_if_tls_is_asked_for(self, postgres_server: PostgresServer) -> None:
        error = await refusal(postgres_server.tcp_dsn("postgres", query="?sslmode=require"))
        assert "rejected SSL upgrade" in str(error)


def new_certificate(path: Path) -> tuple[Path, ssl.SSLContext]:
    """The file of a certificate of 127.0.0.1, signed by itself, and what a server does with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, path.stem)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return path, context
