"""What is relayed over one pairing: in which order, what waits for what, and what does not."""

import trio
import trio.testing

from moltnet.pairing.relay_limits import LANE_ROWS, MAX_FAILED_ATTEMPTS, READ_ROWS, RELAY_SLOTS, WINDOW_ROWS
from moltnet.pairing.remote import Refused, RemoteUnavailable
from moltnet.protocol.messages import TargetKind
from moltnet.protocol.pages import PageRequest
from moltnet.storage.commands import AppendMessage
from tests.fakes.relaying import FakeWay, Relaying, open_relaying, order_in, unavailable
from tests.storage.examples import create_room, direct_post, post, relayed

UNKNOWN_ROOM = Refused(404, "unknown_room", "unknown room")
BAD_TOKEN = RemoteUnavailable("answered 403: this needs a token with scope pair")


def posts(count: int, room: str = "general", prefix: str = "m") -> list[AppendMessage]:
    return [relayed(post(f"{prefix}{number}", room)) for number in range(count)]


async def wait_settled(relaying: Relaying, *, waiting: int = 0, dead: int = 0) -> None:
    """The clock jumps while nobody has anything to do."""
    with trio.fail_after(100_000):
        while True:
            depth = await relaying.depth()
            if (depth.waiting, depth.dead) == (waiting, dead):
                return
            await trio.sleep(0.05)


async def test_messages_of_a_conversation_arrive_in_their_order(autojump_clock: trio.testing.MockClock) -> None:
    way = FakeWay()
    async with open_relaying(way) as relaying:
        await relaying.say(create_room(), create_room("other"), *posts(50), *posts(50, "other", "n"))
        await wait_settled(relaying)
        assert order_in(way.tried, "m") == [f"m{number}" for number in range(50)]
        assert order_in(way.tried, "n") == [f"n{number}" for number in range(50)]
        assert len(way.tried) == 100
        assert relaying.count("success") == 100


async def test_what_waited_before_the_start_is_relayed_whatever_its_number(
    autojump_clock: trio.testing.MockClock,
) -> None:
    way, count = FakeWay(), 2 * READ_ROWS + 2 * LANE_ROWS + 7
    async with open_relaying() as before:
        await before.say(create_room(), create_room("other"))
        await before.store.commit(posts(count))
        await before.store.commit(posts(3, "other", "n"))
    async with open_relaying(way, store=before.store) as relaying:
        await wait_settled(relaying)
        assert order_in(way.tried, "m") == [f"m{number}" for number in range(count)]
        # The small one did not wait for the large one.
        assert way.tried.index("n2") < way.tried.index(f"m{count - 1}")


async def test_conversations_go_side_by_side_within_a_bound(autojump_clock: trio.testing.MockClock) -> None:
    hold = trio.Event()
    way = FakeWay(gate=lambda _: hold)
    async with open_relaying(way) as relaying:
        rooms = [f"room{number}" for number in range(RELAY_SLOTS + 3)]
        await relaying.say(*map(create_room, rooms), *(relayed(post(f"m-{room}", room)) for room in rooms))
        await trio.testing.wait_all_tasks_blocked()
        assert way.under_way == RELAY_SLOTS
        hold.set()
        await wait_settled(relaying)
        assert way.most_under_way == RELAY_SLOTS


async def test_a_slow_conversation_holds_up_nobody_else(autojump_clock: trio.testing.MockClock) -> None:
    hold = trio.Event()
    way = FakeWay(gate=lambda message_id: hold if message_id == "m0" else None)
    async with open_relaying(way) as relaying:
        await relaying.say(create_room(), create_room("other"), *posts(3), *posts(30, "other", "n"))
        await wait_settled(relaying, waiting=3)
        assert order_in(way.arrived, "n") == [f"n{number}" for number in range(30)]
        hold.set()
        await wait_settled(relaying)
        assert order_in(way.arrived, "m") == ["m0", "m1", "m2"]


