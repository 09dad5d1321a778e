"""What every store promises about messages that wait to be relayed, and about dead letters."""

import attrs
import pytest

from moltnet.protocol.ids import MessageId
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.relays import DeadLetter
from moltnet.storage.limits import MAX_REPLAY_BYTES
from moltnet.storage.outbox import (
    DropRelays,
    OutboxDepth,
    OutboxRow,
    Relay,
    RelayFailure,
    RelaysDropped,
    RelaysRetried,
    RelaysSettled,
    RelayState,
    RetryRelays,
    SettleRelays,
)
from moltnet.storage.store import Store, UnknownCursor
from tests.contracts.store_messages import EVERYTHING
from tests.contracts.store_pruning import prune
from tests.storage.examples import at, create_room, direct_post, post, relayed, thread_post

FORBIDDEN = RelayFailure(403, "room_write_forbidden", "members only", at(9))


async def waiting(store: Store, pairing_id: str = "to_b", after: int = 0, conversation: str = "") -> list[str]:
    return [row.message_id for row in await store.outbox(pairing_id, after, EVERYTHING, conversation)]


async def letters(store: Store, pairing_id: str = "to_b") -> list[str]:
    found, has_more = await store.dead_letters(pairing_id, PageRequest())
    assert not has_more
    return [letter.message_id for letter in found]


def failed(*seqs: int, attempts: int = 1) -> SettleRelays:
    return SettleRelays("to_b", changed=tuple((seq, RelayState(attempts, FORBIDDEN)) for seq in seqs))


