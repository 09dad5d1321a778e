"""What every store promises about rooms and agents that are removed."""

import attrs

from moltnet.protocol.codec import decode
from moltnet.protocol.events import Event, EventType
from moltnet.protocol.ids import ThreadId, event_id_of_message
from moltnet.protocol.pages import PageRequest
from moltnet.storage.commands import (
    AgentMissing,
    AgentRemoved,
    AgentStored,
    Applied,
    ApplyNetwork,
    DeclareRoom,
    MessageStored,
    RoomMissing,
    RoomRemoved,
    RoomStored,
    RoomTaken,
)
from moltnet.storage.records import StoredRoom
from moltnet.storage.store import Store
from tests.contracts.store_messages import ids_of
from tests.storage.examples import (
    GENERAL,
    agent,
    at,
    create_room,
    post,
    register,
    remove_agent,
    remove_room,
    restore_room,
    room,
    room_history,
    thread_post,
    update_members,
)


class RemovedRoomContract:
    async def test_a_removed_room_is_gone_but_keeps_its_id_and_messages(self, store: Store) -> None:
        await store.commit([create_room(GENERAL, "alpha"), post("m1"), thread_post("m2", "t1")])
        committed = await store.commit([remove_room()])
        gone = StoredRoom(room(), removed_at=at(9))
        assert committed.outcomes == (RoomRemoved(room(GENERAL, "alpha")),)
        assert committed.rooms == (gone,)
        (record,) = committed.records
        event = decode(record.wire, Event)
        assert (event.type, event.created_at, event.room) == (EventType.ROOM_REMOVED, at(9), room(GENERAL, "alpha"))
        assert (await store.load_directory()).rooms == ()
        refused = await store.commit([remove_room(), create_room(), update_members(add=["beta"]), post("m3")])
        missing = RoomMissing(GENERAL)
        assert refused.outcomes == (missing, RoomTaken(GENERAL, removed=True), missing, missing)
        assert refused.records == ()
        assert ids_of(await store.message_page(room_history(), PageRequest())) == ["m1"]
        assert await store.thread(ThreadId("t1")) is not None

    async def test_a_restored_room_has_its_messages_and_only_the_named_members(self, store: Store) -> None:
        await store.commit([DeclareRoom(room(GENERAL, "alpha", name="All"), "digest"), post("m1")])
        await store.commit([remove_room()])
        restored = room(GENERAL, "beta", name="All")
        committed = await store.commit([restore_room(GENERAL, "beta"), post("m2")])
        assert committed.outcomes == (RoomStored(restored), MessageStored(event_id_of_message("m2")))
        assert committed.rooms == (StoredRoom(restored, "digest"),)
        assert (await store.load_directory()).rooms == committed.rooms
        assert ids_of(await store.message_page(room_history(), PageRequest())) == ["m1", "m2"]
        created = decode(committed.records[0].wire, Event)
        assert (created.type, created.created_at, created.room) == (EventType.ROOM_CREATED, at(10), restored)

    async def test_a_declaration_restores_a_room_even_if_it_says_nothing_new(self, store: Store) -> None:
        declared = DeclareRoom(room(GENERAL, "alpha"), "digest")
        await store.commit([declared])
        await store.commit([remove_room()])
        committed = await store.commit([attrs.evolve(declared, room=room(GENERAL, "alpha", seconds=60))])
        assert committed.outcomes == (RoomStored(room(GENERAL, "alpha")),)
        assert (await store.load_directory()).rooms == (StoredRoom(room(GENERAL, "alpha"), "digest"),)

    async def test_a_room_may_live_and_die_within_one_batch(self, store: Store) -> None:
        committed = await store.commit([create_room(GENERAL, "alpha"), post("m1"), remove_room()])
        assert committed.rooms == (StoredRoom(room(), removed_at=at(9)),)
        assert (await store.load_directory()).rooms == ()
        again = await store.commit([restore_room(GENERAL, "beta"), remove_room(seconds=11), restore_room(GENERAL)])
        assert again.rooms == (StoredRoom(room()),)
        assert (await store.load_directory()).rooms == (StoredRoom(room()),)
        assert ids_of(await store.message_page(room_history(), PageRequest())) == ["m1"]


