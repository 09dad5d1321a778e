"""Which events an attachment gets, in which order, and how fast (attach protocol §4 to §6; design §3.1 to §3.4)."""

from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from moltnet.auth.claims import UNCHECKED, Claims
from moltnet.config.settings import AuthMode, MoltnetConfig
from moltnet.core.rooms import create_room, update_members
from moltnet.protocol import limits
from moltnet.protocol.attachment import Delivered
from moltnet.protocol.events import EventType
from moltnet.protocol.frames import event_frame_text
from moltnet.protocol.ids import gap_event_id
from moltnet.protocol.rooms import CreateRoomRequest, UpdateRoomMembersRequest, Visibility
from tests.fakes.attach_client import attach, frame, identify_frame, open_wire, read_until_closed
from tests.fakes.credentials import agent_token, static
from tests.fakes.faulty_store import FaultyStore, memory_store
from tests.fakes.network import (
    NETWORK,
    direct_message,
    network_config,
    open_test_app,
    post,
    post_texts,
    room,
    room_message,
    thread_message,
)

pytestmark = pytest.mark.usefixtures("either_transport")

# alpha is a member of `mine`, nobody of `theirs`, everybody may read `public`.
ROOMS = [room("mine", "alpha", "beta"), room("theirs", "beta"), room("public", "beta", visibility=Visibility.PUBLIC)]
BEARER = network_config(mode=AuthMode.BEARER, rooms=ROOMS)
OPEN = network_config(mode=AuthMode.OPEN, rooms=ROOMS)
NONE = network_config(rooms=ROOMS)
POSTER = static("admin write")

# Everything that is said, and below for each kind of reader what of it reaches an attachment of alpha.
SAID = {
    "in my room": room_message("in my room", sender="beta", room="mine"),
    "in a thread of my room": thread_message("t1", "in a thread of my room", sender="beta", room="mine"),
    "in their room": room_message("in their room", sender="beta", room="theirs"),
    "in a thread of their room": thread_message("t2", "in a thread of their room", sender="beta", room="theirs"),
    "in public": room_message("in public", sender="beta", room="public"),
    "to me": direct_message("d1", "alpha", "beta", text="to me", sender="beta"),
    "to others": direct_message("d2", "beta", "gamma", text="to others", sender="beta"),
    "of mine": room_message("of mine", sender="alpha", room="mine"),
}
MINE = ["in my room", "in a thread of my room", "to me", "of mine"]
READERS = [
    (BEARER, agent_token("alpha"), MINE),
    (BEARER, static("attach", "alpha"), MINE),
    (OPEN, agent_token("alpha"), ["in my room", "in a thread of my room", "in public", "to me", "of mine"]),
    (BEARER, static("attach observe"), list(SAID)),
    (BEARER, static("attach admin"), list(SAID)),
    (NONE, UNCHECKED, list(SAID)),
]


