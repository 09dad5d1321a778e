"""The one writer: batches, order, and what becomes of every request when something goes wrong."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import attrs
import pytest
import trio
import trio.testing

from moltnet.journal import Journal, JournalClosed, open_journal
from moltnet.protocol import limits
from moltnet.storage.commands import AnyCommand, AppendMessage, MessageStored, RoomStored
from moltnet.storage.store import Committed, StorageError, StorageFull
from tests.expected_errors import ExpectedErrors
from tests.fakes.faulty_store import FaultyStore
from tests.storage.examples import create_room, post


@attrs.define(eq=False)
class Office:
    """A journal on a store that can fail, and what it has published."""

    store: FaultyStore = attrs.field(factory=FaultyStore)
    published: list[Committed] = attrs.field(factory=list)
    journal: Journal = attrs.field(init=False)
    answers: dict[str, object] = attrs.field(factory=dict)
    """What became of each post by its message id: an outcome or an exception."""

    def publish(self, committed: Committed) -> None:
        self.published.append(committed)

    async def post(self, message_id: str, *, text: str = "hello") -> None:
        try:
            self.answers[message_id] = await self.journal.commit(post(message_id, text=text))
        except (StorageError, JournalClosed) as error:
            self.answers[message_id] = error

    @property
    def published_ids(self) -> list[str]:
        return [record.message_id for committed in self.published for record in committed.records if record.message_id]

    @property
    def batches(self) -> list[list[str]]:
        """The messages of each commit."""
        return [
            [command.message.id for command in batch if isinstance(command, AppendMessage)]
            for batch in self.store.batches
        ]


@asynccontextmanager
async def open_office() -> AsyncIterator[Office]:
    """A journal whose store has one room."""
    office = Office()
    async with open_journal(office.store, office.publish) as journal:
        office.journal = journal
        assert isinstance(await journal.commit(create_room()), RoomStored)
        office.store.batches.clear()
        office.published.clear()
        yield office


class TestGroupCommit:
    async def test_what_waits_during_a_commit_is_the_next_batch(self) -> None:
        async with open_office() as office, trio.open_nursery() as nursery:
            office.store.hold()
            nursery.start_soon(office.post, "m0")
            await trio.testing.wait_all_tasks_blocked()
            for number in range(1, 6):
                nursery.start_soon(office.post, f"m{number}")
                await trio.testing.wait_all_tasks_blocked()
            office.store.release()
            await trio.testing.wait_all_tasks_blocked()
            assert office.batches == [["m0"], ["m1", "m2", "m3", "m4", "m5"]]
            assert office.published_ids == [f"m{number}" for number in range(6)]

    async def test_a_batch_is_bounded_in_commands(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "MAX_BATCH_COMMANDS", 3)
        async with open_office() as office:
            await self._post_while_held(office, 8, text="hello")
            assert [len(batch) for batch in office.batches] == [1, 3, 3, 1]

    async def test_a_batch_is_bounded_in_bytes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "MAX_BATCH_BYTES", 3500)
        async with open_office() as office:
            await self._post_while_held(office, 8, text="x" * 1000)
            assert [len(batch) for batch in office.batches] == [1, 3, 3, 1]

    @staticmethod
    async def _post_while_held(office: Office, count: int, *, text: str) -> None:
        async with trio.open_nursery() as nursery:
            office.store.hold()
            for number in range(count):
                nursery.start_soon(partial(office.post, f"m{number}", text=text))
                await trio.testing.wait_all_tasks_blocked()
            office.store.release()

    async def test_everybody_gets_the_answer_to_their_own_command(self) -> None:
        async with open_office() as office:
            async with trio.open_nursery() as nursery:
                for number in range(50):
                    nursery.start_soon(office.post, f"m{number}")
            for number in range(50):
                answer = office.answers[f"m{number}"]
                assert isinstance(answer, MessageStored)
            assert (
                len({answer.event_id for answer in office.answers.values() if isinstance(answer, MessageStored)}) == 50
            )

    async def test_events_are_published_in_the_order_of_the_log_before_anybody_is_answered(self) -> None:
        async with open_office() as office:
            order: list[str] = []

            async def send(number: int) -> None:
                await office.post(f"m{number}")
                order.append(f"m{number}")
                assert f"m{number}" in office.published_ids

            async with trio.open_nursery() as nursery:
                for number in range(50):
                    nursery.start_soon(send, number)
            seqs = [record.seq for committed in office.published for record in committed.records]
            assert seqs == list(range(2, 52))
            assert len(order) == 50

    async def test_a_full_queue_makes_callers_wait_and_loses_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "MAX_QUEUED_COMMANDS", 2)
        async with open_office() as office:
            await self._post_while_held(office, 10, text="hello")
            assert all(isinstance(answer, MessageStored) for answer in office.answers.values())
            assert len(office.answers) == 10


class TestCancelledCallers:
    async def test_what_waits_is_bounded_in_bytes_whoever_still_waits_for_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = "x" * 1000
        monkeypatch.setattr(limits, "MAX_QUEUED_BYTES", len(post("m00", text=text).body) * 3)
        monkeypatch.setattr(limits, "MAX_QUEUED_COMMANDS", 1)
        async with open_office() as office:
            for attempt in range(2):  # what is committed, and who never got into the queue, takes no room any more
                office.answers.clear()
                office.store.hold()
                async with trio.open_nursery() as nursery:
                    for number in range(4):  # one within its commit, one in the queue, one before it
                        nursery.start_soon(partial(office.post, f"m{attempt}{number}", text=text))
                        await trio.testing.wait_all_tasks_blocked()
                    nursery.cancel_scope.cancel()
                assert {name: type(answer) for name, answer in office.answers.items()} == {f"m{attempt}3": StorageError}
                office.store.release()
                await trio.testing.wait_all_tasks_blocked()
            assert office.published_ids == ["m00", "m01", "m10", "m11"]

    async def test_who_is_cancelled_after_queuing_has_committed_all_the_same(self) -> None:
        async with open_office() as office:
            office.store.hold()
            async with trio.open_nursery() as nursery:
                for number in range(3):  # one within its commit, two in the queue
                    nursery.start_soon(office.post, f"m{number}")
                    await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            assert office.answers == {}
            office.store.release()
            await trio.testing.wait_all_tasks_blocked()
            assert office.published_ids == ["m0", "m1", "m2"]

    async def test_who_is_cancelled_before_queuing_has_done_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "MAX_QUEUED_COMMANDS", 1)
        async with open_office() as office:
            office.store.hold()
            async with trio.open_nursery() as waiting:
                for number in range(2):
                    waiting.start_soon(office.post, f"m{number}")
                    await trio.testing.wait_all_tasks_blocked()
                async with trio.open_nursery() as late:
                    late.start_soon(office.post, "late")
                    await trio.testing.wait_all_tasks_blocked()
                    late.cancel_scope.cancel()
                office.store.release()
            assert office.published_ids == ["m0", "m1"]

    async def test_a_commit_is_a_checkpoint(self) -> None:
        async with open_office() as office:
            with trio.testing.assert_checkpoints():
                await office.journal.commit(post("m0"))


class TestFailures:
    async def test_a_failing_store_is_told_to_everybody_in_the_batch_each_with_an_error_of_its_own(self) -> None:
        async with open_office() as office:
            office.store.hold()
            async with trio.open_nursery() as nursery:
                for number in range(4):
                    nursery.start_soon(office.post, f"m{number}")
                    await trio.testing.wait_all_tasks_blocked()
                office.store.failures.extend([StorageFull("no room left"), StorageFull("no room left")])
                office.store.release()
            errors = [office.answers[f"m{number}"] for number in range(4)]
            assert all(isinstance(error, StorageFull) and str(error) == "no room left" for error in errors)
            assert len(set(map(id, errors))) == 4
            assert office.published == []

    async def test_the_next_commit_goes_through_again(self) -> None:
        async with open_office() as office:
            office.store.failures.append(StorageError("hiccup"))
            await office.post("m0")
            assert isinstance(office.answers["m0"], StorageError)
            await office.post("m0")
            assert isinstance(office.answers["m0"], MessageStored)

    async def test_one_poisonous_command_does_not_fail_its_neighbours(self, expected_errors: ExpectedErrors) -> None:
        def choke(commands: Sequence[AnyCommand]) -> None:
            if any(isinstance(command, AppendMessage) and command.message.id == "m3" for command in commands):
                raise ZeroDivisionError("a bug in the planner")

        async with open_office() as office:
            office.store.refuse = choke
            await TestGroupCommit._post_while_held(office, 6, text="hello")
            assert {name for name, answer in office.answers.items() if isinstance(answer, StorageError)} == {"m3"}
            assert office.published_ids == ["m0", "m1", "m2", "m4", "m5"]
        record = expected_errors.take("commit crashed")
        assert record.exc_info is not None

    async def test_a_reader_that_chokes_does_not_make_a_commit_undone(self, expected_errors: ExpectedErrors) -> None:
        def choke(committed: Committed) -> None:
            raise ZeroDivisionError("a bug in the broker")

        store = FaultyStore()
        async with open_journal(store, choke) as journal:
            assert isinstance(await journal.commit(create_room()), RoomStored)
            expected_errors.take("publishing crashed")
            assert isinstance(await journal.commit(post("m0")), MessageStored)
            expected_errors.take("publishing crashed")
        assert (await store.event_bounds()).newest_seq == 2


class TestClosing:
    async def test_what_waits_is_committed_and_answered_before_it_closes(self) -> None:
        store, answers = FaultyStore(), list[object]()

        async def send(journal: Journal, number: int) -> None:
            answers.append(await journal.commit(post(f"m{number}")))

        async with trio.open_nursery() as nursery:
            async with open_journal(store, lambda committed: None) as journal:
                await journal.commit(create_room())
                store.hold()
                for number in range(3):
                    nursery.start_soon(send, journal, number)
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(_release_later, store)
            assert (await store.event_bounds()).newest_seq == 4
        assert len(answers) == 3
        with pytest.raises(JournalClosed):
            await journal.commit(post("late"))

    async def test_cancelled_it_still_commits_what_waits(self) -> None:
        store = FaultyStore()
        with trio.CancelScope() as scope:
            async with open_journal(store, lambda committed: None) as journal, trio.open_nursery() as nursery:
                await journal.commit(create_room())
                store.hold()
                for number in range(3):
                    nursery.start_soon(journal.commit, post(f"m{number}"))
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
                store.release()
        assert scope.cancelled_caught
        assert (await store.event_bounds()).newest_seq == 4

    async def test_who_still_waits_for_a_place_in_the_queue_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "MAX_QUEUED_COMMANDS", 1)
        answers: dict[str, object] = {}

        async def send(journal: Journal, name: str) -> None:
            try:
                answers[name] = await journal.commit(post(name))
            except JournalClosed as closed:
                answers[name] = closed

        store = FaultyStore()
        async with trio.open_nursery() as nursery, open_journal(store, lambda committed: None) as journal:
            await journal.commit(create_room())
            store.hold()
            for name in ("committing", "queued", "waiting"):
                nursery.start_soon(send, journal, name)
                await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(_release_later, store)
        assert isinstance(answers["committing"], MessageStored)
        assert isinstance(answers["queued"], MessageStored)
        assert isinstance(answers["waiting"], JournalClosed)


async def _release_later(store: FaultyStore) -> None:
    await trio.testing.wait_all_tasks_blocked()
    store.release()
