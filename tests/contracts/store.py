"""What every store promises, as tests. A class of tests inherits from these; its `store` fixture opens a new store."""

import attrs
import trio
import trio.testing

from moltnet.protocol.codec import decode
from moltnet.protocol.events import Event
from moltnet.protocol.ids import AgentId, DirectId, EventId, MessageId, RoomId, ThreadId, event_id_of_message
from moltnet.protocol.pages import PageRequest
from moltnet.storage.commands import (
    AgentOwned,
    AgentStored,
    BindAgent,
    DeclareRoom,
    EventsRecorded,
    RecordEvents,
    RoomMissing,
    RoomStored,
)
from moltnet.storage.limits import MAX_REPLAY_BYTES
from moltnet.storage.records import EventBounds, StoredRoom
from moltnet.storage.store import Store
from tests.contracts.store_approvals import ApprovalContract
from tests.contracts.store_artifacts import ArtifactContract
from tests.contracts.store_credentials import CredentialContract
from tests.contracts.store_marks import ChangedRoomContract, MarkContract
from tests.contracts.store_messages import EVERYTHING, MessageContract, ids_of, wake
from tests.contracts.store_outbox import OutboxContract
from tests.contracts.store_ownership import OwnershipContract
from tests.contracts.store_pages import PageContract
from tests.contracts.store_places import PlaceContract
from tests.contracts.store_pruning import PruningContract
from tests.contracts.store_removals import RemovalContract
from tests.contracts.store_wakes import WakeContract
from tests.storage.examples import (
    GENERAL,
    agent,
    at,
    create_room,
    post,
    register,
    room,
    room_history,
    update_members,
)