class TestWhatItSees:
    """Weakness 1: others' rooms and direct conversations. Weakness 2: nothing of one's own private rooms."""

    @pytest.mark.parametrize(("config", "claims", "expected"), READERS)
    async def test_live_and_replayed(
        self, config: MoltnetConfig, claims: Claims, expected: list[str], autojump_clock: MockClock
    ) -> None:
        async with open_test_app(config) as app:
            async with open_wire(app, claims) as wire:
                client = await attach(wire, "alpha")
                for message in SAID.values():
                    await post(app, message, UNCHECKED if config is NONE else POSTER)
                live = [event.message.parts[0].text for event in await client.quiet_events() if event.message]
            async with open_wire(app, claims) as wire:
                client = await attach(wire, "alpha", cursor=f"evt_gap_{'0' * 64}")
                replayed = [event.message.parts[0].text for event in await client.quiet_events() if event.message]
            assert (live, replayed) == (expected, expected)

    async def test_of_others_it_sees_neither_presence_nor_wakes(self, autojump_clock: MockClock) -> None:
        async with open_test_app(BEARER) as app, open_wire(app, agent_token("alpha")) as wire:
            client = await attach(wire, "alpha")
            async with open_wire(app, agent_token("beta")) as other:
                woken = await attach(other, "beta")
                await post(app, room_message("@beta", sender="gamma", room="theirs"), POSTER)
                await woken.ack(await woken.next_of(EventType.MESSAGE_CREATED))
            events = await client.quiet_events()
            assert [(event.type, event.agent and event.agent.agent_id) for event in events] == [
                ("agent.connected", "alpha")
            ]

    @pytest.mark.parametrize("claims", [static("attach observe"), static("attach admin")])
    async def test_who_observes_sees_presence_and_wakes_of_all(self, claims: Claims, autojump_clock: MockClock) -> None:
        async with open_test_app(BEARER) as app, open_wire(app, claims) as wire:
            client = await attach(wire, "watcher")
            async with open_wire(app, agent_token("beta")) as other:
                woken = await attach(other, "beta")
                await trio.testing.wait_all_tasks_blocked()  # presence is written behind the scenes
                await post(app, room_message("@beta", sender="gamma", room="theirs"), POSTER)
                await woken.ack(await woken.next_of(EventType.MESSAGE_CREATED))
                await trio.testing.wait_all_tasks_blocked()
            assert [event.type for event in await client.quiet_events()] == [
                "agent.connected",
                "agent.connected",
                "message.created",
                "agent.wake.delivered",
                "agent.disconnected",
            ]

    async def test_membership_counts_from_the_moment_it_changes(self, autojump_clock: MockClock) -> None:
        async with open_test_app(BEARER) as app, open_wire(app, agent_token("alpha")) as wire:
            client = await attach(wire, "alpha")
            await post(app, room_message("before", sender="beta", room="theirs"), POSTER)
            await client.quiet_events()
            await update_members(app.context, "theirs", UpdateRoomMembersRequest(add=("alpha",)))
            await post(app, room_message("during", sender="beta", room="theirs"), POSTER)
            assert [event.type for event in await client.quiet_events()] == [
                "room.members.updated",
                "message.created",
            ]
            await update_members(app.context, "theirs", UpdateRoomMembersRequest(remove=("alpha",)))
            await post(app, room_message("after", sender="beta", room="theirs"), POSTER)
            assert await client.quiet_events() == []

    async def test_without_direct_messages_none_are_delivered(self, autojump_clock: MockClock) -> None:
        store = memory_store()
        async with open_test_app(network_config(rooms=ROOMS), store=store) as app:
            await post(app, SAID["to me"])
        config = network_config(rooms=ROOMS, direct_messages=False)
        async with open_test_app(config, store=store) as app, open_wire(app) as wire:
            client = await attach(wire, "alpha", cursor="evt_unknown")
            assert "dm.created" not in [event.type for event in await client.quiet_events()]


