"""What follows from a batch of commands, without a database: tables of facts, commands and outcomes."""

from collections.abc import Iterator, Sequence

import attrs
import pytest

from moltnet.protocol.codec import decode
from moltnet.protocol.events import Event, EventType
from moltnet.protocol.ids import AgentId, DirectId, EventId, MessageId, RoomId, ThreadId, event_id_of_message
from moltnet.protocol.limits import MAX_PARTICIPANTS
from moltnet.protocol.rooms import DirectConversation, Thread, Visibility
from moltnet.storage.changes import Changes
from moltnet.storage.commands import (
    AgentMissing,
    AgentOwned,
    AgentStored,
    AnyCommand,
    BindAgent,
    CreateRoom,
    DeclareRoom,
    DirectFull,
    MessageRepeated,
    MessageStored,
    NotParticipant,
    RegisterAgent,
    RoomMissing,
    RoomRemoved,
    RoomStored,
    RoomTaken,
    ThreadElsewhere,
)
from moltnet.storage.facts import Facts, needs
from moltnet.storage.plan import Plan, plan
from moltnet.storage.records import THE_PUBLIC, StoredMessage, StoredRoom
from tests.storage.examples import (
    GENERAL,
    NETWORK,
    agent,
    at,
    create_room,
    direct_post,
    post,
    register,
    remove_agent,
    remove_room,
    restore_room,
    room,
    thread_post,
    update_members,
)


def decided(facts: Facts, *commands: AnyCommand) -> Plan:
    numbers: Iterator[int] = iter(range(1, 100))
    return plan(commands, facts, NETWORK, new_id=lambda: EventId(f"evt_{next(numbers)}"))


def types_of(changes: Changes) -> Sequence[str]:
    return [record.type for record in changes.records]


def facts(*rooms: StoredRoom, newest_seq: int = 0) -> Facts:
    """Facts in which the given rooms are live."""
    by_id = {stored.room.id: stored for stored in rooms}
    return Facts(newest_seq, rooms=by_id, posted_rooms=set(by_id))


def with_removed_room() -> Facts:
    return Facts(0, rooms={GENERAL: StoredRoom(room(), removed_at=at(1))})


def with_message() -> Facts:
    known = facts(StoredRoom(room()))
    known.messages[MessageId("m1")] = StoredMessage(event_id_of_message("m1"), post("m1").digest)
    return known


def with_thread() -> Facts:
    known = facts(StoredRoom(room()), StoredRoom(room("other")))
    thread = Thread(ThreadId("t1"), NETWORK, "molt://net_a/threads/t1", GENERAL, message_count=4, last_message_at=at(1))
    known.threads[thread.id] = thread
    return known


def with_direct(*participants: str) -> Facts:
    known = facts()
    direct = DirectConversation(
        DirectId("d1"), NETWORK, "molt://net_a/dms/d1", 1, at(1), participant_ids=tuple(sorted(participants))
    )
    known.directs[direct.id] = direct
    return known


def with_agent() -> Facts:
    known = facts()
    known.agents[AgentId("alpha")] = agent("alpha", "key1", name="Alpha")
    return known


