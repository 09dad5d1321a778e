"""What every store promises about marks, about changed rooms, and about those that were removed."""

from collections.abc import Sequence

import pytest

from moltnet.protocol.agents import About, Mute
from moltnet.protocol.codec import decode
from moltnet.protocol.events import Event, EventType
from moltnet.protocol.ids import AgentId, EventId, NetworkId, RoomId
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.pairings import Pairing
from moltnet.protocol.rooms import Visibility, WritePolicy
from moltnet.storage.commands import RoomMissing, RoomStored, UpdateRoom
from moltnet.storage.marks import (
    Mark,
    MuteAgent,
    MuteChanged,
    NobodyToMute,
    NoteSeen,
    PairingSwitched,
    Switch,
    SwitchPairing,
    about_of,
    mute_mark,
    mute_of,
    seen_mark,
    seen_of,
    switch_mark,
    switch_of,
)
from moltnet.storage.records import StoredRoom
from moltnet.storage.store import Store, UnknownCursor
from tests.storage.examples import (
    GENERAL,
    NETWORK,
    at,
    create_room,
    register,
    remove_agent,
    remove_room,
    restore_room,
    room,
    room_history,
)

ALPHA, BETA = AgentId("alpha"), AgentId("beta")
MUTE = Mute(at(1), 'too loud, "again" \\ \0', "token:operator", at(60))


def mute(agent_id: str = ALPHA, how: Mute | None = MUTE) -> MuteAgent:
    return MuteAgent(AgentId(agent_id), how, "token:operator", at(1))


def switch(pairing_id: str, *, enabled: bool, event_id: str = "evt_switched") -> SwitchPairing:
    event = Event(EventId(event_id), EventType.PAIRING_UPDATED, NetworkId(NETWORK), at(1), pairing=Pairing(pairing_id))
    return SwitchPairing(pairing_id, Switch(enabled, declared=True), event)


async def marks_of(store: Store) -> Sequence[Mark]:
    return (await store.load_directory()).marks


class MarkContract:
    async def test_an_agent_is_muted_and_speaks_again(self, store: Store) -> None:
        await store.commit([register("alpha", name="Alpha")])
        committed = await store.commit([mute(), mute(), mute("nobody")])
        assert committed.outcomes == (
            MuteChanged(MUTE, changed=True),
            MuteChanged(MUTE, changed=False),
            NobodyToMute(AgentId("nobody")),
        )
        mark = mute_mark(ALPHA, MUTE)
        assert mute_of(mark) == MUTE
        assert (committed.marks, committed.removed_marks) == ((mark,), frozenset())
        assert await marks_of(store) == (mark,)
        (record,) = await store.events_after(0, 10)
        assert (record.type, record.agent_id) == (EventType.AGENT_MUTED, "alpha")
        agent = decode(record.wire, Event).agent
        assert agent is not None
        assert (agent.name, agent.reason, agent.mute) == ("Alpha", MUTE.reason, MUTE)
        lifted = await store.commit([mute(how=None), mute(how=None)])
        assert lifted.outcomes == (MuteChanged(None, changed=True), MuteChanged(None, changed=False))
        assert (lifted.marks, lifted.removed_marks) == ((), frozenset({mark.id}))
        assert await marks_of(store) == ()
        assert [each.type for each in await store.events_after(1, 10)] == [EventType.AGENT_UNMUTED]

    async def test_a_mute_may_change(self, store: Store) -> None:
        await store.commit([register("alpha"), mute()])
        longer = Mute(at(2), "still", "token:other")
        assert (await store.commit([mute(how=longer)])).outcomes == (MuteChanged(longer, changed=True),)
        assert await marks_of(store) == (mute_mark(ALPHA, longer),)

    async def test_when_agents_were_there_is_noted_without_an_event(self, store: Store) -> None:
        await store.commit([register("alpha"), register("beta")])
        seen = NoteSeen(((ALPHA, at(1)), (AgentId("nobody"), at(1)), (BETA, at(2))))
        committed = await store.commit([seen])
        assert committed.records == ()
        assert committed.marks == (seen_mark(ALPHA, at(1)), seen_mark(BETA, at(2)))
        await store.commit([NoteSeen(((ALPHA, at(9.5)),))])
        assert [(mark.key, seen_of(mark)) for mark in await marks_of(store)] == [("alpha", at(9.5)), ("beta", at(2))]

    async def test_what_is_said_of_agents_is_noted(self, store: Store) -> None:
        await store.commit([register("alpha")])
        about = About("codex", 'build "7" \\')
        await store.commit([NoteSeen(about=((ALPHA, about), (AgentId("nobody"), about)))])
        (mark,) = await marks_of(store)
        assert (mark.kind, mark.key, about_of(mark)) == ("about", "alpha", about)

    async def test_the_marks_of_an_agent_go_with_it(self, store: Store) -> None:
        await store.commit([register("alpha"), register("beta"), mute(), mute("beta"), NoteSeen(((ALPHA, at(1)),))])
        committed = await store.commit([remove_agent("alpha"), register("alpha")])
        assert {mute_mark(ALPHA, MUTE).id, seen_mark(ALPHA, at(1)).id} <= committed.removed_marks
        assert await marks_of(store) == (mute_mark(BETA, MUTE),)
        again = await store.commit([remove_agent("beta"), register("beta"), mute("beta")])
        assert again.marks == (mute_mark(BETA, MUTE),)
        assert await marks_of(store) == (mute_mark(BETA, MUTE),)

    async def test_a_pairing_is_switched_off_and_on(self, store: Store) -> None:
        committed = await store.commit(
            [switch("b", enabled=False), switch("b", enabled=False), switch("c", enabled=True, event_id="evt_c")]
        )
        assert committed.outcomes == (
            PairingSwitched(changed=True),
            PairingSwitched(changed=False),
            PairingSwitched(changed=True),
        )
        assert [record.type for record in committed.records] == [EventType.PAIRING_UPDATED] * 2
        assert [(mark.kind, mark.key, switch_of(mark)) for mark in await marks_of(store)] == [
            ("pairing", "b", Switch(False, True)),
            ("pairing", "c", Switch(True, True)),
        ]
        await store.commit([switch("b", enabled=True, event_id="evt_on")])
        assert switch_mark("b", Switch(True, True)) in await marks_of(store)


