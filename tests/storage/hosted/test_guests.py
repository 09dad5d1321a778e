"""Several guests of one host: what they promise each other is what servers on one database promise."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from moltnet.protocol.ids import AgentId, NetworkId
from moltnet.storage.commands import RecordEvents
from moltnet.storage.hosted.guest import GuestStore, open_guest
from moltnet.storage.hosted.host import Host
from moltnet.storage.hosted.link import Link, LinkLost
from moltnet.storage.limits import MAX_NEWS_EVENTS
from moltnet.storage.memory import open_memory
from moltnet.storage.seating import Departed, Occupied
from moltnet.storage.spending import Spent
from moltnet.storage.sql.sqlite import open_sqlite
from moltnet.storage.store import StorageError, Store, WrongNetwork
from tests.contracts.store_messages import wake
from tests.contracts.store_shared import OpenStore, SharedContract, seqs
from tests.fakes.hosted import OpenGuest, open_host, socket_pair
from tests.storage.examples import NETWORK, create_room, post, register

ALPHA, BETA = AgentId("alpha"), AgentId("beta")


@pytest.fixture
async def open_another(tmp_path: Path) -> AsyncIterator[OpenGuest]:
    async with open_host(open_sqlite(tmp_path / "moltnet.db", NETWORK), NETWORK) as open_one_more:
        yield open_one_more


@pytest.fixture
async def first(open_another: OpenGuest) -> AsyncIterator[GuestStore]:
    async with open_another() as guest:
        yield guest


@pytest.fixture
async def second(open_another: OpenGuest, first: GuestStore) -> AsyncIterator[GuestStore]:
    async with open_another() as guest:
        yield guest


class TestTwoGuests(SharedContract):
    async def test_who_does_not_listen_for_long_gets_the_newest_and_finds_the_rest(
        self, first: Store, second: Store
    ) -> None:
        await first.commit([create_room(), register("alpha", "key1")])
        for part in range(3):
            await first.commit([RecordEvents(tuple(wake(f"evt_{part}_{n}") for n in range(MAX_NEWS_EVENTS // 2)))])
        news = await second.commit([post("m1")])
        newest = (await second.event_bounds()).newest_seq
        assert seqs(news)[-MAX_NEWS_EVENTS:] == list(range(newest - MAX_NEWS_EVENTS + 1, newest + 1))
        assert [agent.id for agent in news.agents] == ["alpha"]
        assert [record.seq for record in await second.events_after(0, 3)] == [1, 2, 3]

    async def test_a_batch_that_fails_harms_nobody_elses(self, first: Store, second: Store) -> None:
        await first.commit([create_room()])
        failures = list[Exception]()

        async def fail() -> None:
            try:
                await first.commit([RecordEvents((None,))])  # type: ignore[arg-type]
            except Exception as error:
                failures.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            nursery.start_soon(second.commit, [post("m1")])
        assert len(failures) == 1
        assert [record.message_id for record in (await first.commit([])).records] == ["m1"]


class TestSeats:
    async def test_one_credential_may_sit_at_both_and_another_at_neither(
        self, first: GuestStore, second: GuestStore
    ) -> None:
        first.seating.note(ALPHA, "key1", 1, alone=False)
        await first.seating.confirm(ALPHA)
        second.seating.note(ALPHA, "key1", 2, alone=False)
        await second.seating.confirm(ALPHA)
        second.seating.note(BETA, "key2", 1, alone=False)
        await second.seating.confirm(BETA)
        first.seating.note(BETA, "key1", 1, alone=False)
        with pytest.raises(Occupied) as caught:
            await first.seating.confirm(BETA)
        assert caught.value.key == "key2"
        assert first.seating.is_attached_elsewhere(ALPHA)
        assert first.seating.attachments_elsewhere("key1") == 2
        second.seating.note(BETA, "key2", 0, alone=False)
        await second.commit([])
        await first.seating.confirm(BETA)

    async def test_who_sits_alone_is_doubted_where_it_sits(self, first: GuestStore, second: GuestStore) -> None:
        first.seating.note(ALPHA, "", 1, alone=True)
        await first.seating.confirm(ALPHA)
        second.seating.note(ALPHA, "", 1, alone=True)
        with pytest.raises(Occupied):
            await second.seating.confirm(ALPHA)
        second.seating.doubt(ALPHA)
        with trio.fail_after(10):
            assert (await first.seating.next_news()).doubted == {ALPHA}

    async def test_what_a_dead_guest_leaves_is_free_and_waits_to_be_reported(
        self, open_another: OpenGuest, first: GuestStore
    ) -> None:
        async with open_another() as dying:
            dying.seating.note(ALPHA, "", 1, alone=True)
            await dying.seating.confirm(ALPHA)
            await first.commit([])
            assert first.seating.is_attached_elsewhere(ALPHA)
        with trio.fail_after(10):
            assert (await first.seating.next_news()).departed
        assert not first.seating.is_attached_elsewhere(ALPHA)
        first.seating.note(ALPHA, "", 1, alone=True)
        await first.seating.confirm(ALPHA)
        left = await first.seating.departed()
        assert left is not None
        assert left.attachments == ((ALPHA, 1),)
        async with open_another() as later:
            assert (await later.seating.next_news()).departed
        await first.seating.forget(left)
        assert await first.seating.departed() is None
        await first.seating.forget(Departed("nobody", ((ALPHA, 1),)))


class TestOwners:
    async def test_the_next_one_has_the_work_of_a_dead_guest(self, open_another: OpenGuest, first: GuestStore) -> None:
        async with open_another() as dying, dying.owned("work"), trio.open_nursery() as nursery:
            has_it = trio.Event()

            @nursery.start_soon
            async def wait() -> None:
                async with first.owned("work"):
                    has_it.set()

            await first.commit([])
            assert not has_it.is_set()
            await trio.aclose_forcefully(dying.link.stream)
            with trio.fail_after(10):
                await has_it.wait()

    async def test_who_stops_waiting_is_not_next(self, first: GuestStore, second: GuestStore) -> None:
        async with first.owned("work"):
            with trio.move_on_after(0.1):
                async with second.owned("work"):
                    raise AssertionError("two have it")
        with trio.fail_after(10):
            async with first.owned("work"):
                pass
            async with second.owned("work"):
                pass


async def test_what_callers_use_up_adds_up(first: GuestStore, second: GuestStore) -> None:
    assert await first.spending.spend([Spent("a", 60, 60)]) == pytest.approx([60], abs=5)
    assert await second.spending.spend([Spent("a", 60, 10), Spent("b", 1, 1)]) == pytest.approx([120, 1], abs=5)
    assert [await second.spending.take("c", seconds=60, most_seconds=60) for _ in range(2)] == [0, 0]
    assert 0 < await first.spending.take("c", seconds=60, most_seconds=60) <= 60


async def test_reads_of_many_at_once_are_answered_each(first: GuestStore) -> None:
    await first.commit([create_room(), *(post(f"m{number}") for number in range(50))])
    found = dict[int, list[int]]()

    async def read(seq: int) -> None:
        found[seq] = [record.seq for record in await first.events_after(seq, 1)]

    async with trio.open_nursery() as nursery:
        for seq in range(50):
            nursery.start_soon(read, seq)
    assert found == {seq: [seq + 1] for seq in range(50)}


async def test_a_cancelled_read_is_cancelled_at_the_host(first: GuestStore) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await first.events_after(0, 1)
    assert scope.cancelled_caught
    assert (await first.event_bounds()).newest_seq == 0


async def test_another_network_is_not_served(tmp_path: Path) -> None:
    ours, theirs = socket_pair()
    async with open_memory(NETWORK) as store, trio.open_nursery() as nursery:
        host, link = Host(NETWORK, store), Link(theirs)
        host_link = Link(ours)
        with host.guest(host_link) as (host_link.answers, host_link.hears):
            nursery.start_soon(host_link.run)
            nursery.start_soon(link.run)
            with pytest.raises(WrongNetwork):
                async with open_guest(link, NetworkId("another")):
                    pass
            nursery.cancel_scope.cancel()


async def test_without_its_host_a_guest_says_that_the_storage_failed(open_another: OpenStore) -> None:
    async with open_another() as guest:
        assert isinstance(guest, GuestStore)
        await trio.aclose_forcefully(guest.link.stream)
        with pytest.raises(StorageError):
            await guest.commit([create_room()])
        with pytest.raises(LinkLost):
            await guest.events_after(0, 1)