class TestMessages:
    def test_a_new_message_gets_the_next_place_in_the_log(self) -> None:
        command = post("m1", seconds=3)
        planned = decided(facts(StoredRoom(room()), newest_seq=41), command)
        assert planned.outcomes == (MessageStored(event_id_of_message("m1")),)
        (row,) = planned.changes.messages
        (record,) = planned.changes.records
        assert row.seq == record.seq == 42
        assert record.created_at == at(3)
        assert decode(record.wire, Event).message == command.message

    @pytest.mark.parametrize(
        ("command", "same"),
        [
            (post("m1"), True),
            (post("m1", seconds=60), True),
            (post("m1", text="other words"), False),
            (post("m1", sender="beta"), False),
            (direct_post("m1", "d1"), False),
        ],
    )
    def test_a_known_id_is_the_same_message_or_a_conflict(self, command: AnyCommand, same: bool) -> None:
        planned = decided(with_message(), command)
        assert planned.outcomes == (MessageRepeated(event_id_of_message("m1"), same=same),)
        assert planned.changes == Changes()

    def test_a_repeat_within_the_batch_is_recognised(self) -> None:
        planned = decided(facts(StoredRoom(room())), post("m1"), post("m1", text="other"), post("m1"))
        event_id = event_id_of_message("m1")
        assert planned.outcomes == (
            MessageStored(event_id),
            MessageRepeated(event_id, same=False),
            MessageRepeated(event_id, same=True),
        )
        assert len(planned.changes.messages) == 1

    def test_a_known_message_is_a_repeat_even_if_its_room_is_gone(self) -> None:
        known = with_removed_room()
        known.messages = with_message().messages
        assert decided(known, post("m1")).outcomes == (MessageRepeated(event_id_of_message("m1"), same=True),)

    @pytest.mark.parametrize("command", [post("m1"), thread_post("m1", "t1")])
    @pytest.mark.parametrize("known", [facts(), with_removed_room()])
    def test_a_message_needs_a_live_room(self, command: AnyCommand, known: Facts) -> None:
        planned = decided(known, command)
        assert planned.outcomes == (RoomMissing(GENERAL),)
        assert planned.changes == Changes()

    def test_a_room_made_in_the_batch_takes_messages_at_once(self) -> None:
        planned = decided(facts(), post("m1"), create_room(), post("m2"), post("m1"))
        assert planned.outcomes == (
            RoomMissing(GENERAL),
            RoomStored(room()),
            MessageStored(event_id_of_message("m2")),
            MessageStored(event_id_of_message("m1")),
        )
        assert [record.seq for record in planned.changes.records] == [1, 2, 3]

    def test_a_message_asks_only_whether_its_room_exists(self) -> None:
        wanted = needs([post("m1"), thread_post("m2", "t1", "other")])
        assert (wanted.posted_rooms, wanted.rooms) == ({GENERAL, "other"}, set())
        assert (wanted.messages, wanted.threads) == ({"m1", "m2"}, {"t1"})


class TestThreads:
    def test_the_first_message_creates_the_thread_and_is_announced_after_it(self) -> None:
        planned = decided(facts(StoredRoom(room())), thread_post("m1", "t1", parent="m0"), thread_post("m2", "t1"))
        assert planned.outcomes == (
            MessageStored(event_id_of_message("m1"), thread_created=True),
            MessageStored(event_id_of_message("m2")),
        )
        assert types_of(planned.changes) == [
            EventType.THREAD_CREATED,
            EventType.MESSAGE_CREATED,
            EventType.MESSAGE_CREATED,
        ]
        announced = decode(planned.changes.records[0].wire, Event).thread
        assert announced is not None
        assert (announced.message_count, announced.parent_message_id) == (1, "m0")
        assert planned.changes.threads[ThreadId("t1")].message_count == 2

    def test_a_thread_stays_in_its_room(self) -> None:
        planned = decided(with_thread(), thread_post("m1", "t1", "other"))
        assert planned.outcomes == (ThreadElsewhere(GENERAL),)
        assert planned.changes == Changes()

    def test_a_later_message_counts_and_changes_nothing_else(self) -> None:
        known = with_thread()
        before = known.threads[ThreadId("t1")]
        planned = decided(known, thread_post("m1", "t1", parent="m9", seconds=8))
        assert planned.changes.threads == {
            before.id: attrs.evolve(before, message_count=5, last_message_at=at(8)),
        }


