"""How an attachment ends: the drain, a runtime that cannot work, a bug; and what is left for the next start."""

import pytest
import trio

from bridge import limits
from bridge.config import AttachmentConfig
from bridge.errors import StateInUse
from bridge.runtimes.runtime import RuntimeMisconfigured, Turn
from bridge.status import AttachmentState
from tests.fakes import attach_server
from tests.fakes.attach_server import AttachServer, Peer
from tests.fakes.lives import ledger_of, living
from tests.fakes.messages import created, message, noise
from tests.fakes.runtime import FakeRuntime, Gate, never_end

pytestmark = pytest.mark.usefixtures("quick")


async def test_a_drain_lets_the_running_turn_end_and_says_goodbye(
    server: AttachServer, config: AttachmentConfig
) -> None:
    runtime = FakeRuntime(gate := Gate())
    async with living(config, runtime) as life:
        await server.wait_attached()
        server.publish(noise(0), running := created(message("msg_1")))
        await runtime.wait_until(lambda runtime: runtime.running == 1)
        server.publish(created(message("msg_2")))
        life.drain.set()
        server.publish(other := created(message("msg_3", room="other")), seen := noise(1))
        await server.wait_acked(seen)
        assert life.status.state is AttachmentState.DRAINING
        gate.let("msg_1")
        await life.ended.wait()
    await server.wait_until(lambda server: server.peers[0].close_code is not None)
    assert life.error is None
    assert runtime.begun == ["msg_1"]
    assert running.id in server.acked
    assert other.id not in server.acked
    assert server.peers[0].close_code == 1000
    assert ledger_of(config).cursor == running.id
    assert ledger_of(config).started == {}


async def test_a_turn_that_outlasts_the_drain_is_cut_and_done_again(
    server: AttachServer, config: AttachmentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TURN_DRAIN_SECONDS", 0.05)
    async with living(config, FakeRuntime(never_end)) as life:
        await server.wait_attached()
        server.publish(noise(0), wake := created(message("msg_1")))
        await life.runtime.wait_until(lambda runtime: runtime.running == 1)
        life.drain.set()
        await life.ended.wait()
        assert life.error is None
        assert life.runtime.running == 0
    assert wake.id not in server.acked
    # The node cut it, so it does not count as an attempt.
    assert ledger_of(config).started == {wake.id: 0}
    async with living(config, runtime := FakeRuntime()):
        await server.wait_acked(wake)
    assert "Redelivered" in runtime.turns[0].prompt


@pytest.mark.parametrize("phase", ["backing off", "upgrade", "waiting for room"])
async def test_a_drain_is_not_held_up_by_a_connection_in_the_making(
    phase: str, server: AttachServer, config: AttachmentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = trio.Event()

    async def upgrade(peer: Peer) -> None:
        reached.set()
        await peer.gone.wait()

    if phase == "backing off":
        monkeypatch.setattr(limits, "RECONNECT_BASE_SECONDS", 1000.0)
        monkeypatch.setattr(limits, "RECONNECT_CAP_SECONDS", 1000.0)
        server.scripts.append(attach_server.close(1012))
    elif phase == "upgrade":
        server.scripts.append(upgrade)
    else:
        monkeypatch.setattr(limits, "MAX_WAITING_WAKES", 1)
        monkeypatch.setattr(limits, "TURN_DRAIN_SECONDS", 0.01)
    async with living(config, FakeRuntime(never_end)) as life:
        if phase == "backing off":
            await life.status.wait_backed_off(1)
        elif phase == "upgrade":
            await reached.wait()
        else:
            await server.wait_attached()
            server.publish(noise(0), created(message("msg_1")))
            await server.wait_until(lambda server: server.peers[0].gone.is_set())
        with trio.fail_after(5):
            life.drain.set()
            await life.ended.wait()
        assert life.error is None


async def test_a_runtime_that_cannot_work_ends_it_politely(server: AttachServer, config: AttachmentConfig) -> None:
    async def refuse(_turn: Turn) -> None:
        raise RuntimeMisconfigured("no such program")

    async with living(config, FakeRuntime(refuse), expected=RuntimeMisconfigured) as life:
        await server.wait_attached()
        server.publish(noise(0), wake := created(message("msg_1")))
        await life.ended.wait()
    assert life.error is not None
    await server.wait_until(lambda server: server.peers[0].close_code == 1000)
    assert wake.id not in server.acked


async def test_a_bug_in_a_runtime_comes_out_as_it_is(server: AttachServer, config: AttachmentConfig) -> None:
    async def crash(_turn: Turn) -> None:
        raise ZeroDivisionError("a bug")

    async with living(config, FakeRuntime(crash), expected=ZeroDivisionError) as life:
        await server.wait_attached()
        server.publish(noise(0), created(message("msg_1")))
        await life.ended.wait()
    assert life.error is not None
    assert ledger_of(config).started == {created(message("msg_1")).id: 1}


async def test_the_same_attachment_runs_once(config: AttachmentConfig, server: AttachServer) -> None:
    """Weakness 16 of the reference: two nodes of one agent did everything twice."""
    async with living(config):
        await server.wait_attached()
        async with living(config, expected=StateInUse) as second:
            await second.ended.wait()
            assert second.error is not None
