"""Seats at several servers: who has one, who is in the way, and what a thousand of them cost."""

from collections.abc import AsyncIterator

import pytest
import trio

from moltnet.protocol.ids import AgentId
from moltnet.storage import limits
from moltnet.storage.seating import Departed, Occupied, Seating
from moltnet.storage.sql.postgres.store import PostgresStore, open_postgres
from moltnet.storage.store import StorageError
from tests.fakes.network import wait_until
from tests.fakes.postgres import PostgresServer
from tests.fakes.shared_network import HASTY, PATIENT, locked_table, run_sql
from tests.fakes.tcp_proxy import open_proxy
from tests.storage.examples import NETWORK

ALPHA, BETA = AgentId("alpha"), AgentId("beta")


@pytest.fixture
async def stores(postgres_dsn: str) -> AsyncIterator[tuple[PostgresStore, ...]]:
    async with (
        open_postgres(postgres_dsn, NETWORK, PATIENT) as one,
        open_postgres(postgres_dsn, NETWORK, PATIENT) as two,
    ):
        assert isinstance(one, PostgresStore)
        assert isinstance(two, PostgresStore)
        with trio.fail_after(60):
            yield one, two


async def take(seating: Seating, agent_id: AgentId, key: str = "key", *, alone: bool = False) -> bool:
    """Whether the agent has a seat now."""
    seating.note(agent_id, key, 1, alone=alone)
    try:
        await seating.confirm(agent_id)
    except Occupied:
        seating.note(agent_id, key, 0, alone=alone)
        return False
    return True


async def take_in_the_end(seating: Seating, agent_id: AgentId, key: str = "key", *, alone: bool = False) -> None:
    while not await take(seating, agent_id, key, alone=alone):  # noqa: ASYNC110 - nobody tells when it is free
        await trio.sleep(0.01)


# What one server has, what comes to the other → whether it has a place.
NEIGHBOURS = [
    (("key", False), ("key", False), True),
    (("key", False), ("other", False), False),
    (("key", False), ("key", True), False),
    (("key", True), ("key", True), False),
]


@pytest.mark.parametrize(("present", "coming", "expected"), NEIGHBOURS)
async def test_who_may_sit_beside_whom(
    present: tuple[str, bool], coming: tuple[str, bool], expected: bool, stores: tuple[PostgresStore, ...]
) -> None:
    one, other = (store.seating for store in stores)
    assert await take(one, ALPHA, present[0], alone=present[1])
    assert await take(other, ALPHA, coming[0], alone=coming[1]) is expected
    assert await take(other, BETA, coming[0], alone=coming[1])
    one.note(ALPHA, present[0], 0, alone=present[1])
    one.note(BETA, "key", 0, alone=False)
    with trio.fail_after(30):
        await take_in_the_end(other, ALPHA, coming[0], alone=coming[1])


async def test_of_many_that_want_one_seat_one_gets_it(stores: tuple[PostgresStore, ...]) -> None:
    for turn in range(20):
        got: list[bool] = []
        agent_id = AgentId(f"agent{turn}")

        async def try_it(seating: Seating, agent_id: AgentId = agent_id, got: list[bool] = got) -> None:
            got.append(await take(seating, agent_id, alone=True))

        async with trio.open_nursery() as nursery:
            for store in stores:
                nursery.start_soon(try_it, store.seating)
        assert sorted(got) == [False, True]


async def test_a_thousand_handshakes_at_once_are_a_few_transactions(
    stores: tuple[PostgresStore, ...], postgres_server: PostgresServer, postgres_dsn: str
) -> None:
    one, other = (store.seating for store in stores)
    agents = [AgentId(f"agent{number}") for number in range(1000)]
    async with trio.open_nursery() as nursery:
        for number, agent_id in enumerate(agents):
            nursery.start_soon(take, (one, other)[number % 2], agent_id)
    assert int(run_sql(postgres_server, postgres_dsn, "SELECT revision FROM seat_changes")) < 20
    for seating, theirs in ((one, agents[1::2]), (other, agents[::2])):
        await wait_until(lambda seating=seating, theirs=theirs: all(map(seating.is_attached_elsewhere, theirs)))  # type: ignore[misc]  # bound
        assert seating.attachments_elsewhere("key") == 500
    # Nothing happens while nothing happens.
    quiet = run_sql(postgres_server, postgres_dsn, "SELECT revision FROM seat_changes")
    await trio.sleep(20 * PATIENT.beat)
    assert run_sql(postgres_server, postgres_dsn, "SELECT revision FROM seat_changes") == quiet


async def test_attachments_are_counted_by_their_credential(stores: tuple[PostgresStore, ...]) -> None:
    one, other = (store.seating for store in stores)
    for agent_id, key, attachments in ((ALPHA, "key", 2), (BETA, "key", 1), (AgentId("gamma"), "other", 4)):
        one.note(agent_id, key, attachments, alone=False)
    await wait_until(lambda: other.attachments_elsewhere("key") == 3)
    assert (other.attachments_elsewhere("other"), other.attachments_elsewhere("none")) == (4, 0)
    one.note(ALPHA, "key", 1, alone=False)
    await wait_until(lambda: other.attachments_elsewhere("key") == 2)
    assert one.attachments_elsewhere("key") == 0