class TestDirects:
    def test_mixed_local_and_remote_participants_keep_everyone(self) -> None:
        planned = decided(facts(), direct_post("m1", "d1", ["alpha", "net_b:beta", "zeta"], sender="zeta"))
        assert planned.outcomes == (MessageStored(event_id_of_message("m1"), dm_created=True),)
        direct = planned.changes.directs[DirectId("d1")]
        assert direct.participant_ids == ("alpha", "net_b:beta", "zeta")
        created, message = planned.changes.records
        assert created.type == EventType.DM_CREATED
        expected = ("molt://net_a/agents/alpha", "molt://net_b/agents/beta", "molt://net_a/agents/zeta")
        assert created.addressed == message.addressed == expected

    @pytest.mark.parametrize("spelling", ["zeta", "net_a:zeta", "molt://net_a/agents/zeta"])
    def test_one_agent_in_any_spelling_is_one_participant(self, spelling: str) -> None:
        planned = decided(facts(), direct_post("m1", "d1", [spelling, "zeta", "beta"], sender="zeta"))
        assert planned.changes.directs[DirectId("d1")].participant_ids == ("beta", "zeta")

    def test_a_remote_agent_is_not_the_local_one_of_the_same_name(self) -> None:
        known = with_direct("alpha", "net_b:beta")
        assert decided(known, direct_post("m1", "d1", ["alpha", "beta"], sender="beta")).outcomes == (NotParticipant(),)

    @pytest.mark.parametrize(
        ("known", "participants", "sender"),
        [
            (with_direct("alpha", "beta"), ["alpha", "beta"], "eve"),
            (with_direct("alpha", "beta"), ["alpha", "beta", "eve"], "eve"),
            (facts(), ["alpha", "beta"], "eve"),
        ],
        ids=["stranger", "stranger who names herself", "author who is not among them"],
    )
    def test_nobody_adds_themselves(self, known: Facts, participants: list[str], sender: str) -> None:
        planned = decided(known, direct_post("m1", "d1", participants, sender=sender))
        assert planned.outcomes == (NotParticipant(),)
        assert planned.changes == Changes()

    def test_it_takes_no_more_people_than_one_may_have(self) -> None:
        crowd = ["alpha", *(f"agent-{number:03}" for number in range(MAX_PARTICIPANTS - 1))]
        known = with_direct(*crowd)
        assert decided(known, direct_post("m1", "d1", ["alpha", "one-more"])).outcomes == (DirectFull(),)
        assert isinstance(decided(known, direct_post("m2", "d1", crowd)).outcomes[0], MessageStored)

    def test_a_participant_adds_others_who_may_then_write(self) -> None:
        planned = decided(
            with_direct("alpha", "beta"),
            direct_post("m1", "d1", ["alpha", "eve"], sender="alpha"),
            direct_post("m2", "d1", ["eve", "alpha"], sender="eve"),
        )
        assert planned.outcomes == (
            MessageStored(event_id_of_message("m1")),
            MessageStored(event_id_of_message("m2")),
        )
        direct = planned.changes.directs[DirectId("d1")]
        assert (direct.participant_ids, direct.message_count) == (("alpha", "beta", "eve"), 3)

    def test_a_message_is_addressed_to_all_participants_not_only_those_it_names(self) -> None:
        planned = decided(with_direct("alpha", "beta"), direct_post("m1", "d1", ["alpha", "gamma"], sender="alpha"))
        (record,) = planned.changes.records
        assert record.addressed == tuple(f"molt://net_a/agents/{name}" for name in ("alpha", "beta", "gamma"))


