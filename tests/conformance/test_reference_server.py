"""Our bridge against a server like the reference implementation's: what that loses is lost, and nothing else."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import attrs
import pytest
import trio

from bridge import limits
from bridge.config import AttachmentConfig, DirectBinding, RoomBinding
from moltnet.protocol.events import Event
from moltnet.protocol.ids import RoomId
from tests.conformance.reference_server import RING_EVENTS, ReferenceServer, open_reference_server
from tests.fakes.attachments import attachment_config
from tests.fakes.lives import living
from tests.fakes.messages import created, message, noise
from tests.fakes.runtime import FakeRuntime, Gate


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real sockets take real time: let nobody wait long between two tries."""
    monkeypatch.setattr(limits, "RECONNECT_BASE_SECONDS", 0.01)
    monkeypatch.setattr(limits, "RECONNECT_CAP_SECONDS", 0.05)
    monkeypatch.setattr(limits, "LEDGER_LAG_SECONDS", 0.01)


@pytest.fixture
async def server() -> AsyncIterator[ReferenceServer]:
    async with open_reference_server() as server:
        yield server


@pytest.fixture
def config(server: ReferenceServer, tmp_path: Path) -> AttachmentConfig:
    config = attachment_config(tmp_path)
    return attrs.evolve(
        config,
        server=attrs.evolve(config.server, base_url=server.server.base_url),
        rooms=(RoomBinding(RoomId("general")),),
        dms=DirectBinding(enabled=True),
    )


def wakes(first: int, count: int) -> Sequence[Event]:
    return [created(message(f"msg_{number}", f"text {number}.")) for number in range(first, first + count)]


def told(runtime: FakeRuntime) -> list[int]:
    """The numbers of the messages that the agent was given, in order; a turn may hold several."""
    lines = "\n".join(turn.prompt for turn in runtime.turns).splitlines()
    return [int(line.removeprefix("Message ID: msg_")) for line in lines if line.startswith("Message ID: msg_")]


async def test_a_whole_conversation(server: ReferenceServer, config: AttachmentConfig) -> None:
    """Every event is ACKed once, none that was not delivered, and each message is given to the agent once, in order."""
    async with living(config, runtime := FakeRuntime()):
        await server.wait_ready(1)
        for number in range(0, 600, 20):
            some = [*wakes(number, 20), noise(number)]
            server.publish(*some)
            await server.wait_acked(*some)
    assert told(runtime) == list(range(600))
    assert len(server.acked) == len(set(server.acked)) == 630
    assert (server.unexpected_acks, server.missed, server.ready) == ([], 0, 1)


@pytest.mark.parametrize("code", [None, 1000, 1001])
async def test_however_it_ends_the_bridge_comes_back_and_goes_on(
    code: int | None, server: ReferenceServer, config: AttachmentConfig
) -> None:
    """A bare close, and the close with 1000 or 1001 after which the reference's own bridge stays away for good."""
    async with living(config, runtime := FakeRuntime()):
        await server.wait_ready(1)
        for life in range(4):
            some = wakes(10 * life, 10)
            server.publish(*some[:5])
            await server.wait_acked(*some[:5])
            await server.hang_up(code)
            server.publish(*some[5:])
            await server.wait_ready(life + 2)
            await server.wait_acked(*some)
    assert told(runtime) == list(range(40))
    assert server.unexpected_acks == []


async def test_what_a_turn_was_about_when_the_connection_was_lost_is_settled_on_the_next(
    server: ReferenceServer, config: AttachmentConfig
) -> None:
    async with living(config, runtime := FakeRuntime(gate := Gate())):
        await server.wait_ready(1)
        server.publish(noise(0))
        await server.wait_acked(noise(0))
        (wake,) = wakes(1, 1)
        server.publish(wake)
        await runtime.wait_until(lambda runtime: runtime.running == 1)
        await server.hang_up(None)
        await server.wait_ready(2)
        assert server.cursors[-1] == noise(0).id
        gate.let("msg_1")
        await server.wait_acked(wake)
    assert told(runtime) == [1]
    assert server.unexpected_acks == []


