"""What every store promises about messages, threads, direct conversations and the events that report them."""

from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from moltnet.protocol.codec import decode, encode
from moltnet.protocol.events import AgentEvent, Event, EventType
from moltnet.protocol.ids import DirectId, EventId, NetworkId, RoomId, ThreadId, event_id_of_message
from moltnet.protocol.limits import MAX_BATCH_COMMANDS
from moltnet.protocol.messages import Message
from moltnet.protocol.pages import PageRequest
from moltnet.storage.commands import (
    MessageRepeated,
    MessageStored,
    NotParticipant,
    RecordEvents,
    RoomMissing,
    RoomTaken,
    ThreadElsewhere,
)
from moltnet.storage.records import DirectoryContents, EventBounds, EventRecord, StoredPage
from moltnet.storage.store import Committed, Store
from tests.storage.examples import (
    GENERAL,
    NETWORK,
    at,
    create_room,
    direct_history,
    direct_post,
    post,
    room_history,
    thread_history,
    thread_post,
    update_members,
)

EVERYTHING = 10_000


def facts(records: Sequence[EventRecord]) -> list[dict[str, Any]]:
    """Records compare by identity; their facts are what must be equal."""
    return [attrs.asdict(record) for record in records]


def ids_of(page: StoredPage) -> list[str]:
    return [decode(body, Message).id for body in page.items]