class TestRooms:
    def test_an_id_is_taken_by_a_live_and_by_a_removed_room(self) -> None:
        for known in (facts(StoredRoom(room())), with_removed_room()):
            planned = decided(known, create_room())
            assert planned.outcomes == (RoomTaken(GENERAL, removed=known.live_room(GENERAL) is None),)
            assert planned.changes == Changes()

    def test_a_room_is_created_once_within_a_batch(self) -> None:
        planned = decided(facts(), create_room(), CreateRoom(room(name="again")))
        assert planned.outcomes == (RoomStored(room()), RoomTaken(GENERAL))
        assert types_of(planned.changes) == [EventType.ROOM_CREATED]

    def test_a_declared_room_that_is_new_is_created(self) -> None:
        planned = decided(facts(), DeclareRoom(room(GENERAL, "alpha"), "digest"))
        assert planned.outcomes == (RoomStored(room(GENERAL, "alpha")),)
        assert planned.changes.rooms == {GENERAL: StoredRoom(room(GENERAL, "alpha"), "digest")}
        assert types_of(planned.changes) == [EventType.ROOM_CREATED]

    def test_an_unchanged_declaration_keeps_what_happened_at_runtime(self) -> None:
        """A restart must not undo memberships: the reference overwrote them each time."""
        known = StoredRoom(room(GENERAL, "alpha", "came-later"), "digest")
        planned = decided(facts(known), DeclareRoom(room(GENERAL, "alpha", seconds=99), "digest"))
        assert planned.outcomes == (RoomStored(known.room, changed=False),)
        assert planned.changes == Changes()

    def test_a_changed_declaration_wins_and_keeps_the_time_of_creation(self) -> None:
        known = StoredRoom(room(GENERAL, "alpha", "came-later"), "digest")
        wanted = room(GENERAL, "alpha", "beta", seconds=99, name="General")
        planned = decided(facts(known), DeclareRoom(wanted, "other digest"))
        expected = attrs.evolve(wanted, created_at=at(0))
        assert planned.outcomes == (RoomStored(expected),)
        assert planned.changes.rooms == {GENERAL: StoredRoom(expected, "other digest")}
        (record,) = planned.changes.records
        assert (record.type, record.created_at) == (EventType.ROOM_MEMBERS_UPDATED, at(99))

    def test_a_changed_declaration_of_the_same_room_is_remembered_without_an_event(self) -> None:
        known = StoredRoom(room(GENERAL, "alpha"), "digest")
        planned = decided(facts(known), DeclareRoom(room(GENERAL, "alpha", seconds=99), "other digest"))
        assert planned.outcomes == (RoomStored(known.room, changed=False),)
        assert planned.changes.rooms == {GENERAL: StoredRoom(known.room, "other digest")}
        assert planned.changes.records == []

    def test_a_declaration_takes_over_a_room_that_was_made_at_runtime(self) -> None:
        planned = decided(facts(StoredRoom(room(GENERAL, "alpha"))), DeclareRoom(room(GENERAL, "beta"), "digest"))
        assert planned.changes.rooms == {GENERAL: StoredRoom(room(GENERAL, "beta"), "digest")}

    def test_a_removed_room_that_is_declared_is_restored(self) -> None:
        """In the reference its removal made every later start fail."""
        planned = decided(with_removed_room(), DeclareRoom(room(GENERAL, "alpha"), "digest"), post("m1"))
        assert planned.outcomes == (RoomStored(room(GENERAL, "alpha")), MessageStored(event_id_of_message("m1")))
        assert types_of(planned.changes) == [EventType.ROOM_CREATED, EventType.MESSAGE_CREATED]

    @pytest.mark.parametrize(
        ("add", "remove", "expected", "changed"),
        [
            (["c"], [], ("a", "b", "c"), True),
            ([], ["a"], ("b",), True),
            (["c"], ["c"], ("a", "b"), False),
            (["a"], ["missing"], ("a", "b"), False),
            ([], ["net_a:a"], ("a", "b"), False),
            (["0", "Z"], ["a", "b"], ("0", "Z"), True),
        ],
    )
    def test_members_are_added_then_removed_and_sorted(
        self, add: list[str], remove: list[str], expected: tuple[str, ...], changed: bool
    ) -> None:
        planned = decided(facts(StoredRoom(room(GENERAL, "a", "b"))), update_members(add=add, remove=remove))
        assert planned.outcomes == (RoomStored(room(GENERAL, *expected), changed=changed),)
        assert types_of(planned.changes) == ([EventType.ROOM_MEMBERS_UPDATED] if changed else [])

    @pytest.mark.parametrize("known", [facts(), with_removed_room()])
    def test_members_of_a_missing_room_cannot_change(self, known: Facts) -> None:
        planned = decided(known, update_members(add=["alpha"]))
        assert planned.outcomes == (RoomMissing(RoomId(GENERAL)),)