class WaitingContract:
    async def test_a_message_waits_for_its_pairings_from_the_commit_on_that_stores_it(self, store: Store) -> None:
        command = attrs.evolve(
            post("m1", seconds=3), relays=(Relay("to_b", b'{"to":"b"}'), Relay("to_c", b'{"to":"c"}'))
        )
        committed = await store.commit([create_room(), command, post("m2")])
        assert committed.relayed == {"to_b", "to_c"}
        expected = OutboxRow("to_b", 2, MessageId("m1"), "room:general", at(3), b'{"to":"b"}')
        assert list(await store.outbox("to_b", 0, EVERYTHING)) == [expected]
        other = attrs.evolve(expected, pairing_id="to_c", body=b'{"to":"c"}')
        assert list(await store.outbox("to_c", 0, EVERYTHING)) == [other]
        assert list(await store.outbox("to_d", 0, EVERYTHING)) == []

    async def test_a_repeated_or_refused_message_does_not_wait(self, store: Store) -> None:
        await store.commit([create_room(), relayed(post("m1"))])
        committed = await store.commit([relayed(post("m1")), relayed(post("m2", "nowhere"))])
        assert committed.relayed == frozenset()
        assert await waiting(store) == ["m1"]

    async def test_what_waits_is_read_in_pieces_and_by_conversation(self, store: Store) -> None:
        posts = [relayed(post(f"m{number}")) for number in range(3)]
        others = [relayed(thread_post("t1", "thread")), relayed(direct_post("d1", "direct"))]
        await store.commit([create_room(), *posts, *others, relayed(post("m3"))])
        assert await waiting(store) == ["m0", "m1", "m2", "t1", "d1", "m3"]
        assert await waiting(store, after=3) == ["m2", "t1", "d1", "m3"]
        assert [row.message_id for row in await store.outbox("to_b", 2, 2)] == ["m1", "m2"]
        assert await waiting(store, conversation="room:general") == ["m0", "m1", "m2", "m3"]
        assert await waiting(store, after=3, conversation="room:general") == ["m2", "m3"]
        assert await waiting(store, conversation="thread:thread") == ["t1"]
        assert await waiting(store, conversation="dm:direct") == ["d1"]
        assert await waiting(store, conversation="dm:thread") == []

    async def test_large_messages_come_a_few_at_a_time(self, store: Store) -> None:
        body = b'{"text":"%b"}' % (b"x" * (MAX_REPLAY_BYTES // 8))
        commands = [attrs.evolve(post(f"m{number}"), relays=(Relay("to_b", body),)) for number in range(20)]
        await store.commit([create_room(), *commands])
        seq, found = 0, 0
        while rows := await store.outbox("to_b", seq, EVERYTHING):
            assert sum(len(row.body) for row in rows) <= MAX_REPLAY_BYTES
            seq, found = rows[-1].seq, found + len(rows)
        assert found == 20

    async def test_what_was_delivered_goes_and_what_was_tried_is_counted(self, store: Store) -> None:
        await store.commit([create_room(), *(relayed(post(f"m{number}"), "to_b", "to_c") for number in range(4))])
        settled = SettleRelays("to_b", delivered=(2, 4, 99), changed=((3, RelayState(7)), (98, RelayState(1))))
        committed = await store.commit([settled])
        assert committed.outcomes == (RelaysSettled(),)
        assert (committed.records, committed.relayed, committed.retried_relays) == ((), frozenset(), frozenset())
        rows = await store.outbox("to_b", 0, EVERYTHING)
        assert [(row.message_id, row.state.attempts) for row in rows] == [("m1", 7), ("m3", 0)]
        assert await waiting(store, "to_c") == ["m0", "m1", "m2", "m3"]
        again = await store.commit([settled])
        assert again.outcomes == (RelaysSettled(),)

    async def test_a_message_that_waits_outlives_the_retention_of_messages(self, store: Store) -> None:
        await store.commit([create_room(), relayed(post("m1")), post("new", seconds=100)])
        await store.commit([prune(99, 99)])
        assert await waiting(store) == ["m1"]
        # The id is free again: both wait.
        await store.commit([relayed(post("m1", text="other", seconds=101))])
        assert await waiting(store) == ["m1", "m1"]

    async def test_settled_in_the_batch_that_stores_it_a_message_does_not_wait(self, store: Store) -> None:
        await store.commit([create_room(), relayed(post("m1")), failed(2), relayed(post("m2"))])
        assert (await letters(store), await waiting(store)) == (["m1"], ["m2"])


class DeadLetterContract:
    async def test_a_refused_message_is_a_dead_letter_with_its_reason(self, store: Store) -> None:
        await store.commit([create_room(), *(relayed(post(f"m{number}", seconds=number)) for number in range(3))])
        await store.commit([failed(3, attempts=4)])
        assert await waiting(store) == ["m0", "m2"]
        assert await waiting(store, conversation="room:general") == ["m0", "m2"]
        (letter,), has_more = await store.dead_letters("to_b", PageRequest())
        assert not has_more
        assert letter == DeadLetter(
            MessageId("m1"), "to_b", "room:general", at(1), at(9), 4, 403, "room_write_forbidden", "members only"
        )
        assert await letters(store, "to_c") == []

    async def test_dead_letters_are_paged_in_the_order_of_their_messages(self, store: Store) -> None:
        await store.commit([create_room(), *(relayed(post(f"m{9 - number}")) for number in range(6))])
        await store.commit([failed(2, 3, 4, 6, 7)])

        async def page(limit: int, before: str = "", after: str = "") -> tuple[list[str], bool]:
            found, has_more = await store.dead_letters("to_b", PageRequest(limit, before, after))
            return [letter.message_id for letter in found], has_more

        assert await page(2) == (["m9", "m8"], True)
        assert await page(2, after="m8") == (["m7", "m5"], True)
        assert await page(2, after="m5") == (["m4"], False)
        assert await page(2, before="m5") == (["m8", "m7"], True)
        for unknown in ("m6", "nowhere", "nul\0"):
            with pytest.raises(UnknownCursor):
                await page(2, after=unknown)

    async def test_a_dead_letter_can_be_tried_again(self, store: Store) -> None:
        await store.commit([create_room(), *(relayed(post(f"m{number}")) for number in range(3))])
        await store.commit([failed(2, 3)])
        ids = tuple(map(MessageId, ("m1", "m2", "nobody", "nul\0", "m1")))
        committed = await store.commit([RetryRelays("to_b", ids)])
        assert committed.outcomes == (RelaysRetried((MessageId("m1"),)),)
        assert committed.retried_relays == {"to_b"}
        rows = await store.outbox("to_b", 0, EVERYTHING)
        assert [(row.message_id, row.state.attempts) for row in rows] == [("m1", 0), ("m2", 0)]
        assert await letters(store) == ["m0"]
        committed = await store.commit([RetryRelays("to_b", ids), RetryRelays("to_c", (MessageId("m0"),))])
        assert committed.outcomes == (RelaysRetried(()), RelaysRetried(()))
        assert committed.retried_relays == frozenset()

    async def test_only_dead_letters_can_be_dropped(self, store: Store) -> None:
        await store.commit([create_room(), *(relayed(post(f"m{number}"), "to_b", "to_c") for number in range(3))])
        await store.commit([failed(2)])
        both = (MessageId("m0"), MessageId("m1"))
        committed = await store.commit([DropRelays("to_b", both), DropRelays("to_c", both), DropRelays("to_b", both)])
        assert committed.outcomes == (RelaysDropped((MessageId("m0"),)), RelaysDropped(()), RelaysDropped(()))
        assert (await letters(store), await waiting(store)) == ([], ["m1", "m2"])
        assert await waiting(store, "to_c") == ["m0", "m1", "m2"]

    async def test_depths_are_told_for_each_pairing(self, store: Store) -> None:
        assert list(await store.outbox_depths()) == []
        await store.commit([create_room(), *(relayed(post(f"m{n}", seconds=n), "to_b", "to_c") for n in range(4))])
        await store.commit([failed(2, 3), SettleRelays("to_c", delivered=(2, 3, 4, 5))])
        assert list(await store.outbox_depths()) == [OutboxDepth("to_b", 2, 2, at(2))]
        await store.commit([relayed(post("m9", seconds=9), "to_a"), failed(4, 5)])
        assert list(await store.outbox_depths()) == [OutboxDepth("to_a", 1, 0, at(9)), OutboxDepth("to_b", 0, 4)]


class OutboxContract(WaitingContract, DeadLetterContract):
    """All of it."""
