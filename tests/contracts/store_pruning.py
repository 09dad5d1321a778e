"""What every store promises about events and messages that grow old."""

from datetime import datetime

import pytest
import trio

from moltnet.protocol.ids import DirectId, ThreadId, event_id_of_message
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.times import parse_timestamp
from moltnet.storage import limits
from moltnet.storage.commands import MessageRepeated, MessageStored, Prune, Pruned
from moltnet.storage.store import Store
from tests.contracts.store_artifacts import artifact_ids
from tests.contracts.store_messages import EVERYTHING, ids_of
from tests.storage.examples import (
    at,
    create_room,
    direct_history,
    direct_post,
    link,
    post,
    room_history,
    thread_history,
    thread_post,
    with_parts,
)


def moment(seconds: float) -> datetime:
    return parse_timestamp(at(seconds))


def prune(events_before: float, messages_before: float | None = None, limit: int = EVERYTHING) -> Prune:
    return Prune(moment(events_before), None if messages_before is None else moment(messages_before), limit)


async def seqs(store: Store) -> list[int]:
    return [record.seq for record in await store.events_after(0, EVERYTHING)]


class EventPruningContract:
    async def test_old_events_go_and_newer_ones_stay_where_they_are(self, store: Store) -> None:
        await store.commit([create_room(), *(post(f"m{number}", seconds=number) for number in range(1, 9))])
        committed = await store.commit([prune(5)])
        assert committed.outcomes == (Pruned(5, 0),)
        assert committed.records == ()
        assert await seqs(store) == [6, 7, 8, 9]
        bounds = await store.event_bounds()
        assert (bounds.oldest_seq, bounds.newest_seq, bounds.oldest_id) == (6, 9, event_id_of_message("m5"))
        assert await store.event_seq(event_id_of_message("m4")) is None
        assert [record.seq for record in await store.events_after(7, EVERYTHING)] == [8, 9]
        # A reader in the middle of what went goes on with what is left.
        assert [record.seq for record in await store.events_after(3, 2)] == [6, 7]

    async def test_without_a_limit_for_messages_all_of_them_stay(self, store: Store) -> None:
        await store.commit([create_room(), *(post(f"m{number}") for number in range(4))])
        await store.commit([prune(99)])
        assert await seqs(store) == [5]
        page = await store.message_page(room_history(), PageRequest())
        assert ids_of(page) == ["m0", "m1", "m2", "m3"]
        again = await store.commit([post("m0"), post("m0", text="else")])
        assert again.outcomes == (
            MessageRepeated(event_id_of_message("m0"), same=True),
            MessageRepeated(event_id_of_message("m0"), same=False),
        )

    async def test_the_newest_event_never_goes_so_that_the_log_goes_on_counting(self, store: Store) -> None:
        assert (await store.commit([prune(99, 99)])).outcomes == (Pruned(0, 0),)
        await store.commit([create_room(), post("m1")])
        for _ in range(2):
            await store.commit([prune(99, 99)])
            assert await seqs(store) == [2]
        assert ids_of(await store.message_page(room_history(), PageRequest())) == ["m1"]
        committed = await store.commit([post("m2"), prune(99, 99), post("m3")])
        assert [record.seq for record in committed.records] == [3, 4]
        assert committed.outcomes[1] == Pruned(1, 1)
        assert await seqs(store) == [3, 4]

    async def test_few_go_at_once(self, store: Store) -> None:
        await store.commit([create_room(), *(post(f"m{number}") for number in range(9))])
        outcomes = [(await store.commit([prune(99, limit=4)])).outcomes[0] for _ in range(3)]
        assert outcomes == [Pruned(4, 0), Pruned(4, 0), Pruned(1, 0)]
        assert await seqs(store) == [10]

    async def test_an_event_that_is_not_old_keeps_those_behind_it(self, store: Store) -> None:
        """Of a clock that was set back: readers must never meet a hole."""
        times = {"m1": 1, "m2": 50, "m3": 2, "m4": 3}
        await store.commit([create_room(), *(post(name, seconds=seconds) for name, seconds in times.items())])
        assert (await store.commit([prune(10, 10)])).outcomes == (Pruned(2, 1),)
        assert await seqs(store) == [3, 4, 5]