class TestAgents:
    def test_a_new_agent_is_stored_as_asked(self) -> None:
        planned = decided(facts(), register("alpha", "key1"))
        assert planned.outcomes == (AgentStored(agent("alpha", "key1"), created=True),)
        assert planned.changes.agents == {"alpha": agent("alpha", "key1")}

    def test_another_credential_is_refused(self) -> None:
        planned = decided(with_agent(), register("alpha", "key2", name="Mine now", seconds=5))
        assert planned.outcomes == (AgentOwned("key1"),)
        assert planned.changes == Changes()

    @pytest.mark.parametrize(("asked", "kept"), [("New name", "New name"), ("", "Alpha")])
    @pytest.mark.parametrize(("key", "as_admin"), [("key1", False), ("key2", True)])
    def test_a_refresh_keeps_uid_creation_and_owner(self, asked: str, kept: str, key: str, as_admin: bool) -> None:
        before = agent("alpha", "key1", name="Alpha")
        command = RegisterAgent(agent("alpha", key, name=asked, seconds=5), as_admin=as_admin)
        planned = decided(with_agent(), command)
        after = attrs.evolve(
            before, registration=attrs.evolve(before.registration, display_name=kept, updated_at=at(5))
        )
        assert planned.outcomes == (AgentStored(after, created=False),)

    def test_binding_moves_an_agent_to_the_credential_of_the_config_file(self) -> None:
        planned = decided(with_agent(), BindAgent(agent("alpha", "key2", seconds=5)))
        (outcome,) = planned.outcomes
        assert isinstance(outcome, AgentStored)
        assert outcome.agent.credential_key == "key2"
        assert outcome.agent.registration.actor_uid == "actor_alpha_0"
        assert outcome.agent.registration.display_name == "Alpha"

    def test_binding_again_writes_nothing_unless_the_name_is_new(self) -> None:
        again = decided(with_agent(), BindAgent(agent("alpha", "key1", seconds=5)))
        assert again.outcomes == (AgentStored(agent("alpha", "key1", name="Alpha"), created=False),)
        assert again.changes == Changes()
        renamed = decided(with_agent(), BindAgent(agent("alpha", "key1", name="A. Lpha", seconds=5)))
        assert renamed.changes.agents[AgentId("alpha")].registration.display_name == "A. Lpha"

    def test_the_first_of_two_registrations_in_one_batch_owns_the_agent(self) -> None:
        planned = decided(facts(), register("alpha", "key1"), register("alpha", "key2"))
        assert planned.outcomes == (AgentStored(agent("alpha", "key1"), created=True), AgentOwned("key1"))


class TestRemovals:
    def test_the_end_of_a_room_is_addressed_to_those_who_could_read_it(self) -> None:
        known = room(GENERAL, "alpha", "net_b:beta")
        for visibility, others in [(Visibility.PRIVATE, ()), (Visibility.PUBLIC, (THE_PUBLIC,))]:
            stored = StoredRoom(attrs.evolve(known, visibility=visibility), "digest")
            planned = decided(facts(stored), remove_room())
            assert planned.outcomes == (RoomRemoved(stored.room),)
            (record,) = planned.changes.records
            assert record.addressed == ("molt://net_a/agents/alpha", "molt://net_b/agents/beta", *others)

    @pytest.mark.parametrize(
        ("known", "outcome"),
        [(facts(), RoomMissing(GENERAL)), (facts(StoredRoom(room())), RoomTaken(GENERAL))],
    )
    def test_only_a_removed_room_can_be_restored(self, known: Facts, outcome: object) -> None:
        planned = decided(known, restore_room())
        assert planned.outcomes == (outcome,)
        assert planned.changes == Changes()

    def test_an_agent_that_is_removed_is_not_missed_in_removed_rooms(self) -> None:
        planned = decided(with_removed_room(), remove_agent("alpha"))
        assert planned.outcomes == (AgentMissing(AgentId("alpha")),)
        assert planned.changes == Changes()

    def test_all_rooms_of_a_removed_agent_are_asked_for(self) -> None:
        wanted = needs([remove_agent("alpha")])
        assert wanted.agents == {"alpha"}
        assert wanted.members == {"alpha", "net_a:alpha", "molt://net_a/agents/alpha"}
