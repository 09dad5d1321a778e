"""How an attachment ends, what the peer is told, and what the reports say (attach protocol §4, §7, §8; design §3.5)."""

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from moltnet.app import App
from moltnet.config.settings import AuthMode
from moltnet.protocol import limits
from moltnet.protocol.codec import decode
from moltnet.protocol.events import AgentEvent, Event, EventType
from moltnet.protocol.identity import agent_fqid
from moltnet.protocol.ids import DirectId, EventId
from moltnet.storage.records import EventRecord
from moltnet.storage.store import StorageError
from tests.expected_errors import ExpectedErrors
from tests.fakes.attach_client import AttachClient, MemoryWire, attach, frame, open_wire, read_until_closed
from tests.fakes.credentials import agent_token
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.network import NETWORK, direct_message, network_config, open_test_app, post, post_texts, room_message

pytestmark = pytest.mark.usefixtures("either_transport")

DEBUG = network_config(debug_events=True)


async def reports_of(app: App, agent_id: str = "alpha") -> list[tuple[str, AgentEvent]]:
    """What the log says of an agent: type and payload."""
    await trio.testing.wait_all_tasks_blocked()
    events = [decode(record.wire, Event) for record in await app.context.store.events_after(0, 1000)]
    return [(event.type, event.agent) for event in events if event.agent and event.agent.agent_id == agent_id]


async def wakes_of(app: App) -> list[tuple[str, str, str]]:
    """Reports of wakes: what became of them, of which message, and the error."""
    return [(kind, agent.message_id, agent.error) for kind, agent in await reports_of(app) if agent.message_id]


