"""Connections that are lost at any moment, transactions that collide, rows that are damaged: nothing half is kept."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # ships no types
import attrs
import pytest
import trio

from moltnet.protocol.ids import EventId, ThreadId, event_id_of_message
from moltnet.protocol.pages import PageRequest
from moltnet.storage import limits
from moltnet.storage.commands import AgentStored, MessageRepeated, MessageStored, RecordEvents, RoomStored
from moltnet.storage.sql.postgres import batch
from moltnet.storage.sql.postgres.database import open_database
from moltnet.storage.sql.postgres.dsn import parse_dsn
from moltnet.storage.sql.postgres.failures import translated
from moltnet.storage.sql.postgres.store import PostgresStore, open_postgres
from moltnet.storage.store import Committed, StorageError, StorageFull, Store
from tests.contracts.store_messages import wake
from tests.fakes.postgres import PostgresServer
from tests.fakes.tcp_proxy import Proxy, open_proxy
from tests.fakes.trio_thread import TrioThread
from tests.storage.examples import NETWORK, create_room, post, register, room_history, thread_post

# Some of them wait for real seconds to pass.
pytestmark = pytest.mark.slow

# More than anybody says from connecting to the end of the first commit.
MOST_PIECES = 100


@attrs.frozen(eq=False)
class Wired:
    """A store at the end of a wire that can be cut; it has one room and one message."""

    store: Store
    proxy: Proxy
    server: PostgresServer
    database: str

    def count(self, table: str) -> int:
        return int(self.server.sql(f"SELECT count(*) FROM {table}", self.database))


@pytest.fixture
async def wired(postgres_server: PostgresServer, postgres_database: str) -> AsyncIterator[Wired]:
    async with open_proxy(postgres_server.port) as proxy:
        dsn = postgres_server.tcp_dsn(postgres_database, port=proxy.port, query="?sslmode=disable")
        async with open_postgres(dsn, NETWORK) as store:
            await store.commit([create_room(), post("before")])
            yield Wired(store, proxy, postgres_server, postgres_database)


async def assert_unchanged_and_working(wired: Wired) -> None:
    """A failed commit left nothing, and the next one goes through with the next number."""
    assert (await wired.store.event_bounds()).newest_seq == 2
    committed = await wired.store.commit([post("after")])
    assert [record.seq for record in committed.records] == [3]
    assert (await wired.store.message_page(room_history(), PageRequest())).last_id == "after"


class TestLostConnections:
    async def test_a_connection_that_was_lost_while_idle_is_opened_again(self, wired: Wired) -> None:
        await wired.store.event_bounds()
        wired.proxy.cut_all()
        await assert_unchanged_and_working(wired)
        await wired.store.check_writable()

    async def test_a_connection_that_the_server_ends_is_opened_again(self, wired: Wired) -> None:
        wired.server.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{wired.database}' AND pid <> pg_backend_pid()",
        )
        await assert_unchanged_and_working(wired)

    @pytest.mark.parametrize("step", [b"BEGIN", b"pg_advisory_xact_lock", b"m1", b"hello", b"COMMIT\0"])
    async def test_a_commit_that_never_arrived_is_made_again(self, wired: Wired, step: bytes) -> None:
        """Begin and lock, load, write, commit."""
        wired.proxy.cut_at = step
        committed = await wired.store.commit([post("m1"), post("m2")])
        assert (wired.proxy.cuts, [record.seq for record in committed.records]) == (1, [3, 4])
        assert wired.count("messages") == 3
        assert await wired.store.commit([]) == await wired.store.commit([])

    async def test_a_commit_whose_answer_was_lost_is_not_made_again(self, wired: Wired) -> None:
        """Whether it happened is looked up, so nobody is told that an accepted message failed, or sees it twice."""
        wired.proxy.cut_after = b"COMMIT\0"
        committed = await wired.store.commit([post("m1"), register("alpha", "key1")])
        assert wired.proxy.cuts == 1
        assert committed.outcomes[0] == MessageStored(event_id_of_message("m1"))
        assert [record.seq for record in committed.records] == [3]
        assert len(committed.agents) == 1
        assert wired.count("messages") == 2
        assert (await wired.store.commit([])).records == ()
        assert [record.seq for record in (await wired.store.commit([post("m2")])).records] == [4]

    async def test_a_commit_that_is_cut_at_any_step_is_made_once(
        self, wired: Wired, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """From the first byte of a new connection to the last answer on it, whichever side did not hear the other."""
        monkeypatch.setattr(limits, "POSTGRES_LISTEN_AGAIN_SECONDS", 1000)
        for pieces in range(MOST_PIECES):
            wired.proxy.cut_all()
            wired.proxy.lifetimes = iter([pieces])
            cuts_before = wired.proxy.cuts
            committed = await wired.store.commit([post(f"m{pieces}"), post(f"n{pieces}")])
            first = 3 + 2 * pieces
            assert [record.seq for record in committed.records] == [first, first + 1]
            assert committed.outcomes == tuple(
                MessageStored(event_id_of_message(f"{name}{pieces}")) for name in ("m", "n")
            )
            if wired.proxy.cuts == cuts_before:
                break
        assert 20 < pieces < MOST_PIECES - 1
        assert wired.count("events") == first + 1

    async def test_a_change_without_an_event_whose_answer_was_lost_is_made_once(self, wired: Wired) -> None:
        """Made again it would answer differently: the agent would be known already."""
        wired.proxy.cut_after = b"COMMIT\0"
        committed = await wired.store.commit([register("alpha", "key1")])
        assert wired.proxy.cuts == 1
        (outcome,) = committed.outcomes
        assert isinstance(outcome, AgentStored)
        assert outcome.created
        assert [agent.id for agent in committed.agents] == ["alpha"]
        assert (await wired.store.commit([])).agents == ()

    @pytest.mark.parametrize("step", [b"alpha", b"COMMIT\0"])
    async def test_a_change_without_an_event_that_never_arrived_is_made_again(self, wired: Wired, step: bytes) -> None:
        wired.proxy.cut_at = step
        committed = await wired.store.commit([register("alpha", "key1")])
        assert (wired.proxy.cuts, [agent.id for agent in committed.agents]) == (1, ["alpha"])
        assert wired.count("agents") == 1

    async def test_a_batch_that_changes_nothing_is_made_again_when_its_answer_was_lost(self, wired: Wired) -> None:
        """Nobody who sends a message again is told that the storage failed."""
        wired.proxy.cut_after = b"COMMIT\0"
        committed = await wired.store.commit([post("before")])
        assert wired.proxy.cuts == 1
        assert committed == Committed((MessageRepeated(event_id_of_message("before"), same=True),))

    async def test_a_change_that_nobody_knows_of_any_more_is_said_to_be_unknown(
        self, wired: Wired, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(batch, "_TRANSACTION_STATUS", "SELECT NULL::text FROM (SELECT $1::text) AS forgotten")
        wired.proxy.cut_after = b"COMMIT\0"
        with pytest.raises(StorageError, match="whether the change was made is not known"):
            await wired.store.commit([register("alpha", "key1")])
        # It was: the next look brings it, as if somebody else had done it.
        assert [agent.id for agent in (await wired.store.commit([])).agents] == ["alpha"]

    async def test_a_read_that_was_cut_is_made_again(self, wired: Wired) -> None:
        await wired.store.message_page(room_history(), PageRequest(before="before"))
        wired.proxy.cut_after = b"before"
        page = await wired.store.message_page(room_history(), PageRequest(after="before"))
        assert (page.items, wired.proxy.cuts) == ((), 1)

    async def test_a_network_that_is_gone_is_an_error_in_time_and_heals(
        self, wired: Wired, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "POSTGRES_CALL_SECONDS", 0.2)
        monkeypatch.setattr(limits, "POSTGRES_PATIENCE_SECONDS", 0.3)
        wired.proxy.hold()
        with pytest.raises(StorageError, match=r"did not answer within 0\.2 seconds"):
            await wired.store.commit([post("lost")])
        with pytest.raises(StorageError, match="did not answer"):
            await wired.store.event_bounds()
        with pytest.raises(StorageError, match="did not answer"):
            await wired.store.check_writable()
        monkeypatch.undo()
        wired.proxy.cut_all()
        wired.proxy.release()
        await assert_unchanged_and_working(wired)

    async def test_a_database_that_stays_away_keeps_nobody_waiting(
        self, wired: Wired, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "POSTGRES_PATIENCE_SECONDS", 0.2)
        monkeypatch.setattr(limits, "POSTGRES_LISTEN_AGAIN_SECONDS", 1000)
        wired.proxy.refusing = True
        wired.proxy.cut_all()
        for tries in (range(3, 1000), range(1, 2), range(1, 2)):
            tried_before = wired.proxy.accepted
            with pytest.raises(StorageError, match="is away"):
                await wired.store.commit([post("lost")])
            assert wired.proxy.accepted - tried_before in tries
            await trio.sleep(limits.POSTGRES_PATIENCE_SECONDS)  # it gave up when the next try would have been too late
        wired.proxy.refusing = False
        await assert_unchanged_and_working(wired)

    async def test_what_others_committed_while_we_were_deaf_is_heard_of(
        self, wired: Wired, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "POSTGRES_POLL_SECONDS", 0.05)
        await wired.store.wait_changed()
        with trio.fail_after(30):
            async with open_postgres(wired.server.dsn(wired.database), NETWORK) as other:
                wired.proxy.cut_all()
                await other.commit([post("m1")])
                seen: list[str] = []
                while not seen:
                    await wired.store.wait_changed()
                    seen += [record.message_id for record in (await wired.store.commit([])).records]
        assert seen == ["m1"]


class TestCollisions:
    @pytest.mark.parametrize("code", ["40001", "40P01"])
    async def test_a_transaction_that_lost_against_another_is_made_again(self, wired: Wired, code: str) -> None:
        wired.server.sql(
            "CREATE SEQUENCE tries; CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF nextval('tries') = 1 THEN RAISE EXCEPTION 'later' USING ERRCODE = '{code}'; END IF; RETURN NEW; "
            "END $$; "
            "CREATE TRIGGER failing BEFORE INSERT ON messages FOR EACH STATEMENT EXECUTE FUNCTION fail_once()",
            wired.database,
        )
        await assert_unchanged_and_working(wired)
        assert wired.server.sql("SELECT last_value FROM tries", wired.database) == "2"

    async def test_a_table_that_a_newer_server_changes_is_no_failure(self, wired: Wired) -> None:
        await wired.store.commit([thread_post("m1", "t1")])
        await wired.store.commit([thread_post("m2", "t1")])
        wired.server.sql("ALTER TABLE threads ALTER message_count TYPE integer", wired.database)
        await wired.store.commit([thread_post("m3", "t1")])
        thread = await wired.store.thread(ThreadId("t1"))
        assert thread is not None
        assert thread.message_count == 3

    @pytest.mark.parametrize("level", ["repeatable read", "serializable"])
    async def test_who_has_waited_for_another_sees_what_it_did_whatever_the_database_prefers(
        self, wired: Wired, level: str
    ) -> None:
        """A snapshot that is taken before the wait would number two events alike."""
        wired.server.sql(f"ALTER DATABASE {wired.database} SET default_transaction_isolation = '{level}'")
        wired.proxy.cut_all()  # the next connection prefers it too
        async with open_postgres(wired.server.dsn(wired.database), NETWORK) as other, trio.open_nursery() as nursery:
            for name, store in (("a", wired.store), ("b", other)):
                for number in range(10):
                    nursery.start_soon(store.commit, [post(f"{name}{number}")])
        assert (await wired.store.event_bounds()).newest_seq == 22

    async def test_a_lock_that_is_never_let_go_is_an_error_in_time(
        self, wired: Wired, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "POSTGRES_STATEMENT_SECONDS", 1)
        wired.proxy.cut_all()  # the next connection has the new limit
        assert isinstance(wired.store, PostgresStore)
        async with open_database(parse_dsn(wired.server.dsn(wired.database))) as other:
            await other.write(lambda connection: connection.execute(wired.store.begin))  # type: ignore[attr-defined]
            with pytest.raises(StorageError, match="statement timeout"):
                await wired.store.commit([post("late")])
            await other.write(lambda connection: connection.execute("ROLLBACK"))
        await assert_unchanged_and_working(wired)

    async def test_a_server_that_vanished_with_the_lock_is_let_go_of(
        self, wired: Wired, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "POSTGRES_IDLE_TRANSACTION_SECONDS", 1)
        async with open_database(parse_dsn(wired.server.dsn(wired.database))) as other:
            await other.write(lambda connection: connection.execute(wired.store.begin))  # type: ignore[attr-defined]
            await assert_unchanged_and_working(wired)


class TestFailures:
    async def test_a_crash_of_the_planner_rolls_the_transaction_back(self, wired: Wired) -> None:
        broken = attrs.evolve(post("broken"), body="not bytes")  # type: ignore[arg-type]  # the bug that is acted out
        with pytest.raises(TypeError):
            await wired.store.commit([post("neighbour"), broken])
        await assert_unchanged_and_working(wired)

    async def test_a_violated_constraint_is_a_bug_and_not_an_error_of_the_storage(self, wired: Wired) -> None:
        event = wake("evt_twice")
        with pytest.raises(asyncpg.UniqueViolationError):
            await wired.store.commit([RecordEvents((event, attrs.evolve(event, id=EventId("evt_twice"))))])
        await assert_unchanged_and_working(wired)

    @pytest.mark.parametrize(
        ("damage", "read"),
        [
            ("UPDATE events SET addressed = '{' WHERE seq = 2", lambda store: store.events_after(0, 10)),
            ("DELETE FROM messages", lambda store: store.events_after(0, 10)),
            ("DROP TABLE room_members", lambda store: store.load_directory()),
        ],
    )
    async def test_a_damaged_row_is_an_error_and_not_a_shorter_page(
        self, wired: Wired, damage: str, read: Callable[[Store], Any]
    ) -> None:
        wired.server.sql(damage, wired.database)
        with pytest.raises(StorageError):
            await read(wired.store)

    @pytest.mark.parametrize(
        "error", [asyncpg.DiskFullError("no space left on device"), asyncpg.ReadOnlySQLTransactionError("read-only")]
    )
    def test_a_database_without_room_says_so(self, error: Exception) -> None:
        ours = translated(error, parse_dsn("postgres://u@h/d"))
        assert isinstance(ours, StorageFull)
        assert "PostgreSQL at h/d can't be written to" in str(ours)

    async def test_a_server_that_became_a_standby_is_left_for_the_one_that_writes(self, wired: Wired) -> None:
        """With several hosts in the DSN the next connection finds the new primary."""
        assert isinstance(wired.store, PostgresStore)
        read_only = "SET default_transaction_read_only = on"
        await wired.store.database.write(lambda connection: connection.execute(read_only))
        with pytest.raises(StorageFull, match="read-only"):
            await wired.store.commit([post("refused")])
        await assert_unchanged_and_working(wired)

    async def test_a_cursor_that_no_text_can_hold_is_an_unknown_one(self, wired: Wired) -> None:
        assert await wired.store.event_seq("evt\0") is None
        assert await wired.store.event_seq("evt\ud800") is None
        assert await wired.store.event_seq("x" * 100_000) is None


class TestTasks:
    async def test_a_shielded_commit_goes_through_while_everything_is_cancelled(self, postgres_dsn: str) -> None:
        """The journal commits what waits when the server is told to stop at once."""
        outcomes: list[object] = []

        @asynccontextmanager
        async def open_drain(store: Store) -> AsyncIterator[None]:
            try:
                yield
            finally:
                with trio.CancelScope(shield=True):
                    outcomes.extend((await store.commit([create_room()])).outcomes)

        with trio.CancelScope() as scope:
            async with open_postgres(postgres_dsn, NETWORK) as store, open_drain(store):
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert [type(outcome) for outcome in outcomes] == [RoomStored]

    async def test_an_error_of_the_block_comes_out_as_it_is(self, postgres_dsn: str) -> None:
        with pytest.raises(KeyError, match="mine"):
            async with open_postgres(postgres_dsn, NETWORK):
                raise KeyError("mine")

    async def test_a_cancelled_read_leaves_a_store_that_reads(self, wired: Wired) -> None:
        for _ in range(2 * limits.POSTGRES_READERS):
            with trio.move_on_after(0.005):
                while True:
                    await wired.store.events_after(0, 100)
        await assert_unchanged_and_working(wired)

    def test_tasks_that_did_not_come_from_the_store_may_use_it(self, postgres_dsn: str) -> None:
        """A connection's task is no child of the one that opened the store, so it does not inherit its asyncio loop."""
        thread = TrioThread()
        ready, done = [], trio.Event()

        async def hold() -> None:
            async with open_postgres(postgres_dsn, NETWORK) as store:
                ready.append(store)
                await done.wait()

        async def start() -> None:
            trio.lowlevel.spawn_system_task(hold)
            while not ready:  # noqa: ASYNC110 - the task is in another world
                await trio.sleep(0.01)

        try:
            thread.run(start)
            committed = thread.run(lambda: ready[0].commit([create_room()]))
            assert [record.seq for record in committed.records] == [1]
        finally:
            thread.run(lambda: set_and_wait(done))
            thread.close()


async def set_and_wait(event: trio.Event) -> None:
    event.set()
    await trio.sleep(0.1)