async def test_a_seat_that_was_free_for_long_is_forgotten(
    stores: tuple[PostgresStore, ...], postgres_server: PostgresServer, postgres_dsn: str
) -> None:
    one, other = (store.seating for store in stores)
    assert await take(one, ALPHA)
    assert await take(one, BETA)
    await wait_until(lambda: other.is_attached_elsewhere(ALPHA))
    one.note(ALPHA, "key", 0, alone=False)
    await wait_until(lambda: not other.is_attached_elsewhere(ALPHA))
    run_sql(postgres_server, postgres_dsn, "UPDATE seats SET changed_at = '-infinity'")
    stores[0]._servers.lease.doubt()
    await wait_until(
        lambda: run_sql(postgres_server, postgres_dsn, "SELECT string_agg(agent_id, ' ') FROM seats") == "beta"
    )
    assert other.is_attached_elsewhere(BETA)


async def test_nobody_waits_for_ever_for_a_seat(
    stores: tuple[PostgresStore, ...],
    postgres_server: PostgresServer,
    postgres_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seating = stores[0].seating
    async with locked_table(postgres_server, postgres_dsn, "seat_changes"):
        with monkeypatch.context() as patch:
            patch.setattr(limits, "POSTGRES_PATIENCE_SECONDS", 0.1)
            with pytest.raises(StorageError, match="does not tell in time"):
                await take(seating, ALPHA)
    assert await take(seating, ALPHA)


async def test_a_doubt_reaches_the_server_that_has_the_seat(stores: tuple[PostgresStore, ...]) -> None:
    one, other = (store.seating for store in stores)
    assert await take(one, ALPHA, alone=True)
    for _ in range(2):
        other.doubt(ALPHA)
        news = await one.next_news()
        assert news.doubted == {ALPHA}


async def test_what_the_dead_have_left_comes_in_pieces_and_the_same_ones(
    stores: tuple[PostgresStore, ...],
    postgres_server: PostgresServer,
    postgres_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("moltnet.storage.limits.DEPARTED_SEATS", 2)
    one, other = (store.seating for store in stores)
    run_sql(
        postgres_server,
        postgres_dsn,
        "INSERT INTO servers VALUES ('dead', '-infinity'); "
        "INSERT INTO seats (agent_id, server_id, credential_key, attachments, revision) "
        "SELECT agent_id, 'dead', 'key', 1, 0 FROM unnest(ARRAY['a', 'b', 'c']) AS left_behind (agent_id)",
    )
    assert (await one.next_news()).departed
    first = Departed("dead", ((AgentId("a"), 1), (AgentId("b"), 1)))
    assert await one.departed() == first
    assert await other.departed() == first
    await one.forget(first)
    second = await other.departed()
    assert second == Departed("dead", ((AgentId("c"), 1),))
    await other.forget(second)
    assert await one.departed() is None


async def test_seats_are_said_again_after_the_connection_was_lost(postgres_server: PostgresServer) -> None:
    """The database may have forgotten them: they are not worth waiting for its disk."""
    database = postgres_server.new_database()
    dsn = postgres_server.dsn(database)
    with trio.fail_after(60):
        async with (
            open_proxy(postgres_server.port) as proxy,
            open_postgres(postgres_server.tcp_dsn(database, port=proxy.port), NETWORK, PATIENT) as one,
            open_postgres(dsn, NETWORK, PATIENT) as other,
        ):
            assert one.seating is not None
            assert other.seating is not None
            assert await take(one.seating, ALPHA)
            assert await take(one.seating, BETA)
            run_sql(postgres_server, dsn, "DELETE FROM seats; UPDATE seat_changes SET revision = 0")
            # Somebody else was quicker there.
            assert await take(other.seating, BETA, "other")
            proxy.cut_all()
            assert (await one.seating.next_news()).unseated == {BETA}
            assert run_sql(postgres_server, dsn, "SELECT count(*) FROM seats WHERE agent_id = 'alpha'") == "1"


async def test_who_is_cut_off_hears_of_it_before_others_may_have_its_seats(postgres_server: PostgresServer) -> None:
    database = postgres_server.new_database()
    with trio.fail_after(60):
        async with (
            open_proxy(postgres_server.port) as proxy,
            open_postgres(postgres_server.tcp_dsn(database, port=proxy.port), NETWORK, HASTY) as one,
            open_postgres(postgres_server.dsn(database), NETWORK, PATIENT) as other,
        ):
            assert one.seating is not None
            assert other.seating is not None
            assert await take(one.seating, ALPHA, alone=True)
            await wait_until(lambda: other.seating is not None and other.seating.is_attached_elsewhere(ALPHA))
            proxy.hold()
            told: list[str] = []
            async with trio.open_nursery() as nursery:

                @nursery.start_soon
                async def hear() -> None:
                    while not (await one.seating.next_news()).is_cut_off:  # type: ignore[union-attr]  # it has one
                        pass
                    told.append("cut off")

                await take_in_the_end(other.seating, ALPHA, alone=True)
                told.append("taken")
            assert told == ["cut off", "taken"]
            proxy.release()