async def test_a_refused_message_is_a_dead_letter_and_the_next_one_goes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    way = FakeWay(answer=lambda message_id: UNKNOWN_ROOM if message_id == "m1" else None)
    async with open_relaying(way) as relaying:
        await relaying.say(create_room(), *posts(3))
        await wait_settled(relaying, dead=1)
        assert way.arrived == ["m0", "m2"]
        (letter,), _ = await relaying.store.dead_letters("to_b", PageRequest())
        assert (letter.message_id, letter.status, letter.code) == ("m1", 404, "unknown_room")
        assert letter.attempts == 1
        assert (relaying.count("success"), relaying.count("dropped")) == (2, 1)
        assert way.status.failures == [], "one message never condemns the pairing"


async def test_while_the_network_is_down_nothing_is_lost_and_few_ask(autojump_clock: trio.testing.MockClock) -> None:
    way = FakeWay(down=True)
    async with open_relaying(way) as relaying:
        await relaying.say(create_room(), create_room("other"), *posts(20), *posts(20, "other", "n"))
        await trio.sleep(600)
        assert (await relaying.depth()).waiting == 40
        # Ten minutes at delays of up to one.
        assert len(way.tried) + way.checks < 40
        way.down = False
        await wait_settled(relaying)
        assert order_in(way.arrived, "m") == [f"m{number}" for number in range(20)]
        assert order_in(way.arrived, "n") == [f"n{number}" for number in range(20)]


async def test_a_token_that_is_refused_keeps_everything_waiting(autojump_clock: trio.testing.MockClock) -> None:
    way = FakeWay(answer=lambda _: BAD_TOKEN)
    async with open_relaying(way) as relaying:
        await relaying.say(create_room(), *posts(5))
        await trio.sleep(3600)
        depth = await relaying.depth()
        assert (depth.waiting, depth.dead) == (5, 0)
        assert set(way.tried) == {"m0"}
        assert len(way.tried) < 80
        assert len(way.status.failures) == len(way.tried)
        way.answer = lambda _: None
        await wait_settled(relaying)
        assert way.arrived == [f"m{number}" for number in range(5)]


async def test_a_message_over_which_the_remote_fails_holds_up_its_conversation_and_no_other(
    autojump_clock: trio.testing.MockClock,
) -> None:
    way = FakeWay(answer=lambda message_id: unavailable(500) if message_id == "m0" else None)
    async with open_relaying(way) as relaying:
        await relaying.say(create_room(), create_room("other"), *posts(2), *posts(40, "other", "n"))
        await wait_settled(relaying, waiting=2)
        assert order_in(way.arrived, "n") == [f"n{number}" for number in range(40)]
        # Alone, it is not blamed: nobody else was answered between its tries.
        await trio.sleep(7200)
        assert (await relaying.depth()).dead == 0
        (row, _) = await relaying.store.outbox("to_b", 0, 2)
        assert row.state.attempts <= 2


async def test_a_message_over_which_the_remote_fails_while_it_answers_others_is_given_up_in_the_end(
    autojump_clock: trio.testing.MockClock,
) -> None:
    way = FakeWay(answer=lambda message_id: unavailable(500) if message_id == "m0" else None)
    async with open_relaying(way) as relaying:
        await relaying.say(create_room(), create_room("other"), *posts(2))
        for number in range(400):
            await relaying.say(relayed(post(f"n{number}", "other")))
            await trio.sleep(60)
            if (await relaying.depth()).dead:
                break
        await wait_settled(relaying, dead=1)
        (letter,), _ = await relaying.store.dead_letters("to_b", PageRequest())
        assert (letter.message_id, letter.status, letter.attempts) == ("m0", 500, MAX_FAILED_ATTEMPTS)
        assert "m1" in way.arrived
        assert way.tried.count("m0") >= MAX_FAILED_ATTEMPTS