class MessagePruningContract:
    async def test_what_hangs_on_messages_makes_a_step_no_longer(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whoever writes waits for one step: its work is bounded, however large messages are and whatever they link."""
        monkeypatch.setattr(limits, "MAX_PRUNED_ARTIFACTS", 5)
        monkeypatch.setattr(limits, "MAX_PRUNED_BYTES", 10_000)
        links = [link(f"http://a.test/{number}") for number in range(2)]
        await store.commit(
            [
                create_room(),
                *(with_parts(post(f"m{number}"), *links) for number in range(5)),
                # Too much for any step by itself.
                with_parts(post("many"), *links * 5),
                post("large", text="x" * 20_000),
                *(post(f"l{number}", text="x" * 4000) for number in range(3)),
                post("last", seconds=100),
            ]
        )
        pruned = []
        while (outcome := (await store.commit([prune(99, 99)])).outcomes[0]) != Pruned(0, 0):
            assert isinstance(outcome, Pruned)
            pruned.append((outcome.events, outcome.messages))
        assert pruned == [(11, 2), (0, 2), (0, 1), (0, 1), (0, 1), (0, 2), (0, 1)]
        assert ids_of(await store.message_page(room_history(), PageRequest())) == ["last"]
        assert (await store.artifact_page(room_history(), PageRequest())).items == ()

    async def test_old_messages_go_with_their_artifacts(self, store: Store) -> None:
        await store.commit([create_room()])
        for number in range(1, 7):
            await store.commit(
                [
                    with_parts(post(f"m{number}", seconds=number), link("http://a.test/1"), link("http://a.test/2")),
                    with_parts(post(f"m{number}_1", seconds=number), link("http://a.test/3")),
                    with_parts(thread_post(f"t{number}", "thread", seconds=number), link("http://a.test/4")),
                    with_parts(direct_post(f"d{number}", "direct", seconds=number), link("http://a.test/5")),
                ]
            )
        committed = await store.commit([prune(5, 4)])
        # The room, the thread, the conversation and four messages of each second.
        assert committed.outcomes == (Pruned(3 + 4 * 4, 3 * 4),)
        assert ids_of(await store.message_page(room_history(), PageRequest())) == [
            f"m{number}{more}" for number in (4, 5, 6) for more in ("", "_1")
        ]
        assert ids_of(await store.message_page(thread_history("thread"), PageRequest())) == ["t4", "t5", "t6"]
        assert ids_of(await store.message_page(direct_history("direct"), PageRequest())) == ["d4", "d5", "d6"]
        assert artifact_ids(await store.artifact_page(room_history(), PageRequest())) == [
            f"art_{name}" for n in (4, 5, 6) for name in (f"m{n}_0", f"m{n}_1", f"m{n}_1_0", f"t{n}_0")
        ]
        assert artifact_ids(await store.artifact_page(direct_history("direct"), PageRequest())) == [
            f"art_d{number}_0" for number in (4, 5, 6)
        ]
        older = await store.message_page(room_history(), PageRequest(2, before="m6"))
        newer = await store.message_page(room_history(), PageRequest(2, after="m4_1"))
        assert ids_of(older) == ids_of(newer) == ["m5", "m5_1"]

    async def test_a_message_of_which_only_the_number_of_another_s_part_is_left_keeps_its_artifacts(
        self, store: Store
    ) -> None:
        """``art_m_1_0`` is of ``m_1``; the artifacts of ``m`` begin the same way."""
        await store.commit([create_room(), with_parts(post("m", seconds=1), link("http://a.test/1"))])
        await store.commit([with_parts(post("m_1", seconds=50), link("http://a.test/2")), post("last", seconds=50)])
        assert (await store.commit([prune(10, 10)])).outcomes == (Pruned(2, 1),)
        assert artifact_ids(await store.artifact_page(room_history(), PageRequest())) == ["art_m_1_0"]

    async def test_a_message_stays_for_as_long_as_its_event(self, store: Store) -> None:
        await store.commit([create_room(), *(post(f"m{number}", seconds=number) for number in range(1, 7))])
        assert (await store.commit([prune(3, 99)])).outcomes == (Pruned(3, 2),)
        assert await seqs(store) == [4, 5, 6, 7]
        assert ids_of(await store.message_page(room_history(), PageRequest())) == ["m3", "m4", "m5", "m6"]

    async def test_two_steps_in_one_batch_take_no_message_whose_event_stays(self, store: Store) -> None:
        await store.commit([create_room(), *(post(f"m{number}") for number in range(9))])
        committed = await store.commit([prune(99, None, limit=1), prune(99, 99, limit=1), prune(99, 99, limit=3)])
        assert [outcome.events for outcome in committed.outcomes if isinstance(outcome, Pruned)][:2] == [1, 1]
        first, *_ = kept = [record.seq for record in await store.events_after(0, EVERYTHING)]
        assert kept == list(range(first, 11))
        page = await store.message_page(room_history(), PageRequest())
        assert set(ids_of(page)) >= {f"m{seq - 2}" for seq in kept}

    async def test_few_messages_go_at_once_and_the_rest_later(self, store: Store) -> None:
        await store.commit([create_room(), *(post(f"m{number}") for number in range(9)), post("new", seconds=100)])
        outcomes = [(await store.commit([prune(99, 99, limit=4)])).outcomes[0] for _ in range(3)]
        assert outcomes == [Pruned(4, 3), Pruned(4, 4), Pruned(2, 2)]
        assert ids_of(await store.message_page(room_history(), PageRequest())) == ["new"]

    async def test_conversations_stay_and_count_all_that_was_ever_said(self, store: Store) -> None:
        await store.commit([create_room(), thread_post("t1", "thread"), direct_post("d1", "direct", ["alpha", "beta"])])
        await store.commit([post("new", seconds=100)])
        await store.commit([prune(99, 99)])
        assert ids_of(await store.message_page(thread_history("thread"), PageRequest())) == []
        thread, direct = await store.thread(ThreadId("thread")), await store.direct(DirectId("direct"))
        assert thread is not None
        assert direct is not None
        assert (thread.message_count, direct.message_count) == (1, 1)
        assert direct.participant_ids == ("alpha", "beta")
        await store.commit([thread_post("t2", "thread", seconds=101)])
        continued = await store.thread(ThreadId("thread"))
        assert continued is not None
        assert continued.message_count == 2

    async def test_the_id_of_a_message_that_went_may_be_used_again(self, store: Store) -> None:
        await store.commit([create_room(), with_parts(post("m1"), link("http://a.test/1")), post("new", seconds=100)])
        committed = await store.commit([prune(99, 99), with_parts(post("m1"), link("http://a.test/2"))])
        assert committed.outcomes == (Pruned(2, 1), MessageStored(event_id_of_message("m1")))
        assert ids_of(await store.message_page(room_history(), PageRequest())) == ["new", "m1"]
        assert await store.event_seq(event_id_of_message("m1")) == 4
        assert artifact_ids(await store.artifact_page(room_history(), PageRequest())) == ["art_m1_0"]


class ConcurrentPruningContract:
    async def test_a_reader_and_a_writer_go_on_beside_pruning(self, store: Store) -> None:
        await store.commit([create_room(), *(post(f"old{number}") for number in range(60))])
        written = 20

        async def write() -> None:
            for number in range(written):
                await store.commit([post(f"new{number}", seconds=100)])

        async def forget() -> None:
            while (await store.commit([prune(99, 99, limit=5)])).outcomes != (Pruned(0, 0),):
                pass

        async def read() -> None:
            seq, newest, found = 0, 61 + written, []
            while seq < newest:
                for record in await store.events_after(seq, 7):
                    assert record.seq > seq
                    seq = record.seq
                    found.append(record.seq)
            # All that was not old, each once.
            assert found[-written:] == list(range(62, 62 + written))

        async with trio.open_nursery() as nursery:
            for task in (write, forget, read):
                nursery.start_soon(task)
        await store.commit([prune(99, 99)])
        assert await seqs(store) == list(range(62, 62 + written))
        assert (await store.event_bounds()).newest_seq == 61 + written


class PruningContract(EventPruningContract, MessagePruningContract, ConcurrentPruningContract):
    """All of it."""