class RemovedAgentContract:
    async def test_an_agent_leaves_every_room_in_whatever_spelling(self, store: Store) -> None:
        spellings = ("alpha", "net_a:alpha", "molt://net_a/agents/alpha")
        rooms = [create_room(f"r{number}", "beta", spelling) for number, spelling in enumerate(spellings)]
        await store.commit([*rooms, create_room("all", *spellings), create_room("other", "net_b:alpha", "alpha-2")])
        await store.commit([register("alpha", "key1", name="Alpha"), register("beta", "key2")])
        committed = await store.commit([remove_agent("alpha")])
        assert committed.outcomes == (AgentRemoved(agent("alpha").id),)
        assert committed.removed_agents == {"alpha"}
        contents = await store.load_directory()
        assert [stored.id for stored in contents.agents] == ["beta"]
        assert [(stored.room.id, stored.room.members) for stored in contents.rooms] == [
            ("all", ()),
            ("other", ("alpha-2", "net_b:alpha")),
            *[(f"r{number}", ("beta",)) for number in range(3)],
        ]
        events = [decode(record.wire, Event) for record in committed.records]
        assert [(event.type, event.created_at) for event in events] == [
            *[(EventType.ROOM_MEMBERS_UPDATED, at(9))] * 4,
            (EventType.AGENT_REMOVED, at(9)),
        ]
        told = events[-1].agent
        assert told is not None
        assert (told.agent_id, told.name, told.reason) == ("alpha", "Alpha", "removed")
        assert committed.records[-1].agent_id == "alpha"

    async def test_a_removed_agent_may_be_registered_again_by_anybody(self, store: Store) -> None:
        await store.commit([register("alpha", "key1")])
        taken = await store.commit([remove_agent("alpha"), register("alpha", "key2", seconds=5)])
        later = agent("alpha", "key2", seconds=5)
        assert taken.outcomes[1] == AgentStored(later, created=True)
        assert taken.removed_agents == {"alpha"}
        assert taken.agents == (later,)
        assert (await store.load_directory()).agents == (later,)
        gone = await store.commit([remove_agent("alpha"), register("alpha", "key3"), remove_agent("alpha")])
        assert gone.removed_agents == {"alpha"}
        assert gone.agents == ()
        assert (await store.load_directory()).agents == ()

    async def test_a_member_who_never_registered_can_be_removed_and_a_stranger_cannot(self, store: Store) -> None:
        await store.commit([create_room(GENERAL, "alpha")])
        committed = await store.commit([remove_agent("alpha"), remove_agent("alpha"), remove_agent("net_b")])
        missing = AgentMissing(agent("alpha").id)
        assert committed.outcomes == (AgentRemoved(missing.agent_id), missing, AgentMissing(agent("net_b").id))
        assert committed.removed_agents == frozenset()

    async def test_who_joined_in_the_same_batch_is_found_too(self, store: Store) -> None:
        await store.commit([create_room(GENERAL, "beta")])
        await store.commit([update_members(add=["alpha"]), create_room("new", "alpha"), remove_agent("alpha")])
        assert [stored.room.members for stored in (await store.load_directory()).rooms] == [("beta",), ()]


class ApplyContract:
    async def test_everything_is_made_what_is_said(self, store: Store) -> None:
        await store.commit([DeclareRoom(room(GENERAL, "alpha"), "digest"), create_room("gone", "alpha")])
        await store.commit([remove_room("gone"), register("alpha", "key1", name="Alpha")])
        wanted = ApplyNetwork(
            agents=(agent("alpha", "key2", seconds=20), agent("beta", "key2", name="Beta", seconds=20)),
            rooms=(room(GENERAL, "beta", seconds=20), room("gone", "beta", seconds=20), room("new", seconds=20)),
        )
        committed = await store.commit([wanted])
        rooms = (room(GENERAL, "beta"), room("gone", "beta"), room("new", seconds=20))
        (applied,) = committed.outcomes
        assert applied == Applied(rooms, committed.agents)
        assert [(each.id, each.credential_key, each.registration.display_name) for each in committed.agents] == [
            ("alpha", "key2", "Alpha"),
            ("beta", "key2", "Beta"),
        ]
        contents = await store.load_directory()
        assert contents.rooms == (StoredRoom(rooms[0], "digest"), StoredRoom(rooms[1]), StoredRoom(rooms[2]))
        assert contents.agents == committed.agents
        assert [(record.type, record.room_id, record.created_at) for record in committed.records] == [
            (EventType.ROOM_MEMBERS_UPDATED, GENERAL, at(20)),
            (EventType.ROOM_CREATED, "gone", at(20)),
            (EventType.ROOM_CREATED, "new", at(20)),
        ]
        again = await store.commit([wanted])
        assert (again.records, again.agents, again.rooms) == ((), (), ())


class RemovalContract(RemovedRoomContract, RemovedAgentContract, ApplyContract):
    """All of it."""
