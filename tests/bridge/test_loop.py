"""One attachment against a server on a socket: what it does with events, what it ACKs when, what it remembers."""

import pytest

from bridge.config import AttachmentConfig
from tests.fakes.attach_server import AttachServer
from tests.fakes.lives import ledger_of, living
from tests.fakes.messages import created, gap, message, noise
from tests.fakes.runtime import FakeRuntime, Gate, never_end

pytestmark = pytest.mark.usefixtures("quick")


async def test_a_wake_is_acked_when_its_turn_is_finished_and_not_before(
    server: AttachServer, config: AttachmentConfig
) -> None:
    """Weakness 6 of the reference: it ACKed what was only queued."""
    runtime = FakeRuntime(gate := Gate())
    async with living(config, runtime):
        await server.wait_attached()
        wake, later = created(message("msg_1")), noise(1)
        server.publish(wake, later)
        await server.wait_acked(later)
        await runtime.wait_until(lambda runtime: runtime.running == 1)
        assert server.acked == [later.id]
        gate.let("msg_1")
        await server.wait_acked(wake)
        assert ledger_of(config).cursor == later.id


async def test_what_was_said_while_the_node_was_down_is_answered_after_its_start(
    server: AttachServer, config: AttachmentConfig
) -> None:
    """Weakness 1 of the reference: the cursor lived in memory."""
    first, missed = created(message("msg_1")), [created(message(f"msg_{number}")) for number in (2, 3)]
    async with living(config):
        await server.wait_attached()
        server.publish(first)
        await server.wait_acked(first)
    server.publish(*missed)
    runtime = FakeRuntime()
    async with living(config, runtime):
        await server.wait_acked(*missed)
    assert server.peers[1].identified is not None
    assert server.peers[1].identified.cursor == first.id
    assert "".join(turn.prompt for turn in runtime.turns).count("Message ID: msg_") == 2


async def test_a_node_killed_before_its_first_event_misses_nothing_at_a_server_that_tells_the_place(
    server: AttachServer, config: AttachmentConfig
) -> None:
    server.publish(noise(0), created(message("msg_before")))
    async with living(config) as life:
        await life.status.wait_attached()
    server.publish(wake := created(message("msg_1")))
    async with living(config, runtime := FakeRuntime()):
        await server.wait_acked(wake)
    assert runtime.begun == ["msg_1"]


async def test_a_node_killed_during_its_very_first_turn_does_it_again_and_says_so(
    server: AttachServer, config: AttachmentConfig
) -> None:
    server.tells_place = False
    async with living(config, FakeRuntime(never_end)) as life:
        await server.wait_attached()
        server.publish(created(message("msg_1")))
        await life.runtime.wait_until(lambda runtime: runtime.running == 1)
    runtime = FakeRuntime()
    async with living(config, runtime):
        await runtime.wait_until(lambda runtime: runtime.finished == ["msg_1"])
        server.publish(later := created(message("msg_2")))
        await server.wait_acked(later)
    assert ["Redelivered" in turn.prompt for turn in runtime.turns] == [True, False]
    assert ledger_of(config).kept is None


async def test_a_node_killed_during_a_turn_does_it_again_and_nothing_else(
    server: AttachServer, config: AttachmentConfig
) -> None:
    gate = Gate()
    gate.let("msg_2")
    async with living(config, FakeRuntime(gate)) as life:
        await server.wait_attached()
        server.publish(noise(0))
        server.publish(created(message("msg_1")), done := created(message("msg_2", room="other")))
        await server.wait_acked(done)
        await life.runtime.wait_until(lambda runtime: runtime.running == 1)
    runtime = FakeRuntime()
    async with living(config, runtime):
        await server.wait_until(lambda server: len(server.peers[1:]) == 1 and len(server.peers[1].acked) == 2)
    assert runtime.finished == ["msg_1"]
    assert "Redelivered" in runtime.turns[0].prompt
    assert ledger_of(config).cursor == done.id


async def test_ping_is_answered_during_a_long_turn_and_other_rooms_are_served(
    server: AttachServer, config: AttachmentConfig
) -> None:
    """Weakness 5 of the reference: a slow turn stopped PING and all rooms of the agent."""
    server.ping_seconds = 0.01
    runtime = FakeRuntime(gate := Gate())
    gate.let("msg_2")
    async with living(config, runtime):
        await server.wait_attached()
        server.publish(created(message("msg_1")))
        server.publish(*(noise(number) for number in range(500)))
        server.publish(fast := created(message("msg_2", room="other")))
        await server.wait_acked(fast)
        (peer,) = server.peers
        pings = peer.pings
        await server.wait_until(lambda _: peer.pings > pings + 20)
        assert runtime.running == 1
        assert peer.errors == []
        assert not peer.gone.is_set()


async def test_a_replay_gap_is_settled_told_and_no_place_to_resume_after(
    server: AttachServer, config: AttachmentConfig, caplog: pytest.LogCaptureFixture
) -> None:
    async with living(config):
        await server.wait_attached()
        server.publish(place := noise(0), hole := gap("evt_old"))
        await server.wait_acked(place, hole)
    assert ledger_of(config).cursor == place.id
    assert "events are missing" in caplog.text