class MessageContract:
    async def test_a_new_store_is_empty(self, store: Store) -> None:
        assert await store.event_bounds() == EventBounds(0, 0)
        assert list(await store.events_after(0, EVERYTHING)) == []
        assert await store.load_directory() == DirectoryContents((), ())
        assert await store.message_page(room_history(), PageRequest()) == StoredPage(())
        assert await store.directs(PageRequest(), None) == ([], False)

    async def test_a_commit_of_nothing_changes_nothing(self, store: Store) -> None:
        assert await store.commit([]) == Committed(())
        assert await store.event_bounds() == EventBounds(0, 0)

    async def test_a_message_is_stored_as_it_was_encoded_together_with_its_event(self, store: Store) -> None:
        command = post(
            "m1", text='quotes " and \\ , ünïcödé 🦞, nul \0, line\nend', addressed=["molt://net_a/agents/beta"]
        )
        await store.commit([create_room()])
        committed = await store.commit([command])
        event_id = event_id_of_message("m1")
        assert committed.outcomes == (MessageStored(event_id),)
        page = await store.message_page(room_history(), PageRequest())
        assert page == StoredPage((command.body,), "m1", "m1", has_more=False)
        (record,) = await store.events_after(1, EVERYTHING)
        event = Event(event_id, EventType.MESSAGE_CREATED, NETWORK, command.message.created_at, message=command.message)
        assert decode(record.wire, Event) == event
        assert record.wire == encode(event)
        assert (record.seq, record.room_id, record.message_id) == (2, GENERAL, "m1")
        assert (record.sender, record.addressed) == ("molt://net_a/agents/alpha", ("molt://net_a/agents/beta",))
        assert await store.event_seq(event_id) == 2

    async def test_what_a_commit_returns_is_what_the_log_holds(self, store: Store) -> None:
        committed = await store.commit(
            [
                create_room(GENERAL, "alpha"),
                post("m1", addressed=["molt://net_a/agents/beta"]),
                thread_post("m2", "t1", parent="m1"),
                direct_post("m3", "d1", ["alpha", "net_b:beta"]),
                update_members(add=["beta"]),
                RecordEvents((wake("evt_wake"),)),
            ]
        )
        assert facts(await store.events_after(0, EVERYTHING)) == facts(committed.records)
        assert [(record.seq, record.type) for record in committed.records] == [
            (1, EventType.ROOM_CREATED),
            (2, EventType.MESSAGE_CREATED),
            (3, EventType.THREAD_CREATED),
            (4, EventType.MESSAGE_CREATED),
            (5, EventType.DM_CREATED),
            (6, EventType.MESSAGE_CREATED),
            (7, EventType.ROOM_MEMBERS_UPDATED),
            (8, EventType.AGENT_WAKE_DELIVERED),
        ]

    async def test_a_refused_command_does_not_hinder_the_others(self, store: Store) -> None:
        await store.commit([create_room(), create_room("other"), post("m1"), thread_post("m2", "t1")])
        committed = await store.commit(
            [
                post("m1"),
                post("m1", text="something else"),
                post("m3", "nowhere"),
                thread_post("m4", "t1", "other"),
                direct_post("m5", "d1", ["beta", "gamma"], sender="alpha"),
                create_room(),
                post("m6"),
                post("m6"),
            ]
        )
        assert committed.outcomes == (
            MessageRepeated(event_id_of_message("m1"), same=True),
            MessageRepeated(event_id_of_message("m1"), same=False),
            RoomMissing(RoomId("nowhere")),
            ThreadElsewhere(GENERAL),
            NotParticipant(),
            RoomTaken(GENERAL),
            MessageStored(event_id_of_message("m6")),
            MessageRepeated(event_id_of_message("m6"), same=True),
        )
        assert [record.message_id for record in committed.records] == ["m6"]
        assert ids_of(await store.message_page(room_history(), PageRequest())) == ["m1", "m6"]

    async def test_a_message_id_is_used_once_in_the_whole_network(self, store: Store) -> None:
        await store.commit([create_room(), post("m1")])
        committed = await store.commit([direct_post("m1", "d1"), thread_post("m1", "t1")])
        repeated = MessageRepeated(event_id_of_message("m1"), same=False)
        assert committed.outcomes == (repeated, repeated)
        assert await store.direct(DirectId("d1")) is None
        assert await store.thread(ThreadId("t1")) is None

    async def test_a_retry_of_the_same_message_is_recognised_after_a_commit_and_within_one(self, store: Store) -> None:
        await store.commit([create_room(), post("m1")])
        committed = await store.commit([post("m1", seconds=9)])
        assert committed.outcomes == (MessageRepeated(event_id_of_message("m1"), same=True),)
        assert committed.records == ()

    async def test_history_is_in_commit_order_though_the_clock_steps_back(self, store: Store) -> None:
        """Neither the time nor its text decides: `.1Z` sorts after `.12Z`, and ids are random."""
        await store.commit([create_room()])
        times = [5, 0.12, 0.1, 3, 0]
        for number, seconds in enumerate(times):
            await store.commit([post(f"m{9 - number}", seconds=seconds)])
        expected = ["m9", "m8", "m7", "m6", "m5"]
        assert ids_of(await store.message_page(room_history(), PageRequest())) == expected
        assert [record.message_id for record in await store.events_after(1, EVERYTHING)] == expected

    @pytest.mark.parametrize("size", [1, 2, 3, 31, 32, 33, 63, 65, MAX_BATCH_COMMANDS, 2 * MAX_BATCH_COMMANDS + 7])
    async def test_a_batch_of_any_size_is_stored_whole_and_in_order(self, store: Store, size: int) -> None:
        ids = [f"m{number}" for number in range(size)]
        committed = await store.commit([create_room(), *(post(each) for each in ids)])
        assert committed.outcomes[1:] == tuple(MessageStored(event_id_of_message(each)) for each in ids)
        records = await store.events_after(0, EVERYTHING)
        assert [record.seq for record in records] == list(range(1, size + 2))
        assert [record.message_id for record in records[1:]] == ids

    async def test_threads_count_their_messages_and_stay_in_their_room(self, store: Store) -> None:
        await store.commit([create_room(), create_room("other")])
        committed = await store.commit([thread_post("m1", "t1", parent="m0"), thread_post("m2", "t1", seconds=7)])
        assert [outcome.thread_created for outcome in committed.outcomes if isinstance(outcome, MessageStored)] == [
            True,
            False,
        ]
        thread = await store.thread(ThreadId("t1"))
        assert thread is not None
        assert (thread.room_id, thread.parent_message_id, thread.message_count) == (GENERAL, "m0", 2)
        assert (thread.fqid, thread.network_id) == ("molt://net_a/threads/t1", NETWORK)
        assert thread.last_message_at == at(7)
        assert await store.thread(ThreadId("t2")) is None
        assert ids_of(await store.message_page(room_history(), PageRequest())) == []
        assert ids_of(await store.message_page(thread_history("t1"), PageRequest())) == ["m1", "m2"]

    async def test_direct_conversations_gather_their_participants(self, store: Store) -> None:
        await store.commit([direct_post("m1", "d1", ["zeta", "net_b:beta", "alpha"], sender="zeta")])
        await store.commit([direct_post("m2", "d1", ["alpha", "gamma"], sender="alpha", seconds=3)])
        direct = await store.direct(DirectId("d1"))
        assert direct is not None
        assert direct.participant_ids == ("alpha", "gamma", "net_b:beta", "zeta")
        assert (direct.message_count, direct.last_message_at) == (2, at(3))
        assert (direct.fqid, direct.network_id) == ("molt://net_a/dms/d1", NETWORK)
        assert ids_of(await store.message_page(direct_history("d1"), PageRequest())) == ["m1", "m2"]

    async def test_a_stranger_can_neither_write_into_a_direct_conversation_nor_join_it(self, store: Store) -> None:
        await store.commit([direct_post("m1", "d1", ["alpha", "beta"])])
        committed = await store.commit([direct_post("m2", "d1", ["alpha", "beta", "eve"], sender="eve")])
        assert committed.outcomes == (NotParticipant(),)
        direct = await store.direct(DirectId("d1"))
        assert direct is not None
        assert (direct.participant_ids, direct.message_count) == (("alpha", "beta"), 1)


def wake(event_id: str) -> Event:
    """An event that reports nothing but itself."""
    return Event(
        EventId(event_id),
        EventType.AGENT_WAKE_DELIVERED,
        NetworkId(NETWORK),
        at(4),
        agent=AgentEvent("beta", network_id=NETWORK, message_id="m1"),
    )