async def test_what_the_ring_has_lost_is_told_and_the_rest_is_answered(
    server: ReferenceServer, config: AttachmentConfig
) -> None:
    """Weakness 3 is the server's: 300 messages while the node was away, of which it has 256."""
    first, missed = wakes(0, 1), wakes(1, 300)
    async with living(config):
        await server.wait_ready(1)
        server.publish(*first)
        await server.wait_acked(*first)
    server.publish(*missed)
    async with living(config, runtime := FakeRuntime()):
        await runtime.wait_until(lambda runtime: len(told(runtime)) >= RING_EVENTS)
    assert told(runtime) == list(range(301 - RING_EVENTS, 301))
    assert server.acked[1].startswith("evt_gap_")
    assert server.unexpected_acks == []


async def test_a_server_that_has_forgotten_everything_is_followed_from_then_on(
    server: ReferenceServer, config: AttachmentConfig
) -> None:
    first, later = wakes(0, 1), wakes(1, 3)
    async with living(config, runtime := FakeRuntime()):
        await server.wait_ready(1)
        server.publish(*first)
        await server.wait_acked(*first)
        server.forget()
        await server.hang_up(1000)
        await server.wait_ready(2)
        server.publish(*later)
        await server.wait_acked(*later)
    assert told(runtime) == [0, 1, 2, 3]


async def test_events_that_come_twice_are_answered_once(server: ReferenceServer, config: AttachmentConfig) -> None:
    """Weakness 4 is the server's: what is published while it replays comes in both ways.

    If our ACK of the one meets the other on its way, the server does not expect the next and drops us. That costs a
    connection, and no message.
    """
    first, missed = wakes(0, 1), wakes(1, 50)
    async with living(config):
        await server.wait_ready(1)
        server.publish(*first)
        await server.wait_acked(*first)
    server.publish(*missed)
    server.repeats = True
    async with living(config, runtime := FakeRuntime()):
        # Not each ACK arrives: those on their way when a connection is dropped are made good by the next one's cursor.
        await runtime.wait_until(lambda runtime: len(told(runtime)) == 50)
        server.publish(last := noise(1))
        await server.wait_acked(last)
    assert told(runtime) == list(range(1, 51))


async def test_more_than_it_keeps_track_of_never_costs_the_session(
    server: ReferenceServer, config: AttachmentConfig
) -> None:
    """Weakness 6 is the server's: beyond 1,024 events it forgets the oldest, and then drops who ACKs that."""
    async with living(config, runtime := FakeRuntime(gate := Gate())):
        await server.wait_ready(1)
        held = created(message("msg_0"))
        server.publish(held)
        await runtime.wait_until(lambda runtime: runtime.running == 1)
        for number in range(0, 1100, 100):
            some = [noise(each) for each in range(number, number + 100)]
            server.publish(*some)
            await server.wait_acked(*some)
        gate.let("msg_0")
        await server.wait_acked(held)
        assert (server.unexpected_acks, server.ready) == ([], 1)


async def test_a_server_that_has_not_noticed_the_loss_is_asked_again_until_it_has(
    server: ReferenceServer, config: AttachmentConfig
) -> None:
    """Weakness 9 is the server's: without credentials, a half-open connection keeps its own agent out for 10 s."""
    async with living(config, runtime := FakeRuntime()) as life:
        await server.wait_ready(1)
        server.publish(*wakes(0, 1))
        await server.wait_acked(*wakes(0, 1))
        server.note_half_open("agent-1")
        await server.server.peers[0].drop()
        await life.status.wait_backed_off(5)
        assert not life.ended.is_set()
        server.notice("agent-1")
        await server.wait_ready(2)
        server.publish(*wakes(1, 1))
        await server.wait_acked(*wakes(1, 1))
    assert told(runtime) == [0, 1]


async def test_ten_seconds_of_its_own_signs_of_life_are_answered(
    server: ReferenceServer, config: AttachmentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a turn takes as long as it likes."""
    monkeypatch.setattr("tests.conformance.reference_server.PING_SECONDS", 0.05)
    monkeypatch.setattr("tests.conformance.reference_server.READ_SECONDS", 1.0)
    async with living(config, runtime := FakeRuntime(gate := Gate())):
        await server.wait_ready(1)
        server.publish(*wakes(0, 1))
        await runtime.wait_until(lambda runtime: runtime.running == 1)
        await trio.sleep(2)
        gate.let("msg_0")
        await server.wait_acked(*wakes(0, 1))
    assert server.ready == 1
