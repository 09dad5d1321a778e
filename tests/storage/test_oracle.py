"""Stores against the one in memory: the same commands and questions, in random order, must have the same answers."""

import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar

import attrs
import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from moltnet.protocol.approvals import DECISIONS, Approval, ApprovalState
from moltnet.protocol.ids import AgentId, DirectId, MessageId, ThreadId
from moltnet.protocol.messages import Part, PartKind
from moltnet.protocol.pages import PageRequest
from moltnet.storage.commands import (
    AnyCommand,
    ApplyNetwork,
    BindAgent,
    ChangeCredential,
    DeclareNetwork,
    DeclareRoom,
    RecordEvents,
    RegisterAgent,
)
from moltnet.storage.memory import MemoryStore
from moltnet.storage.outbox import DropRelays, RelayFailure, RelayState, RetryRelays, SettleRelays
from moltnet.storage.records import ApprovalFilter, History
from moltnet.storage.snapshot import open_json
from moltnet.storage.sql.sqlite import open_sqlite
from moltnet.storage.store import Committed, Store, UnknownCursor
from tests.contracts.store_approvals import approval, ask, decide, sweep
from tests.contracts.store_messages import wake
from tests.contracts.store_pruning import prune
from tests.fakes.trio_thread import HeldOpen, TrioThread
from tests.storage.examples import (
    NETWORK,
    agent,
    at,
    create_room,
    direct_history,
    direct_post,
    post,
    relayed,
    remove_agent,
    remove_room,
    restore_room,
    room,
    room_history,
    thread_history,
    thread_post,
    update_members,
    with_parts,
)

Answer = TypeVar("Answer")

# Few names, so that commands meet: repeats, threads in the wrong room, strangers, cursors from elsewhere.
messages = st.integers(1, 40).map("m{}".format)
rooms = st.sampled_from(["room1", "room2", "room3"])
threads = st.sampled_from(["t1", "t2", "t3", "room1"])
directs = st.sampled_from(["d1", "d2", "d3", "room1"])
members = st.sampled_from(["alpha", "beta", "gamma", "net_b:alpha", "molt://net_a/agents/beta"])
member_lists = st.lists(members, max_size=4, unique=True)
credentials = st.sampled_from(["key1", "key2"])
seconds = st.integers(0, 100)
texts = st.sampled_from(["hello", "", '🦞 \0 " \\', "x" * 3000])

appends = st.one_of(
    st.builds(post, messages, rooms, text=texts, sender=members, seconds=seconds, addressed=member_lists),
    st.builds(thread_post, messages, threads, rooms, parent=messages, sender=members, seconds=seconds),
    st.builds(direct_post, messages, directs, member_lists, sender=members, seconds=seconds),
)
places = st.lists(st.integers(1, 60), max_size=4).map(tuple)
failures = st.builds(RelayFailure, st.sampled_from([0, 403]), credentials, st.just('"🦞"'), seconds.map(at))
states = st.builds(RelayState, st.integers(0, 3), st.one_of(st.none(), failures))
ways = st.sampled_from(["to_b", "to_c"])
relays = st.builds(lambda command, to: relayed(command, *to), appends, st.sets(ways))
outbox_commands = st.one_of(
    st.builds(SettleRelays, ways, places, st.lists(st.tuples(st.integers(1, 60), states), max_size=4).map(tuple)),
    st.builds(RetryRelays, ways, st.lists(messages.map(MessageId), max_size=9).map(tuple)),
    st.builds(DropRelays, ways, st.lists(messages.map(MessageId), max_size=3).map(tuple)),
)
parts = st.lists(
    st.builds(
        Part, st.sampled_from(PartKind), texts, filename=st.sampled_from(["", "a.txt"]), url=st.sampled_from(["", "u"])
    ),
    min_size=1,
    max_size=3,
)
with_artifacts = st.builds(lambda command, content: with_parts(command, *content), appends, parts)
room_commands = st.one_of(
    st.builds(lambda name, who: create_room(name, *who), rooms, member_lists),
    st.builds(lambda name, who, text: DeclareRoom(room(name, *who), text), rooms, member_lists, credentials),
    st.builds(
        lambda name, add, remove: update_members(name, add=add, remove=remove), rooms, member_lists, member_lists
    ),
)
removals = st.one_of(
    st.builds(remove_room, rooms, seconds=seconds),
    st.builds(lambda name, who: restore_room(name, *who), rooms, member_lists),
    st.builds(remove_agent, st.sampled_from(["alpha", "beta", "gamma"]), seconds=seconds),
)
agents = st.builds(
    lambda name, key, shown, at: agent(name, key, name=shown, seconds=at), members, credentials, texts, seconds
)
agent_commands = st.one_of(
    st.builds(RegisterAgent, agents, as_admin=st.booleans()),
    st.builds(BindAgent, agents),
    st.builds(
        lambda name, old, new, seconds: ChangeCredential(AgentId(name), old, new, at(seconds)),
        members,
        credentials,
        credentials,
        seconds,
    ),
)
declarations = st.builds(
    lambda who, shaped, text: DeclareNetwork(
        tuple(who), tuple(DeclareRoom(room(name, *members), text) for name, members in shaped.items())
    ),
    st.lists(agents, max_size=2),
    st.dictionaries(rooms, member_lists, max_size=2),
    credentials,
)
applies = st.builds(
    lambda who, shaped: ApplyNetwork(tuple(who), tuple(room(name, *members) for name, members in shaped.items())),
    st.lists(agents, max_size=2),
    st.dictionaries(rooms, member_lists, max_size=2),
)
wakes = st.builds(
    lambda name, who, at, lasts: approval(name, who, seconds=at, lasts=lasts),
    st.integers(1, 6).map("m{}".format),
    st.sampled_from(["alpha", "beta"]),
    seconds,
    seconds,
)
approval_commands = st.one_of(
    st.builds(lambda wanted, most: ask(wanted, max_pending=most), wakes, st.integers(1, 4)),
    st.builds(lambda wanted, state, at: decide(wanted, state, seconds=at), wakes, st.sampled_from(DECISIONS), seconds),
    st.builds(
        lambda at, before, limit: sweep(at, forget_before=before, limit=limit),
        seconds,
        st.one_of(st.none(), seconds),
        # Which of several of one moment go first, no store promises.
        st.just(1000),
    ),
)
approval_filters = st.builds(
    ApprovalFilter,
    st.one_of(st.none(), st.lists(st.sampled_from(["alpha", "beta", "gamma"]).map(AgentId), max_size=3).map(tuple)),
    st.sampled_from(["", *ApprovalState]),
)
commands: st.SearchStrategy[AnyCommand] = st.one_of(
    appends, with_artifacts, room_commands, agent_commands, removals, applies, declarations
)
pages = st.one_of(
    st.builds(PageRequest, st.integers(1, 6)),
    st.builds(PageRequest, st.integers(1, 6), before=st.one_of(messages, threads, directs)),
    st.builds(PageRequest, st.integers(1, 6), after=st.one_of(messages, threads, directs)),
)
artifact_ids = st.builds("art_{}_{}".format, messages, st.integers(0, 2))
artifact_pages = st.one_of(
    st.builds(PageRequest, st.integers(1, 6), before=artifact_ids),
    st.builds(PageRequest, st.integers(1, 6), after=artifact_ids),
)
histories = st.one_of(rooms.map(room_history), threads.map(thread_history), directs.map(direct_history))