class LogContract:
    async def test_the_log_is_read_in_pieces_from_any_place(self, store: Store) -> None:
        await store.commit([create_room(), *(post(f"m{number}") for number in range(9))])
        assert [record.seq for record in await store.events_after(0, 4)] == [1, 2, 3, 4]
        assert [record.seq for record in await store.events_after(4, 4)] == [5, 6, 7, 8]
        assert [record.seq for record in await store.events_after(8, 4)] == [9, 10]
        assert list(await store.events_after(10, 4)) == []
        assert list(await store.events_after(99, 4)) == []
        bounds = await store.event_bounds()
        assert (bounds.oldest_seq, bounds.newest_seq) == (1, 10)
        assert await store.event_seq(bounds.oldest_id) == 1
        assert await store.event_seq(bounds.newest_id) == 10
        assert bounds.newest_id == event_id_of_message("m8")
        assert await store.event_seq("evt_unknown") is None

    async def test_a_reader_that_catches_up_gets_large_events_a_few_at_a_time(self, store: Store) -> None:
        text = "x" * (MAX_REPLAY_BYTES // 8)
        await store.commit([create_room(), *(post(f"m{number}", text=text) for number in range(20))])
        seq, pieces = 0, 0
        while records := await store.events_after(seq, EVERYTHING):
            assert sum(len(record.wire) for record in records) <= MAX_REPLAY_BYTES
            assert records[0].seq == seq + 1
            seq, pieces = records[-1].seq, pieces + 1
        assert (seq, pieces) == (21, 3)

    async def test_presence_and_wakes_are_recorded_as_they_are(self, store: Store) -> None:
        event = wake("evt_1")
        committed = await store.commit([RecordEvents((event, attrs.evolve(event, id=EventId("evt_2"))))])
        assert committed.outcomes == (EventsRecorded(),)
        first, second = await store.events_after(0, EVERYTHING)
        assert decode(first.wire, Event) == event
        assert (first.agent_id, first.message_id, first.created_at) == ("beta", "m1", at(4))
        assert (second.seq, second.id) == (2, "evt_2")


class DirectoryContract:
    async def test_rooms_and_agents_are_loaded_as_they_were_stored(self, store: Store) -> None:
        general = room(GENERAL, "alpha", "net_b:beta", "molt://net_c/agents/gamma")
        await store.commit(
            [DeclareRoom(general, "digest"), create_room("another"), register("alpha", "key1", name="Alpha")]
        )
        await store.commit([BindAgent(agent("beta", "key1"))])
        contents = await store.load_directory()
        assert contents.rooms == (StoredRoom(room("another")), StoredRoom(general, "digest"))
        assert contents.agents == (agent("alpha", "key1", name="Alpha"), agent("beta", "key1"))

    async def test_members_come_and_go(self, store: Store) -> None:
        await store.commit([create_room(GENERAL, "alpha", "beta")])
        committed = await store.commit([update_members(add=["gamma", "delta"], remove=["alpha", "delta"])])
        changed = room(GENERAL, "beta", "gamma")
        assert committed.outcomes == (RoomStored(changed),)
        assert committed.rooms == (StoredRoom(changed),)
        assert (await store.load_directory()).rooms == (StoredRoom(changed),)
        again = await store.commit([update_members(add=["beta"]), update_members("nowhere", add=["beta"])])
        assert again.outcomes == (RoomStored(changed, changed=False), RoomMissing(RoomId("nowhere")))
        assert again.records == ()

    async def test_an_unchanged_declaration_keeps_members_who_came_at_runtime(self, store: Store) -> None:
        declared = room(GENERAL, "alpha")
        await store.commit([DeclareRoom(declared, "one")])
        await store.commit([update_members(add=["beta"])])
        await store.commit([DeclareRoom(declared, "one")])
        assert (await store.load_directory()).rooms == (StoredRoom(room(GENERAL, "alpha", "beta"), "one"),)
        await store.commit([DeclareRoom(room(GENERAL, "gamma", seconds=60), "two")])
        assert (await store.load_directory()).rooms == (StoredRoom(room(GENERAL, "gamma"), "two"),)

    async def test_a_registration_is_kept_by_its_first_credential(self, store: Store) -> None:
        committed = await store.commit(
            [register("alpha", "key1"), register("alpha", "key2"), register("alpha", "key1", name="Alpha", seconds=5)]
        )
        first = agent("alpha", "key1")
        refreshed = attrs.evolve(
            first, registration=attrs.evolve(first.registration, display_name="Alpha", updated_at=at(5))
        )
        assert committed.outcomes == (
            AgentStored(first, created=True),
            AgentOwned("key1"),
            AgentStored(refreshed, created=False),
        )
        assert committed.agents == (refreshed,)
        assert (await store.load_directory()).agents == (refreshed,)
        bound = await store.commit([BindAgent(agent("alpha", "key3", seconds=6))])
        (stored,) = bound.agents
        assert (stored.credential_key, stored.registration.actor_uid) == ("key3", first.registration.actor_uid)
        assert (await store.load_directory()).agents == (stored,)


class TaskContract:
    async def test_every_method_is_a_checkpoint(self, store: Store) -> None:
        calls = (
            lambda: store.commit([]),
            lambda: store.commit([create_room()]),
            lambda: store.load_directory(),
            lambda: store.rooms([GENERAL]),
            lambda: store.removed_rooms(PageRequest()),
            lambda: store.event_bounds(),
            lambda: store.event_seq("evt_1"),
            lambda: store.events_after(0, 1),
            lambda: store.message_page(room_history(), PageRequest()),
            lambda: store.message(MessageId("m1")),
            lambda: store.messages_before(None, 1, 1),
            lambda: store.messages_after(None, 0, 1),
            lambda: store.artifact_page(room_history(), PageRequest()),
            lambda: store.wake_page(AgentId("alpha"), PageRequest()),
            lambda: store.thread(ThreadId("t1")),
            lambda: store.threads(GENERAL, PageRequest()),
            lambda: store.direct(DirectId("d1")),
            lambda: store.directs(PageRequest(), None),
            lambda: store.directs(PageRequest(), ["alpha"]),
            lambda: store.outbox("to_b", 0, 1),
            lambda: store.dead_letters("to_b", PageRequest()),
            lambda: store.outbox_depths(),
            lambda: store.check_writable(),
        )
        for call in calls:
            with trio.testing.assert_checkpoints():
                await call()

    async def test_a_commit_that_is_cancelled_before_it_starts_writes_nothing(self, store: Store) -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            await store.commit([create_room()])
        assert scope.cancelled_caught
        assert await store.event_bounds() == EventBounds(0, 0)
        await store.commit([create_room()])

    async def test_commits_and_reads_of_many_tasks_do_not_disturb_each_other(self, store: Store) -> None:
        await store.commit([create_room()])

        async def write(name: str) -> None:
            for number in range(5):
                await store.commit([post(f"{name}{number}")])

        async def read() -> None:
            seq = 0
            while seq < 21:
                for record in await store.events_after(seq, 3):
                    assert record.seq == seq + 1
                    seq = record.seq

        async with trio.open_nursery() as nursery:
            for name in "abcd":
                nursery.start_soon(write, name)
            for _ in range(6):
                nursery.start_soon(read)
        page = await store.message_page(room_history(), PageRequest())
        assert sorted(ids_of(page)) == sorted(f"{name}{number}" for name in "abcd" for number in range(5))

    async def test_a_working_store_is_writable(self, store: Store) -> None:
        await store.check_writable()
        await store.check_writable()
        assert await store.event_bounds() == EventBounds(0, 0)


class StoreContract(
    MessageContract,
    PageContract,
    PlaceContract,
    ArtifactContract,
    RemovalContract,
    CredentialContract,
    PruningContract,
    OutboxContract,
    ApprovalContract,
    MarkContract,
    ChangedRoomContract,
    WakeContract,
    LogContract,
    DirectoryContract,
    TaskContract,
    OwnershipContract,
):
    """All of it."""
