"""What a store promises that several servers share. A class of tests inherits from this; its fixtures `first` and
`second` are two open stores on one database, `open_another` opens one more."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

import attrs
import trio

from moltnet.protocol.ids import NetworkId, event_id_of_message
from moltnet.storage.commands import (
    BindPairNetwork,
    CloseSessions,
    MessageRepeated,
    MessageStored,
    OpenSession,
    PairNetworkBound,
    RoomTaken,
)
from moltnet.storage.records import PairNetwork, StoredRoom, StoredSession
from moltnet.storage.store import Committed, Store
from tests.storage.examples import (
    GENERAL,
    agent,
    at,
    create_room,
    post,
    register,
    remove_agent,
    remove_room,
    room,
    thread_post,
    update_members,
)

OpenStore = Callable[[], AbstractAsyncContextManager[Store]]
SESSION = StoredSession("digest", "key1", at(0), at(100))


def seqs(committed: Committed) -> list[int]:
    return [record.seq for record in committed.records]


def message_ids(committed: Committed) -> list[str]:
    return [record.message_id for record in committed.records]


class SharedContract:
    async def test_a_commit_reports_what_others_committed_before_it(self, first: Store, second: Store) -> None:
        made = await first.commit([create_room(GENERAL, "alpha"), post("m1")])
        assert seqs(made) == [1, 2]
        own = await second.commit([post("m2")])
        assert own.outcomes == (MessageStored(event_id_of_message("m2")),)
        assert [(record.seq, record.id, record.wire) for record in own.records[:2]] == [
            (record.seq, record.id, record.wire) for record in made.records
        ]
        assert seqs(own) == [1, 2, 3]
        assert own.rooms == (StoredRoom(room(GENERAL, "alpha")),)
        assert message_ids(await first.commit([])) == ["m2"]

    async def test_nothing_is_reported_twice_and_nothing_to_its_own_server(self, first: Store, second: Store) -> None:
        await first.commit([create_room()])
        assert await first.commit([]) == Committed(())
        assert seqs(await second.commit([])) == [1]
        assert await second.commit([]) == Committed(())
        assert seqs(await second.commit([post("m1")])) == [2]

    async def test_what_was_there_before_a_store_was_opened_is_not_reported(
        self, first: Store, open_another: OpenStore
    ) -> None:
        await first.commit([create_room(), post("m1"), register("alpha", "key1"), OpenSession(SESSION)])
        async with open_another() as later:
            assert await later.commit([]) == Committed(())
            assert seqs(await later.commit([post("m2")])) == [3]

    async def test_one_message_is_stored_once_whoever_takes_it(self, first: Store, second: Store) -> None:
        await first.commit([create_room(), post("m1")])
        repeated = await second.commit([post("m1"), create_room(), thread_post("m2", "t1")])
        assert repeated.outcomes == (
            MessageRepeated(event_id_of_message("m1"), same=True),
            RoomTaken(GENERAL),
            MessageStored(event_id_of_message("m2"), thread_created=True),
        )

    async def test_rooms_and_agents_arrive_as_they_are_now(self, first: Store, second: Store) -> None:
        await first.commit([create_room(), create_room("gone", "alpha"), register("alpha", "key1", name='A\0\\0"')])
        await first.commit([update_members(add=["beta"]), remove_room("gone"), register("beta", "key2")])
        news = await second.commit([])
        assert sorted(news.rooms, key=lambda stored: stored.room.id) == [
            StoredRoom(room(GENERAL, "beta")),
            StoredRoom(room("gone"), removed_at=at(9)),
        ]
        assert sorted(news.agents, key=lambda stored: stored.id) == [
            agent("alpha", "key1", name='A\0\\0"'),
            agent("beta", "key2"),
        ]
        assert news.removed_agents == frozenset()

    async def test_agents_that_went_are_named_even_if_they_came_back(self, first: Store, second: Store) -> None:
        await first.commit([register("alpha", "key1"), register("beta", "key1")])
        await second.commit([])
        await first.commit([remove_agent("alpha"), remove_agent("beta"), register("beta", "key1", seconds=5)])
        news = await second.commit([])
        assert news.removed_agents == {"alpha", "beta"}
        assert news.agents == (agent("beta", "key1", seconds=5),)
        assert await second.commit([]) == Committed(())

    async def test_what_we_did_counts_more_than_what_others_did_before(self, first: Store, second: Store) -> None:
        await first.commit([create_room(GENERAL, "alpha"), register("alpha", "key1"), OpenSession(SESSION)])
        both = await second.commit(
            [update_members(add=["beta"]), remove_agent("alpha"), CloseSessions((SESSION.digest,))]
        )
        assert both.rooms == (StoredRoom(room(GENERAL, "beta")),)
        assert both.agents == ()
        assert both.removed_agents == {"alpha"}
        assert both.sessions == ()
        assert both.closed_sessions == {SESSION.digest}

    async def test_sessions_and_pair_networks_are_the_same_everywhere(self, first: Store, second: Store) -> None:
        other = attrs.evolve(SESSION, digest="other")
        pair = PairNetwork("key9", NetworkId("net_b"))
        await first.commit([OpenSession(SESSION), OpenSession(other), BindPairNetwork(pair)])
        news = await second.commit([BindPairNetwork(PairNetwork("key9", NetworkId("net_c")))])
        assert news.outcomes == (PairNetworkBound(NetworkId("net_b")),)
        assert sorted(news.sessions, key=lambda session: session.digest) == [SESSION, other]
        assert news.pair_networks == (pair,)
        await second.commit([CloseSessions((other.digest,))])
        news = await first.commit([])
        assert news.sessions == ()
        assert news.closed_sessions == {other.digest}

    async def test_a_commit_elsewhere_rings(self, first: Store, second: Store) -> None:
        seen: list[int] = []
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def follow() -> None:
                while len(seen) < 3:
                    await second.wait_changed()
                    seen.extend(seqs(await second.commit([])))

            await first.commit([create_room()])
            for number in range(2):
                await first.commit([post(f"m{number}")])
        assert seen == [1, 2, 3]

    async def test_servers_that_commit_at_once_agree_on_one_order_without_a_gap(
        self, first: Store, second: Store
    ) -> None:
        await first.commit([create_room()])
        reported: dict[str, list[tuple[int, str]]] = {"first": [], "second": []}

        def note(name: str, committed: Committed) -> None:
            reported[name].extend((record.seq, record.id) for record in committed.records)

        async def write(name: str, store: Store, numbers: Sequence[int]) -> None:
            for number in numbers:
                # Every third message is sent to both.
                batch = [post(f"{name}{number}"), *([post(f"both{number}")] if number % 3 == 0 else [])]
                note(name, await store.commit(batch))

        async with trio.open_nursery() as nursery:
            for name, store in (("first", first), ("second", second)):
                nursery.start_soon(write, name, store, range(20))
        note("first", await first.commit([]))
        note("second", await second.commit([]))
        # The room, twenty messages of each, and seven that both were given.
        assert [seq for seq, _ in reported["second"]] == list(range(1, 49))
        assert reported["first"] == reported["second"][1:]
        log = await first.events_after(0, 1000)
        assert [(record.seq, record.id) for record in log] == reported["second"]