class TestWakes:
    async def test_an_acknowledged_wake_is_delivered(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app, open_wire(app) as wire:
            client = await attach(wire, "alpha")
            await post(app, room_message("@alpha", sender="beta", message_id="m1"))
            await post(app, room_message("not for you", sender="beta", message_id="m2"))
            await post(app, direct_message("d1", "alpha", "beta", sender="beta", message_id="m3"))
            await client.next_texts(3)
            assert await wakes_of(app) == [
                ("agent.wake.delivered", "m1", ""),
                ("agent.wake.delivered", "m3", ""),
            ]
            reasons = [agent.reason for _, agent in await reports_of(app) if agent.message_id]
            assert reasons == ["mention", "dm"]

    async def test_acknowledgements_are_individual_and_in_any_order(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app, open_wire(app) as wire:
            client = await attach(wire, "alpha")
            for number in range(3):
                await post(app, room_message("@alpha", sender="beta", message_id=f"m{number}"))
            wakes = [await client.next_of(EventType.MESSAGE_CREATED) for _ in range(3)]
            await client.ack(wakes[2])
            await client.ack(wakes[0])
            assert [message for _, message, _ in await wakes_of(app)] == ["m2", "m0"]

    async def test_an_agents_own_words_never_wake_it(self, autojump_clock: MockClock) -> None:
        """Weakness 12, first half: own direct messages count as wakes."""
        async with open_test_app() as app, open_wire(app) as wire:
            client = await attach(wire, "alpha")
            await post(app, direct_message("d1", "alpha", "beta"))
            await post(app, room_message("I, @alpha"))
            await client.next_texts(2)
            assert await wakes_of(app) == []

    async def test_a_message_wakes_each_agent_that_it_addresses(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app, open_wire(app) as first, open_wire(app) as second:
            clients = [await attach(first, "alpha"), await attach(second, "beta")]
            await post(app, room_message("@alpha @beta", sender="gamma", message_id="m1"))
            for client in clients:
                await client.next_texts(1)
            for agent_id in ("alpha", "beta"):
                assert [kind for kind, _ in await reports_of(app, agent_id)][-1] == "agent.wake.delivered"


End = Callable[[App, MemoryWire, AttachClient], Awaitable[None]]


async def vanish(app: App, wire: MemoryWire, client: AttachClient) -> None:
    await wire.hang_up(1006)


async def close_normally(app: App, wire: MemoryWire, client: AttachClient) -> None:
    await wire.hang_up(1000)


async def go_away(app: App, wire: MemoryWire, client: AttachClient) -> None:
    await wire.hang_up(1001)


async def say_error(app: App, wire: MemoryWire, client: AttachClient) -> None:
    await wire.send(frame("ERROR", error="my disk is full"))


async def break_the_protocol(app: App, wire: MemoryWire, client: AttachClient) -> None:
    await wire.send(frame("READY"))


async def fall_silent(app: App, wire: MemoryWire, client: AttachClient) -> None:
    await trio.sleep(limits.READ_IDLE_SECONDS + 1)


async def drain(app: App, wire: MemoryWire, client: AttachClient) -> None:
    app.drain()


async def cancel(app: App, wire: MemoryWire, client: AttachClient) -> None:
    wire.scope.cancel()


# How it ends → what the peer is told last, its close code, the label and the error of the report, and what becomes of
# the wakes without an ACK: those of a peer that failed have failed, the others will come again.
ENDINGS = [
    (vanish, None, None, "read_error", "closed with 1006", True),
    (close_normally, None, None, "client_closed", "", False),
    (go_away, None, None, "client_going_away", "", False),
    (say_error, None, 1012, "client_error", "client error: my disk is full", True),
    (break_the_protocol, 'unexpected frame op "READY"', 1008, "read_error", 'unexpected frame op "READY"', True),
    (fall_silent, None, 1013, "read_error", "nothing received for 10 seconds", True),
    (drain, None, 1012, "request_context_done", "", False),
    (cancel, None, 1012, "request_context_done", "", False),
]


@pytest.mark.parametrize(("end", "told", "code", "label", "error", "wakes_fail"), ENDINGS)
async def test_how_an_attachment_ends(
    end: End,
    told: str | None,
    code: int | None,
    label: str,
    error: str,
    wakes_fail: bool,
    autojump_clock: MockClock,
) -> None:
    """Weakness 12, second half: a clean close reports wakes as failed. Weakness 15: one close for everything."""
    async with open_test_app(DEBUG) as app, open_wire(app) as wire:
        client = await attach(wire, "alpha")
        for number in range(3):
            await post(app, room_message("@alpha", sender="beta", message_id=f"m{number}"))
        await client.ack(await client.next_of(EventType.MESSAGE_CREATED))
        await trio.testing.wait_all_tasks_blocked()
        await end(app, wire, client)
        if code is not None:
            frames, closed = await read_until_closed(wire)
            assert closed.code == code
            assert [each["error"] for each in frames if each["op"] == "ERROR"] == ([] if told is None else [told])
        await wire.ended.wait()
        assert len(app.gateway.registry) == 0
        failed = [("agent.wake.failed", f"m{number}", error) for number in (1, 2)] if wakes_fail else []
        assert await wakes_of(app) == [("agent.wake.delivered", "m0", ""), *failed]
        kind, agent = (await reports_of(app))[-1]
        assert (kind, agent.reason) == ("agent.disconnected", label)


async def test_what_ended_it_first_counts(autojump_clock: MockClock) -> None:
    async with open_test_app(DEBUG) as app, open_wire(app) as wire:
        await attach(wire, "alpha")
        await trio.testing.wait_all_tasks_blocked()
        wire.hang_up_nowait(1000)
        app.drain()
        await wire.ended.wait()
        assert (await reports_of(app))[-1][1].reason in ("client_closed", "request_context_done")
        assert [kind for kind, _ in await reports_of(app)] == ["agent.connected", "agent.disconnected"]


async def test_a_drain_reaches_every_attachment_and_keeps_newcomers_out(autojump_clock: MockClock) -> None:
    async with open_test_app() as app, trio.open_nursery() as nursery:
        codes: list[int] = []

        async def stay(agent_id: str) -> None:
            async with open_wire(app) as wire:
                client = await attach(wire, agent_id)
                codes.append((await client.wait_closed()).code)

        for number in range(20):
            nursery.start_soon(stay, f"agent-{number}")
        await trio.testing.wait_all_tasks_blocked()
        assert len(app.gateway.registry) == 20
        app.drain()
        await trio.testing.wait_all_tasks_blocked()
        assert codes == [1012] * 20
        assert len(app.gateway.registry) == 0
        async with open_wire(app) as late:
            frames, closed = await read_until_closed(late)
            assert ([each["op"] for each in frames], closed.code) == (["HELLO"], 1012)


async def test_a_drain_does_not_wait_for_who_has_not_identified(autojump_clock: MockClock) -> None:
    async with open_test_app() as app, open_wire(app) as wire:
        assert '"HELLO"' in await wire.receive()
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        app.drain()
        assert (await read_until_closed(wire))[1].code == 1012
        await wire.ended.wait()
        assert trio.current_time() == began
        assert not app.gateway.pending


async def test_a_peer_that_does_not_take_the_goodbye_holds_nobody_up(autojump_clock: MockClock) -> None:
    async with open_test_app() as app, open_wire(app, frames=1) as wire:
        await attach(wire, "alpha")
        await post_texts(app, *(f"text-{number}" for number in range(10)))
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        app.drain()
        await wire.ended.wait()
        assert trio.current_time() - began <= limits.CLOSE_SECONDS


async def test_a_store_that_fails_closes_as_try_later_and_fails_no_wake(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(limits, "REPLAY_PAGE_EVENTS", 1)
    store = FaultyStore()
    async with open_test_app(network_config(debug_events=True, delivery_window=1), store=store) as app:
        await post_texts(app, "one", "two")
        cursor = (await store.event_bounds()).oldest_id
        app.broker._ring.clear()  # so that the reader has to ask the store
        async with open_wire(app) as wire:
            client = await attach(wire, "alpha", cursor=cursor)
            first = await client.next()
            store.read_failure = StorageError("no disk")
            await client.ack(first)  # the next one has to be asked for
            assert (await client.wait_closed()).code == 1013
        store.read_failure = None
        assert (await reports_of(app))[-1][1].reason == "event_stream_closed"


async def test_a_store_that_fails_during_the_handshake_closes_as_try_later(autojump_clock: MockClock) -> None:
    store = FaultyStore()
    async with open_test_app(store=store) as app, open_wire(app) as wire:
        store.failures.append(StorageError("no disk"))
        await wire.send(frame("IDENTIFY", network_id="lab", agent={"id": "alpha"}))
        frames, closed = await read_until_closed(wire)
        assert [each["op"] for each in frames] == ["HELLO"]
        assert (closed.code, closed.reason) == (1013, "storage is unavailable")


async def test_a_bug_is_logged_ends_one_attachment_and_tells_the_peer_to_come_again(
    expected_errors: ExpectedErrors, autojump_clock: MockClock
) -> None:
    async with (
        open_test_app(network_config(mode=AuthMode.OPEN)) as app,
        open_wire(app, agent_token("alpha")) as broken,
        open_wire(app, agent_token("beta")) as healthy,
    ):
        client = await attach(broken, "alpha")
        other = await attach(healthy, "beta")
        await trio.testing.wait_all_tasks_blocked()
        damaged = EventRecord(
            app.broker.newest_seq + 1,
            EventId("evt_damaged"),
            EventType.MESSAGE_CREATED,
            wire=b"{",
            direct_id=DirectId("d1"),
            addressed=(agent_fqid(NETWORK, "alpha"),),
        )
        app.broker.publish([damaged])
        closed = await client.wait_closed()
        assert (closed.code, closed.reason) == (1013, "internal error")
        expected_errors.take("attachment crashed")
        assert [event.type for event in await other.quiet_events(30)] == ["agent.connected"]
        async with open_wire(app, agent_token("alpha")) as again:
            await attach(again, "alpha")


@pytest.mark.parametrize("after_ready", [True, False])
async def test_frames_that_cross_the_goodbye_are_nobodys_fault(after_ready: bool, autojump_clock: MockClock) -> None:
    async with open_test_app() as app, open_wire(app) as wire:
        if after_ready:
            await attach(wire, "alpha")
        await wire.send("garbage")
        await wire.send("more garbage")
        frames, closed = await read_until_closed(wire)
        assert [each["op"] for each in frames].count("ERROR") == 1
        assert closed.code == 1008


GARBAGE = [b"\x00binary", "not json", "[]", frame("IDENTIFY"), frame("HELLO"), frame("NONSENSE"), '{"op":"ACK"}', "{}"]


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_garbage_after_ready_is_told_and_closed_as_policy(
    garbage: str | bytes, autojump_clock: MockClock
) -> None:
    async with open_test_app() as app, open_wire(app) as wire:
        await attach(wire, "alpha")
        await wire.send(garbage)
        frames, closed = await read_until_closed(wire)
        assert frames[-1]["op"] == "ERROR"
        assert closed.code == 1008


async def test_a_frame_that_is_too_large_closes_as_too_big(autojump_clock: MockClock) -> None:
    async with open_test_app() as app, open_wire(app) as wire:
        await attach(wire, "alpha")
        await wire.send(frame("PONG", padding="x" * limits.MAX_FRAME_BYTES))
        assert (await read_until_closed(wire))[1].code == 1009