class TestCursors:
    """Weakness 3: delivery from a small ring. Weakness 4: a gap between replay and live."""

    async def test_without_a_cursor_only_what_comes_is_delivered(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app, open_wire(app) as wire:
            await post_texts(app, "before")
            client = await attach(wire, "alpha")
            await post_texts(app, "after")
            assert await client.next_texts(1) == ["after"]

    async def test_ready_tells_where_the_session_stands(self, autojump_clock: MockClock) -> None:
        """So who is killed before the first event knows where to go on."""
        async with open_test_app() as app:
            await post_texts(app, "before")
            async with open_wire(app) as wire:
                first = await attach(wire, "alpha")
                assert first.ready.cursor == (await app.context.store.event_bounds()).newest_id
                await wire.hang_up(1006)
            await post_texts(app, "while away")
            async with open_wire(app) as wire:
                again = await attach(wire, "alpha", cursor=first.ready.cursor)
                assert again.ready.cursor == first.ready.cursor
                assert await again.next_texts(1) == ["while away"]
            async with open_wire(app) as wire:
                assert (await attach(wire, "alpha", cursor="evt_unknown")).ready.cursor == ""

    async def test_who_comes_back_gets_what_it_missed_once(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app:
            async with open_wire(app) as wire:
                client = await attach(wire, "alpha")
                await post_texts(app, "one", "two", sender="beta")
                first = await client.next_of(EventType.MESSAGE_CREATED)
                await client.ack(first)
            await post_texts(app, "three", sender="beta")
            async with open_wire(app) as wire:
                client = await attach(wire, "alpha", cursor=first.cursor)
                texts = [event.message.parts[0].text for event in await client.quiet_events() if event.message]
                assert texts == ["two", "three"]

    async def test_thousands_of_missed_events_come_in_order(self, autojump_clock: MockClock) -> None:
        store = memory_store()
        names = [f"text-{number}" for number in range(3 * limits.REPLAY_PAGE_EVENTS)]
        async with open_test_app(store=store) as app:
            await post_texts(app, *names)
        async with open_test_app(store=store) as app, open_wire(app) as wire:  # a ring that holds nothing
            client = await attach(wire, "alpha", cursor=(await store.event_bounds()).oldest_id)
            assert await client.next_texts(len(names)) == names

    async def test_nothing_falls_between_replay_and_live(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app:
            cursor = (await app.context.store.event_bounds()).oldest_id
            names = [f"text-{number}" for number in range(200)]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(post_texts, app, *names)
                for _ in range(20):
                    await trio.lowlevel.checkpoint()
                async with open_wire(app, UNCHECKED) as wire:
                    client = await attach(wire, "alpha", cursor=cursor)
                    assert await client.next_texts(len(names)) == names
                    assert [event.type for event in await client.quiet_events() if event.message] == []

    async def test_an_unknown_cursor_brings_a_gap_and_then_everything(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app, open_wire(app) as wire:
            await post_texts(app, "one", "two")
            client = await attach(wire, "alpha", cursor="evt_forgotten")
            gap = await client.next()
            assert (gap.cursor, gap.event.type) == (gap_event_id("evt_forgotten"), "stream.replay_gap")
            await client.ack(gap)
            assert await client.next_texts(2) == ["one", "two"]

    async def test_after_a_restart_on_the_same_file_nothing_is_lost_or_doubled(self, tmp_path: Path) -> None:
        config = network_config(sqlite_path=tmp_path / "moltnet.db")
        received: list[str] = []
        cursor = ""
        for start in range(4):
            async with open_test_app(config) as app:
                if not cursor:
                    cursor = (await app.context.store.event_bounds()).newest_id
                names = [f"text-{start}-{number}" for number in range(10)]
                async with open_wire(app) as wire:
                    client = await attach(wire, "alpha", cursor=cursor)
                    await post_texts(app, *names[:5], sender="beta")
                    while len(received) < start * 10 + 5:
                        delivered = await client.next()
                        if delivered.event.message is not None:
                            received.append(delivered.event.message.parts[0].text)
                        await client.ack(delivered)
                        cursor = delivered.cursor
                await post_texts(app, *names[5:], sender="beta")  # while alpha is away
        assert received == [f"text-{start}-{number}" for start in range(4) for number in range(10)][:35]

    async def test_an_event_in_flight_at_the_end_comes_again(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app:
            async with open_wire(app) as wire:
                client = await attach(wire, "alpha")
                await post_texts(app, "one", "two", "three", sender="beta")
                delivered = [await client.next_of(EventType.MESSAGE_CREATED) for _ in range(3)]
                await client.ack(delivered[1])  # out of order, so the cursor stays before the first
                cursor = delivered[0].cursor
            async with open_wire(app) as wire:
                client = await attach(wire, "alpha", cursor=cursor)
                assert await client.next_texts(2) == ["two", "three"]


class TestTheWindow:
    """Weakness 6: a wake forgotten beyond a limit; a repeated ACK that kills."""

    async def test_unacknowledged_events_pause_delivery_and_an_ack_resumes_it(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app, open_wire(app) as wire:
            client = await attach(wire, "alpha")
            names = [f"text-{number}" for number in range(limits.DELIVERY_WINDOW_EVENTS + 50)]
            await post_texts(app, *names)
            first = await client.next()
            events = await client.quiet_events(9)
            assert 1 + len(events) == limits.DELIVERY_WINDOW_EVENTS
            assert await client.quiet_events(60) == []  # and the attachment lives on
            await client.ack(first)
            assert len(await client.quiet_events()) == 1

    @pytest.mark.parametrize("window", [1, 16, 1024])
    async def test_how_much_is_in_flight_the_operator_says(self, window: int, autojump_clock: MockClock) -> None:
        names = [f"text-{number}" for number in range(window + 5)]
        async with open_test_app(network_config(delivery_window=window)) as app, open_wire(app) as wire:
            await post_texts(app, *names)
            cursor = (await app.context.store.event_bounds()).oldest_id
            client = await attach(wire, "alpha", cursor=cursor)
            first = await client.next()
            assert 1 + len(await client.quiet_events(9)) == window
            await client.ack(first)
            assert len(await client.quiet_events(9)) == 1

    async def test_nothing_is_forgotten_however_much_is_unacknowledged(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app, open_wire(app) as wire:
            client = await attach(wire, "alpha")
            count = 1200
            names = [f"@alpha {number}" for number in range(count)]
            await post_texts(app, *names, sender="beta")
            texts: list[str] = []
            held: list[Delivered] = []
            while len(texts) < count:
                delivered = await client.next()
                held.append(delivered)
                if delivered.event.message is not None:
                    texts.append(delivered.event.message.parts[0].text)
                if len(held) == limits.DELIVERY_WINDOW_EVENTS:
                    for each in reversed(held):
                        await client.ack(each)
                    held.clear()
            assert texts == names

    async def test_a_repeated_acknowledgement_is_harmless(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app, open_wire(app) as wire:
            client = await attach(wire, "alpha")
            await post_texts(app, "one", sender="beta")
            delivered = await client.next_of(EventType.MESSAGE_CREATED)
            for _ in range(3):
                await wire.send(frame("ACK", cursor=delivered.cursor))
            await post_texts(app, "two", sender="beta")
            assert await client.next_texts(1) == ["two"]

    async def test_an_acknowledgement_of_nothing_breaks_the_protocol(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app, open_wire(app) as wire:
            await attach(wire, "alpha")
            await wire.send(frame("ACK", cursor="evt_never"))
            frames, closed = await read_until_closed(wire)
            assert frames[-1]["error"] == "unexpected ACK cursor"
            assert closed.code == 1008


class TestSlowReaders:
    """Weakness 5: events dropped without a word."""

    async def test_a_reader_that_pauses_loses_nothing(
        self, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
    ) -> None:
        monkeypatch.setattr(limits, "RING_EVENTS", 16)
        store = FaultyStore()
        async with open_test_app(store=store) as app, open_wire(app, frames=1) as wire:
            client = await attach(wire, "alpha")
            names = [f"text-{number}" for number in range(200)]
            await post_texts(app, *names)  # nobody reads meanwhile, so the ring has moved on
            assert await client.next_texts(len(names)) == names
            assert store.reads  # it was served from the store

    async def test_a_reader_that_stops_does_not_hold_up_the_others(self, autojump_clock: MockClock) -> None:
        config = network_config(rooms=[room("general", "alpha", "beta")])
        async with open_test_app(config) as app, open_wire(app, frames=1) as stuck, open_wire(app) as wire:
            await attach(stuck, "alpha")
            client = await attach(wire, "beta")
            names = [f"text-{number}" for number in range(50)]
            await post_texts(app, *names)
            assert await client.next_texts(len(names)) == names

    async def test_a_reader_that_stops_is_closed_at_the_limit(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app, open_wire(app, frames=1) as wire:
            await attach(wire, "alpha")
            began = trio.current_time()
            await post_texts(app, *(f"text-{number}" for number in range(50)))
            await wire.ended.wait()
            assert trio.current_time() - began <= limits.READ_IDLE_SECONDS + limits.CLOSE_SECONDS
            assert len(app.gateway.registry) == 0

    async def test_a_flood_whose_answers_nobody_reads_ends_at_the_limit(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app, open_wire(app, frames=1) as wire:
            await attach(wire, "alpha")
            began = trio.current_time()
            for _ in range(1000):
                await wire.send(frame("PING"))
            await wire.ended.wait()
            assert trio.current_time() - began <= limits.READ_IDLE_SECONDS + limits.CLOSE_SECONDS


class TestHeartbeat:
    async def test_ping_comes_every_two_and_a_half_seconds(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app, open_wire(app) as wire:
            await wire.send(identify_frame())
            while '"READY"' not in await wire.receive():
                pass
            began, times = trio.current_time(), list[float]()
            while len(times) < 8:
                if '"PING"' in await wire.receive():
                    times.append(trio.current_time() - began)
                    await wire.send(frame("PONG"))
            assert times == [limits.PING_SECONDS * count for count in range(1, 9)]

    @pytest.mark.parametrize("sign_of_life", [frame("PONG"), frame("PING"), '{"op":"PONG"}'])
    async def test_any_frame_is_a_sign_of_life(self, sign_of_life: str, autojump_clock: MockClock) -> None:
        async with open_test_app() as app, open_wire(app) as wire:
            await attach(wire, "alpha")
            for _ in range(6):
                await trio.sleep(limits.READ_IDLE_SECONDS - 0.5)
                await wire.send(sign_of_life)
            assert not wire.ended.is_set()

    async def test_a_ping_is_answered(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app, open_wire(app) as wire:
            await attach(wire, "alpha")
            await wire.send(frame("PING"))
            while '"PONG"' not in await wire.receive():
                pass


async def test_what_is_delivered_is_one_frame_of_the_protocol_that_everybody_can_take(
    autojump_clock: MockClock,
) -> None:
    """Weakness 10: a stored message that no client can receive."""
    async with open_test_app() as app, open_wire(app) as wire:
        client = await attach(wire, "alpha")
        # `<` became six bytes on the reference's wire.
        await post(app, room_message("<" * 300_000, sender="beta"))
        delivered = await client.next_of(EventType.MESSAGE_CREATED)
        record = (await app.context.store.events_after(0, 10))[-2]
        text = event_frame_text(NETWORK, delivered.cursor, record.wire)
        assert len(text.encode()) <= limits.MAX_FRAME_BYTES


async def test_rooms_that_are_made_later_are_delivered_too(autojump_clock: MockClock) -> None:
    async with open_test_app(BEARER) as app, open_wire(app, agent_token("alpha")) as wire:
        client = await attach(wire, "alpha")
        await create_room(app.context, CreateRoomRequest("later", members=("alpha",)))
        await create_room(app.context, CreateRoomRequest("hidden", members=("beta",)))
        events = [event.room.id for event in await client.quiet_events() if event.room is not None]
        assert events == ["later"]
