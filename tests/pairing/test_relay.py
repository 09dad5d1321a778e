"""Relaying begins again: after a crash at any point, a lost storage, a lost ownership, and for dead letters."""

from collections import deque
from collections.abc import Sequence

import pytest
import trio
import trio.testing

from moltnet.journal import open_journal
from moltnet.pairing.relay import Relay
from moltnet.pairing.remote import Refused
from moltnet.pairing.settlements import Settlements
from moltnet.protocol.ids import MessageId
from moltnet.protocol.times import utc_now
from moltnet.storage.commands import AnyCommand
from moltnet.storage.memory import MemoryStore
from moltnet.storage.outbox import DropRelays, RetryRelays, SettleRelays
from moltnet.storage.store import StorageError
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.relaying import FakeWay, Relaying, open_relaying, order_in
from tests.storage.examples import NETWORK, create_room, post, relayed

UNKNOWN_ROOM = Refused(404, "unknown_room", "unknown room")


async def wait_depth(relaying: Relaying, waiting: int, dead: int = 0) -> None:
    with trio.fail_after(10_000):
        while ((depth := await relaying.depth()).waiting, depth.dead) != (waiting, dead):  # noqa: ASYNC110 - it jumps
            await trio.sleep(0.05)


def refuse_settlements(commands: Sequence[AnyCommand]) -> None:
    if any(isinstance(command, SettleRelays) for command in commands):
        raise StorageError("no settlement is taken")


async def test_what_was_delivered_and_not_noted_is_sent_again_in_order_and_once_more_only(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A crash after the other network has accepted, before the row is gone."""
    store, way = FaultyStore(MemoryStore(NETWORK), refuse=refuse_settlements), FakeWay()
    async with open_relaying(way, store=store) as relaying:
        await relaying.say(create_room(), *(relayed(post(f"m{number}")) for number in range(5)))
        await trio.sleep(10)
        assert way.arrived == [f"m{number}" for number in range(5)]
        assert (await relaying.depth()).waiting == 5
    store.refuse = lambda commands: None
    async with open_relaying(way, store=store) as relaying:
        await wait_depth(relaying, 0)
    assert way.arrived == [f"m{number}" for number in range(5)] * 2


@pytest.mark.parametrize("settled", range(4))
async def test_a_crash_after_any_number_of_settlements_loses_nothing(
    settled: int, autojump_clock: trio.testing.MockClock
) -> None:
    left = [settled]

    def refuse_later(commands: Sequence[AnyCommand]) -> None:
        for command in commands:
            if isinstance(command, SettleRelays):
                if not left[0]:
                    raise StorageError("crashed")
                left[0] -= 1

    store, way = FaultyStore(MemoryStore(NETWORK), refuse=refuse_later), FakeWay()
    async with open_relaying(way, store=store) as relaying:
        await relaying.say(create_room())
        for number in range(8):
            await relaying.say(relayed(post(f"m{number}")))
            await trio.sleep(1)
    store.refuse = lambda commands: None
    async with open_relaying(way, store=store) as relaying:
        await wait_depth(relaying, 0)
    assert order_in(way.arrived, "m") == [f"m{number}" for number in range(8)]


async def test_what_was_delivered_last_is_noted_at_a_stop(autojump_clock: trio.testing.MockClock) -> None:
    store, way = MemoryStore(NETWORK), FakeWay()
    async with open_relaying(way, store=store) as relaying:
        await relaying.say(create_room(), relayed(post("m0")))
        await wait_depth(relaying, 0)
        await relaying.say(relayed(post("m1")))
        while len(way.arrived) < 2:
            await trio.lowlevel.checkpoint()
    assert list(await store.outbox_depths()) == []


async def test_a_dead_letter_that_is_tried_again_arrives(autojump_clock: trio.testing.MockClock) -> None:
    refused = {"m1", "m3"}
    way = FakeWay(answer=lambda message_id: UNKNOWN_ROOM if message_id in refused else None)
    async with open_relaying(way) as relaying:
        await relaying.say(create_room(), *(relayed(post(f"m{number}")) for number in range(5)))
        await wait_depth(relaying, 0, dead=2)
        refused.clear()
        await relaying.journal.commit(RetryRelays("to_b", (MessageId("m1"),)))
        await wait_depth(relaying, 0, dead=1)
        assert way.arrived == ["m0", "m2", "m4", "m1"]
        await relaying.journal.commit(DropRelays("to_b", (MessageId("m3"),)))
        await relaying.say(relayed(post("m5")))
        await wait_depth(relaying, 0)
        assert way.arrived[-1] == "m5"


async def test_a_dead_letter_that_is_refused_again_is_one_again(autojump_clock: trio.testing.MockClock) -> None:
    way = FakeWay(answer=lambda message_id: UNKNOWN_ROOM)
    async with open_relaying(way) as relaying:
        await relaying.say(create_room(), relayed(post("m0")))
        await wait_depth(relaying, 0, dead=1)
        await relaying.journal.commit(RetryRelays("to_b", (MessageId("m0"),)))
        await trio.sleep(5)
        assert way.tried == ["m0", "m0"]
        await wait_depth(relaying, 0, dead=1)


async def test_trouble_with_the_storage_is_waited_out(autojump_clock: trio.testing.MockClock) -> None:
    store, way = FaultyStore(MemoryStore(NETWORK)), FakeWay()
    async with open_relaying(way, store=store) as relaying:
        await relaying.say(create_room(), relayed(post("m0")))
        store.read_failure = StorageError("gone")
        await trio.sleep(120)
        store.read_failure = None
        await relaying.say(relayed(post("m1")))
        await wait_depth(relaying, 0)
    assert order_in(way.arrived, "m") == ["m0", "m1"]


async def test_two_servers_never_relay_over_one_pairing_at_the_same_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Ownership is the store's: who comes second waits, and goes on where the first one ended."""
    store, first, second = MemoryStore(NETWORK), FakeWay(), FakeWay()
    async with open_relaying(first, store=store) as one:
        await one.say(create_room(), relayed(post("m0")))
        await wait_depth(one, 0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Relay(store, utc_now, one.metrics).serve, second, one.journal)
            await trio.testing.wait_all_tasks_blocked()
            await one.say(relayed(post("m1")))
            await wait_depth(one, 0)
            assert (first.arrived, second.arrived) == (["m0", "m1"], [])
            nursery.cancel_scope.cancel()


async def test_pairings_do_not_wait_for_each_other(autojump_clock: trio.testing.MockClock) -> None:
    dead, alive = FakeWay("to_b", down=True), FakeWay("to_c")
    async with open_relaying(dead, alive) as relaying:
        await relaying.say(create_room(), *(relayed(post(f"m{n}"), "to_b", "to_c") for n in range(30)))
        await trio.sleep(5)
        assert alive.arrived == [f"m{number}" for number in range(30)]
        assert (await relaying.depth("to_b")).waiting == 30


async def test_settling_goes_on_when_the_storage_is_back(autojump_clock: trio.testing.MockClock) -> None:
    store = FaultyStore(MemoryStore(NETWORK), failures=deque([StorageError("full")] * 3))
    rung = []
    async with open_journal(store, lambda committed: None) as journal, trio.open_nursery() as nursery:
        settlements = Settlements("to_b", journal, lambda: rung.append(1))
        nursery.start_soon(settlements.keep_writing)
        settlements.delivered(4)
        await trio.sleep(60)
        assert [len(batch) for batch in store.batches] == [1, 1, 1, 1]
        assert len(rung) == 1
        nursery.cancel_scope.cancel()