def comparable(committed: Committed) -> Any:
    """A commit's result without the random ids of its events."""
    records = [
        {**attrs.asdict(record), "id": "", "wire": record.wire.replace(record.id.encode(), b"")}
        for record in committed.records
    ]
    relaying = committed.relayed, committed.retried_relays
    return committed.outcomes, records, committed.rooms, committed.agents, committed.removed_agents, relaying


class AgainstMemory(RuleBasedStateMachine):
    """A class of tests inherits from this and says which store it opens; opened again, it must be the same store."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self._trio = TrioThread()
        self._memory: Store = MemoryStore(NETWORK)
        self._held = self._open()
        self._event_number = 0

    def open_store(self, directory: Path) -> AbstractAsyncContextManager[Store]:
        raise NotImplementedError

    def _open(self) -> HeldOpen[Store]:
        return HeldOpen(self._trio, lambda: self.open_store(Path(self._directory.name)))

    @property
    def _store(self) -> Store:
        return self._held.resource

    def both(self, question: Callable[[Store], Awaitable[Any]]) -> tuple[Any, Any]:
        """The answers of both stores; an unknown cursor is an answer too."""

        async def answer(store: Store) -> object:
            try:
                return await question(store)
            except UnknownCursor as error:
                return "unknown cursor", error.cursor

        return self._trio.run(lambda: answer(self._memory)), self._trio.run(lambda: answer(self._store))

    def assert_same(self, question: Callable[[Store], Awaitable[Any]]) -> None:
        expected, found = self.both(question)
        assert found == expected

    @initialize()
    def a_room(self) -> None:
        self.commit([create_room("room1", "alpha")])

    @rule(batch=st.lists(commands, min_size=1, max_size=12))
    def commit(self, batch: Sequence[AnyCommand]) -> None:
        expected, found = self.both(lambda store: store.commit(batch))
        assert comparable(found) == comparable(expected)

    @rule(count=st.integers(1, 70))
    def record_events(self, count: int) -> None:
        first, self._event_number = self._event_number, self._event_number + count
        events = tuple(wake(f"evt_{number}") for number in range(first, self._event_number))
        self.commit([RecordEvents(events)])

    @rule(events_before=seconds, messages_before=st.one_of(st.none(), seconds), limit=st.sampled_from([1, 3, 10, 1000]))
    def prune(self, events_before: int, messages_before: int | None, limit: int) -> None:
        self.commit([prune(events_before, messages_before, limit)])

    @rule(batch=st.lists(st.one_of(relays, outbox_commands), min_size=1, max_size=12))
    def commit_relays(self, batch: Sequence[AnyCommand]) -> None:
        self.commit(batch)

    @rule(
        pairing_id=ways,
        after=st.integers(0, 60),
        limit=st.integers(1, 9),
        conversation=st.sampled_from(["", "room:room1", "dm:d1"]),
    )
    def read_the_outbox(self, pairing_id: str, after: int, limit: int, conversation: str) -> None:
        self.assert_same(lambda store: as_list(store.outbox(pairing_id, after, limit, conversation)))

    @rule(pairing_id=ways, page=pages)
    def list_dead_letters(self, pairing_id: str, page: PageRequest) -> None:
        self.assert_same(lambda store: as_lists(store.dead_letters(pairing_id, page)))

    @rule()
    def reopen(self) -> None:
        self._held.close()
        self._held = self._open()

    @rule(history=histories, page=pages)
    def read_messages(self, history: History, page: PageRequest) -> None:
        self.assert_same(lambda store: store.message_page(history, page))

    @rule(history=histories, page=st.one_of(pages, artifact_pages))
    def read_artifacts(self, history: History, page: PageRequest) -> None:
        self.assert_same(lambda store: store.artifact_page(history, page))

    @rule(batch=st.lists(st.one_of(approval_commands, removals, agent_commands), min_size=1, max_size=6))
    def commit_approvals(self, batch: Sequence[AnyCommand]) -> None:
        self.commit(batch)

    @rule(wanted=approval_filters, limit=st.integers(1, 6), cursor=st.one_of(st.none(), wakes), is_before=st.booleans())
    def list_approvals(self, wanted: ApprovalFilter, limit: int, cursor: Approval | None, is_before: bool) -> None:
        place = "" if cursor is None else cursor.id
        page = PageRequest(limit, before=place) if is_before else PageRequest(limit, after=place)
        self.assert_same(lambda store: store.approval_page(wanted, page))

    @rule(wanted=wakes)
    def look_at_an_approval(self, wanted: Approval) -> None:
        self.assert_same(lambda store: store.approval(wanted.id))

    @rule(room_id=rooms, page=pages)
    def list_threads(self, room_id: str, page: PageRequest) -> None:
        self.assert_same(lambda store: as_lists(store.threads(room(room_id).id, page)))

    @rule(page=pages, participants=st.one_of(st.none(), member_lists))
    def list_directs(self, page: PageRequest, participants: Sequence[str] | None) -> None:
        self.assert_same(lambda store: as_lists(store.directs(page, participants)))

    @rule(name=threads)
    def look_at_a_thread(self, name: str) -> None:
        self.assert_same(lambda store: store.thread(ThreadId(name)))

    @rule(name=directs)
    def look_at_a_direct_conversation(self, name: str) -> None:
        self.assert_same(lambda store: store.direct(DirectId(name)))

    @rule(seq=st.integers(0, 100), limit=st.integers(1, 50))
    def read_the_log(self, seq: int, limit: int) -> None:
        expected, found = self.both(lambda store: store.events_after(seq, limit))
        assert comparable(Committed((), tuple(found))) == comparable(Committed((), tuple(expected)))

    @invariant()
    def outboxes_are_as_deep(self) -> None:
        self.assert_same(lambda store: as_list(store.outbox_depths()))

    @invariant()
    def directories_are_the_same(self) -> None:
        self.assert_same(lambda store: store.load_directory())

    @invariant()
    def logs_end_at_the_same_place_and_have_no_hole(self) -> None:
        expected, found = self.both(lambda store: store.event_bounds())
        assert (found.oldest_seq, found.newest_seq) == (expected.oldest_seq, expected.newest_seq)
        first = max(found.oldest_seq, found.newest_seq - 19)
        records = self._trio.run(lambda: self._store.events_after(first - 1, 100))
        assert [record.seq for record in records] == list(range(max(1, first), found.newest_seq + 1))

    def teardown(self) -> None:
        self._held.close()
        self._trio.close()
        self._directory.cleanup()


async def as_list(answer: Awaitable[Sequence[Any]]) -> list[Any]:
    return list(await answer)


async def as_lists(answer: Awaitable[tuple[Sequence[Any], bool]]) -> tuple[list[Any], bool]:
    items, has_more = await answer
    return list(items), has_more


class SqliteAgainstMemory(AgainstMemory):
    def open_store(self, directory: Path) -> AbstractAsyncContextManager[Store]:
        return open_sqlite(directory / "moltnet.db", NETWORK)


class JsonAgainstMemory(AgainstMemory):
    def open_store(self, directory: Path) -> AbstractAsyncContextManager[Store]:
        return open_json(directory / "moltnet.json", NETWORK)


TestSqliteAgainstMemory = SqliteAgainstMemory.TestCase
TestSqliteAgainstMemory.settings = hypothesis.settings(max_examples=20, stateful_step_count=30)
TestJsonAgainstMemory = JsonAgainstMemory.TestCase
TestJsonAgainstMemory.settings = hypothesis.settings(max_examples=20, stateful_step_count=30)
