"""SQLite against the store in memory: the same commands and questions, in random order, must have the same answers."""

import queue
import tempfile
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import attrs
import hypothesis
import trio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from moltnet.protocol.ids import DirectId, ThreadId
from moltnet.protocol.messages import Part, PartKind
from moltnet.protocol.pages import PageRequest
from moltnet.storage.commands import AnyCommand, ApplyNetwork, BindAgent, DeclareRoom, RecordEvents, RegisterAgent
from moltnet.storage.memory import MemoryStore
from moltnet.storage.records import History
from moltnet.storage.sql.sqlite import open_sqlite
from moltnet.storage.store import Committed, Store, UnknownCursor
from tests.contracts.store_messages import wake
from tests.storage.examples import (
    NETWORK,
    agent,
    create_room,
    direct_history,
    direct_post,
    post,
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
agent_commands = st.one_of(st.builds(RegisterAgent, agents, as_admin=st.booleans()), st.builds(BindAgent, agents))
applies = st.builds(
    lambda who, shaped: ApplyNetwork(tuple(who), tuple(room(name, *members) for name, members in shaped.items())),
    st.lists(agents, max_size=2),
    st.dictionaries(rooms, member_lists, max_size=2),
)
commands: st.SearchStrategy[AnyCommand] = st.one_of(
    appends, with_artifacts, room_commands, agent_commands, removals, applies
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


class TrioThread:
    """A Trio loop in a thread of its own, for a test that is synchronous and keeps something open between its steps."""

    def __init__(self) -> None:
        self._tokens: queue.SimpleQueue[trio.lowlevel.TrioToken] = queue.SimpleQueue()
        self._end = trio.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._main,))
        self._thread.start()
        self._token = self._tokens.get()

    def run(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        async def in_trio() -> Answer:
            return await call()

        return trio.from_thread.run(in_trio, trio_token=self._token)

    def close(self) -> None:
        trio.from_thread.run_sync(self._end.set, trio_token=self._token)
        self._thread.join()

    async def _main(self) -> None:
        self._tokens.put(trio.lowlevel.current_trio_token())
        await self._end.wait()


def comparable(committed: Committed) -> Any:
    """A commit's result without the random ids of its events."""
    records = [
        {**attrs.asdict(record), "id": "", "wire": record.wire.replace(record.id.encode(), b"")}
        for record in committed.records
    ]
    return committed.outcomes, records, committed.rooms, committed.agents, committed.removed_agents


class SqliteAgainstMemory(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self._trio = TrioThread()
        self._memory: Store = MemoryStore(NETWORK)
        self._block = AsyncExitStack()
        self._sqlite: Store = self._trio.run(self._open_sqlite)
        self._event_number = 0

    async def _open_sqlite(self) -> Store:
        path = Path(self._directory.name) / "moltnet.db"
        return await self._block.enter_async_context(open_sqlite(path, NETWORK))

    def both(self, question: Callable[[Store], Awaitable[Any]]) -> tuple[Any, Any]:
        """The answers of both stores; an unknown cursor is an answer too."""

        async def answer(store: Store) -> object:
            try:
                return await question(store)
            except UnknownCursor as error:
                return "unknown cursor", error.cursor

        return self._trio.run(lambda: answer(self._memory)), self._trio.run(lambda: answer(self._sqlite))

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

    @rule()
    def reopen(self) -> None:
        self._trio.run(self._block.aclose)
        self._block = AsyncExitStack()
        self._sqlite = self._trio.run(self._open_sqlite)

    @rule(history=histories, page=pages)
    def read_messages(self, history: History, page: PageRequest) -> None:
        self.assert_same(lambda store: store.message_page(history, page))

    @rule(history=histories, page=st.one_of(pages, artifact_pages))
    def read_artifacts(self, history: History, page: PageRequest) -> None:
        self.assert_same(lambda store: store.artifact_page(history, page))

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
    def directories_are_the_same(self) -> None:
        self.assert_same(lambda store: store.load_directory())

    @invariant()
    def logs_end_at_the_same_place_and_have_no_hole(self) -> None:
        expected, found = self.both(lambda store: store.event_bounds())
        assert (found.oldest_seq, found.newest_seq) == (expected.oldest_seq, expected.newest_seq)
        records = self._trio.run(lambda: self._sqlite.events_after(max(0, found.newest_seq - 20), 100))
        assert [record.seq for record in records] == list(
            range(max(0, found.newest_seq - 20) + 1, found.newest_seq + 1)
        )

    def teardown(self) -> None:
        self._trio.run(self._block.aclose)
        self._trio.close()
        self._directory.cleanup()


async def as_lists(answer: Awaitable[tuple[Sequence[Any], bool]]) -> tuple[list[Any], bool]:
    items, has_more = await answer
    return list(items), has_more


TestSqliteAgainstMemory = SqliteAgainstMemory.TestCase
TestSqliteAgainstMemory.settings = hypothesis.settings(max_examples=20, stateful_step_count=30)
