"""A journal whose store others commit to as well: what they wrote is published in its place among our own."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import trio
import trio.testing

from moltnet.journal import Journal, open_journal
from moltnet.storage.commands import AnyCommand, MessageStored
from moltnet.storage.store import Committed, StorageError
from tests.fakes.faulty_store import FaultyStore
from tests.storage.examples import create_room, post


@attrs.define(eq=False)
class SharedStore(FaultyStore):
    """What `others_commit` writes is reported by the next commit, as a store for several servers does."""

    _bell: trio.Event = attrs.field(factory=trio.Event)
    _news: tuple[Committed, ...] = ()

    async def others_commit(self, *commands: AnyCommand) -> None:
        self._news += (await self.store.commit(commands),)
        self.ring()

    def ring(self) -> None:
        self._bell.set()

    async def wait_changed(self) -> None:
        await self._bell.wait()
        self._bell = trio.Event()

    async def commit(self, commands: Sequence[AnyCommand]) -> Committed:
        own = await super().commit(commands)
        news, self._news = self._news, ()
        records = [record for committed in (*news, own) for record in committed.records]
        return attrs.evolve(own, records=tuple(records))


@attrs.define(eq=False)
class Office:
    store: SharedStore = attrs.field(factory=SharedStore)
    published: list[int] = attrs.field(factory=list)
    journal: Journal = attrs.field(init=False)

    def publish(self, committed: Committed) -> None:
        self.published.extend(record.seq for record in committed.records)


@asynccontextmanager
async def open_office() -> AsyncIterator[Office]:
    office = Office()
    async with open_journal(office.store, office.publish) as journal:
        office.journal = journal
        await journal.commit(create_room())
        yield office


async def test_what_others_commit_is_published_when_the_bell_rings() -> None:
    async with open_office() as office:
        await office.store.others_commit(post("m1"), post("m2"))
        await trio.testing.wait_all_tasks_blocked()
        assert office.published == [1, 2, 3]
        assert isinstance(await office.journal.commit(post("m3")), MessageStored)
        assert office.published == [1, 2, 3, 4]


async def test_looking_costs_no_commit_of_its_own_while_much_is_written() -> None:
    async with open_office() as office, trio.open_nursery() as nursery:
        office.store.hold()
        nursery.start_soon(office.journal.commit, post("m1"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(office.journal.commit, post("m2"))
        await office.store.others_commit(post("theirs"))
        await trio.testing.wait_all_tasks_blocked()
        office.store.release()
        await trio.testing.wait_all_tasks_blocked()
        assert [len(batch) for batch in office.store.batches] == [1, 1, 1]
        assert sorted(office.published) == [1, 2, 3, 4]


async def test_a_bell_that_rings_often_is_answered_one_look_at_a_time() -> None:
    async with open_office() as office:
        office.store.hold()
        for _ in range(5):
            office.store.ring()
            await trio.testing.wait_all_tasks_blocked()
        office.store.release()
        await trio.testing.wait_all_tasks_blocked()
        assert [len(batch) for batch in office.store.batches] == [1, 0, 0]


async def test_a_look_that_fails_is_no_end_and_comes_again_with_the_next_bell() -> None:
    async with open_office() as office:
        office.store.failures.append(StorageError("away"))
        await office.store.others_commit(post("m1"))
        await trio.testing.wait_all_tasks_blocked()
        assert office.published == [1]
        office.store.ring()
        await trio.testing.wait_all_tasks_blocked()
        assert office.published == [1, 2]


async def test_a_journal_that_is_left_does_not_wait_for_others() -> None:
    with trio.fail_after(5):
        async with open_office() as office:
            office.store.hold()
            await office.store.others_commit(post("m1"))
            await trio.testing.wait_all_tasks_blocked()
            office.store.release()
    assert office.published == [1, 2]