async def test_a_remote_that_asks_for_patience_gets_it(autojump_clock: trio.testing.MockClock) -> None:
    answers = iter([unavailable(429, retry_after_seconds=120.0)])
    way = FakeWay(answer=lambda _: next(answers, None))
    async with open_relaying(way) as relaying:
        await relaying.say(create_room(), *posts(2))
        await wait_settled(relaying)
        assert way.times[1] - way.times[0] >= 120
        assert way.arrived == ["m0", "m1"]


async def test_of_several_answers_at_once_the_most_patient_counts(autojump_clock: trio.testing.MockClock) -> None:
    answers = {"m0": unavailable(503), "n0": unavailable(503, retry_after_seconds=120.0), "o0": unavailable(503)}
    way = FakeWay(answer=lambda message_id: answers.pop(message_id, None))
    async with open_relaying(way) as relaying:
        rooms = {"m": "room1", "n": "room2", "o": "room3"}
        await relaying.store.commit([*map(create_room, rooms.values())])
        await relaying.say(*(relayed(post(f"{name}0", room)) for name, room in rooms.items()))
        await wait_settled(relaying)
        assert way.times[len(rooms)] - way.times[0] >= 120


async def test_direct_messages_wait_for_a_remote_that_takes_none_now(autojump_clock: trio.testing.MockClock) -> None:
    way = FakeWay()
    way.status.relayable = lambda kind: kind != TargetKind.DM
    async with open_relaying(way) as relaying:
        await relaying.say(create_room(), relayed(direct_post("d1", "direct")), *posts(3))
        await wait_settled(relaying, waiting=1)
        assert way.arrived == ["m0", "m1", "m2"]
        way.status.relayable = lambda kind: True
        await wait_settled(relaying)
        assert way.arrived[-1] == "d1"


async def test_however_many_direct_conversations_wait_rooms_go(autojump_clock: trio.testing.MockClock) -> None:
    way = FakeWay()
    way.status.relayable = lambda kind: kind != TargetKind.DM
    async with open_relaying(way) as relaying:
        await relaying.store.commit([create_room()])
        count = WINDOW_ROWS + LANE_ROWS
        await relaying.store.commit([relayed(direct_post(f"d{n}", f"direct-{n}")) for n in range(count)])
        await relaying.say(*posts(3))
        await wait_settled(relaying, waiting=count)
        assert way.arrived == ["m0", "m1", "m2"]
        way.status.relayable = lambda kind: True
        await wait_settled(relaying)
        assert set(way.arrived[3:]) == {f"d{n}" for n in range(count)}


async def test_over_a_pairing_that_is_off_nothing_goes(autojump_clock: trio.testing.MockClock) -> None:
    way = FakeWay()
    way.status.is_off = True
    async with open_relaying(way) as relaying:
        await relaying.say(create_room(), *posts(3))
        await trio.sleep(3600)
        assert (way.tried, way.checks) == ([], 0)
        way.status.is_off = False
        await wait_settled(relaying)
        assert way.arrived == ["m0", "m1", "m2"]


async def test_an_idle_relay_sleeps_until_something_is_said(autojump_clock: trio.testing.MockClock) -> None:
    way = FakeWay()
    async with open_relaying(way) as relaying:
        await relaying.say(create_room(), *posts(1))
        await wait_settled(relaying)
        before = trio.current_time()
        await trio.sleep(80_000)
        assert way.checks == 0
        await relaying.say(relayed(post("late")))
        with trio.fail_after(1):
            await wait_settled(relaying)
        assert way.times[-1] - before < 80_001


async def test_a_relay_without_a_free_slot_sleeps_although_the_rest_of_a_conversation_is_over(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hold = trio.Event()
    way = FakeWay(down=True, gate=lambda _: None if way.down else hold)
    async with open_relaying(way) as relaying:
        await relaying.say(create_room(), create_room("other"), *posts(1), *posts(1, "other", "n"))
        await trio.sleep(0.1)
        way.down = False
        # One of them is tried alone and gets no answer; if anybody spins now, this does not end.
        await trio.sleep(100)
        assert way.under_way == 1
        hold.set()
        await wait_settled(relaying)