class ChangedRoomContract:
    async def test_what_a_room_is_called_and_who_may_do_what_is_changed(self, store: Store) -> None:
        await store.commit([create_room(GENERAL, "alpha")])
        change = UpdateRoom(GENERAL, "Lobby \0", Visibility.PUBLIC, None, at(5))
        committed = await store.commit([change, change, UpdateRoom(RoomId("nowhere"), "x", None, None, at(5))])
        (changed,) = (await store.load_directory()).rooms
        assert (changed.room.name, changed.room.visibility) == ("Lobby \0", Visibility.PUBLIC)
        assert (changed.room.members, changed.room.write_policy) == (("alpha",), WritePolicy.MEMBERS)
        assert changed.room.created_at == room(GENERAL).created_at
        assert committed.outcomes == (
            RoomStored(changed.room),
            RoomStored(changed.room, changed=False),
            RoomMissing(RoomId("nowhere")),
        )
        assert committed.rooms == (changed,)
        (record,) = committed.records
        assert (record.type, record.room_id, record.created_at) == (EventType.ROOM_UPDATED, GENERAL, at(5))
        assert decode(record.wire, Event).room == changed.room

    async def test_removed_rooms_are_listed_page_by_page(self, store: Store) -> None:
        names = ["a", "b", "c", "d", "e"]
        await store.commit([create_room(name, "alpha") for name in [*names, "live"]])
        await store.commit([remove_room(name) for name in names])

        async def listed(page: PageRequest) -> tuple[list[str], bool]:
            found, has_more = await store.removed_rooms(page)
            assert all(stored.removed_at and not stored.room.members for stored in found)
            return [stored.room.id for stored in found], has_more

        assert await listed(PageRequest()) == (names, False)
        assert await listed(PageRequest(2)) == (["a", "b"], True)
        assert await listed(PageRequest(2, after="b")) == (["c", "d"], True)
        assert await listed(PageRequest(2, after="d")) == (["e"], False)
        assert await listed(PageRequest(2, before="d")) == (["b", "c"], True)
        for cursor in ("live", "nowhere"):
            with pytest.raises(UnknownCursor):
                await store.removed_rooms(PageRequest(after=cursor))
        await store.commit([restore_room("c")])
        assert await listed(PageRequest()) == (["a", "b", "d", "e"], False)

    async def test_rooms_are_found_by_their_ids_removed_ones_too(self, store: Store) -> None:
        await store.commit([create_room("b", "alpha"), create_room("a"), create_room("c"), remove_room("a")])
        found = await store.rooms([RoomId(name) for name in ("b", "nowhere", "a")])
        assert [(stored.room.id, bool(stored.removed_at)) for stored in found] == [("a", True), ("b", False)]
        assert found[1] == StoredRoom(room("b", "alpha"))
        assert list(await store.rooms([])) == []
        assert (await store.message_page(room_history("a"), PageRequest())).items == ()
