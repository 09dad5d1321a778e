"""After a loss: when it attaches again, what it does not do twice, and when it gives up."""

import threading
from pathlib import Path

import attrs
import pytest
import trio

from bridge import limits
from bridge.attachment import open_attachment
from bridge.config import AttachmentConfig
from bridge.errors import AttachRefused, ConnectionLost
from bridge.preflight import check_server
from bridge.status import AttachmentState
from moltnet.client.websocket import WebSocket
from moltnet.config.files import write_private
from tests.fakes import attach_server
from tests.fakes.attach_server import AttachServer, Peer
from tests.fakes.lives import ledger_of, living
from tests.fakes.messages import created, message, noise
from tests.fakes.runtime import FakeRuntime, Gate

pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.parametrize(
    "script",
    [
        attach_server.close(1000),
        attach_server.close(1001),
        attach_server.close(1012),
        attach_server.close(1013),
        attach_server.drop_at_ready,
        attach_server.drop_during_upgrade,
        attach_server.reject(503),
        attach_server.refuse("attached elsewhere", 1013),
        attach_server.say("nonsense"),
    ],
)
async def test_it_attaches_again_after_every_kind_of_loss(
    script: attach_server.Script, server: AttachServer, config: AttachmentConfig
) -> None:
    """Weakness 2 of the reference: after a clean close the agent was detached for good."""
    server.scripts.append(script)
    async with living(config) as life:
        await server.wait_until(lambda server: len(server.peers) == 2 and server.peers[1].is_ready)
        server.publish(wake := created(message("msg_1")))
        await server.wait_acked(wake)
        assert life.status.state is AttachmentState.ATTACHED
        assert life.status.last_error != ""


async def test_a_server_that_is_too_busy_is_left_alone_for_as_long_as_it_asks(
    server: AttachServer, config: AttachmentConfig
) -> None:
    server.scripts.append(attach_server.reject(429, retry_after="1"))
    async with living(config) as life:
        await life.status.wait_backed_off(1)
        refused_at = trio.current_time()
        await server.wait_attached()
        assert trio.current_time() - refused_at > 0.9  # alone, it would have waited for 0.05 s at the most


@pytest.mark.parametrize(
    ("told", "seconds"), [("7", 7.0), ("", 0.0), ("soon", 0.0), ("-5", 0.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0)]
)
async def test_how_long_a_busy_server_wants_us_to_wait(
    told: str, seconds: float, server: AttachServer, config: AttachmentConfig
) -> None:
    server.scripts.append(attach_server.reject(429, retry_after=told))
    with pytest.raises(ConnectionLost) as lost:
        async with open_attachment(config, None, "", {}):
            pass
    assert lost.value.retry_after_seconds == seconds


async def test_nobody_is_waited_for_as_long_as_a_broken_server_asks(
    server: AttachServer, config: AttachmentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_RETRY_AFTER_SECONDS", 0.05)
    server.scripts.append(attach_server.reject(429, retry_after="999999999"))
    async with living(config):
        await server.wait_attached()


async def test_a_server_that_is_not_up_yet_is_waited_for(config: AttachmentConfig) -> None:
    """Weakness 3 of the reference: start-up needed the server to be up."""
    link = attrs.evolve(config.server, base_url="http://127.0.0.1:1")
    async with living(attrs.evolve(config, server=link)) as life:
        await life.status.wait_backed_off(3)
        assert not life.ended.is_set()
        assert "refused" in life.status.last_error


@pytest.mark.parametrize("script", [attach_server.reject(401), attach_server.refuse("not yours", 1008)])
async def test_a_certain_refusal_ends_it_at_once(
    script: attach_server.Script, server: AttachServer, config: AttachmentConfig
) -> None:
    """Weakness 3 of the reference: refusals were tried again for ever."""
    server.scripts.append(script)
    async with living(config, expected=AttachRefused) as life:
        await life.ended.wait()
    assert life.error is not None
    assert len(server.peers) == 1


async def test_a_refusal_that_may_pass_is_borne_for_a_while(
    server: AttachServer, config: AttachmentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadow = attach_server.refuse("already has an active attachment", None)
    server.scripts.extend([shadow, shadow])
    async with living(config) as life:
        await life.status.wait_attached()
    monkeypatch.setattr(limits, "REFUSAL_PATIENCE_SECONDS", 0.1)
    server.scripts.extend([shadow] * 100)
    async with living(config, expected=AttachRefused) as life:
        await life.ended.wait()
    assert life.error is not None
    assert 1 < 100 - len(server.scripts) < 100


@pytest.mark.parametrize(("healthy_seconds", "grows"), [(0.0, False), (1000.0, True)])
async def test_only_a_healthy_connection_restarts_the_delays(
    healthy_seconds: float,
    grows: bool,
    server: AttachServer,
    config: AttachmentConfig,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Weakness 8 of the reference: the delays never started over."""
    monkeypatch.setattr(limits, "HEALTHY_SECONDS", healthy_seconds)
    monkeypatch.setattr(limits, "RECONNECT_CAP_SECONDS", 1.0)
    server.scripts.extend([attach_server.close(1012)] * 4)
    async with living(config) as life:
        await server.wait_attached(5)
    assert (life.status.delays[-1] > 4 * limits.RECONNECT_BASE_SECONDS) is grows


async def test_a_lost_connection_cuts_no_turn_and_its_wake_is_not_done_twice(
    server: AttachServer, config: AttachmentConfig
) -> None:
    runtime = FakeRuntime(gate := Gate())
    cut = trio.Event()

    async def serve_until_cut(peer: Peer) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(attach_server.serve, peer)
            await cut.wait()
            await peer.drop()
            nursery.cancel_scope.cancel()

    server.scripts.append(serve_until_cut)
    async with living(config, runtime):
        await server.wait_attached()
        server.publish(noise(0), wake := created(message("msg_1")))
        await runtime.wait_until(lambda runtime: runtime.running == 1)
        cut.set()
        await server.wait_attached(2)
        assert runtime.running == 1
        gate.let("msg_1")
        await server.wait_acked(wake)
        assert wake.id in server.peers[1].acked
        server.publish(later := created(message("msg_2", room="quiet")))
        await server.wait_acked(later)
    assert runtime.finished == ["msg_1"]


async def test_a_turn_that_ends_while_nobody_is_connected_is_settled_on_the_next_connection(
    server: AttachServer, config: AttachmentConfig
) -> None:
    runtime = FakeRuntime(gate := Gate())
    held = trio.Event()

    async def serve_and_drop(peer: Peer) -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(attach_server.serve, peer)
                await runtime.wait_until(lambda runtime: runtime.running == 1)
                scope.cancel()
        await peer.drop()

    async def hold(peer: Peer) -> None:
        await held.wait()
        await attach_server.serve(peer)

    server.scripts.extend([serve_and_drop, hold])
    async with living(config, runtime):
        await server.wait_attached()
        server.publish(noise(0), wake := created(message("msg_1")))
        await server.wait_until(lambda server: len(server.peers) == 2)
        gate.let("msg_1")
        await runtime.wait_until(lambda runtime: runtime.finished == ["msg_1"])
        held.set()
        await server.wait_acked(wake)
    assert runtime.begun == ["msg_1"]


async def test_an_ack_that_does_not_get_through_is_repeated_on_the_next_connection(
    server: AttachServer, config: AttachmentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut(_self: WebSocket, _text: str) -> None:
        raise ConnectionLost("cut")

    runtime = FakeRuntime(gate := Gate())
    async with living(config, runtime):
        await server.wait_attached()
        server.publish(noise(0), wake := created(message("msg_1")))
        await runtime.wait_until(lambda runtime: runtime.running == 1)
        with monkeypatch.context() as patched:
            patched.setattr(WebSocket, "send", cut)
            gate.let("msg_1")
            await server.wait_until(lambda server: server.peers[0].gone.is_set())
        server.publish(later := noise(1))
        await server.wait_acked(later)
    assert runtime.begun == ["msg_1"]
    assert server.peers[0].acked == [noise(0).id]
    assert wake.id not in ledger_of(config).finished


async def test_what_is_finished_but_not_on_disk_is_not_acked_when_it_comes_again(
    server: AttachServer, config: AttachmentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_works = threading.Event()

    def write_slowly(path: Path, data: bytes) -> None:
        disk_works.wait(timeout=30)
        write_private(path, data)

    server.ping_seconds = 0.01
    runtime = FakeRuntime(gate := Gate())
    deliver = trio.Event()

    async def drop(peer: Peer) -> None:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(attach_server.serve, peer)
                await runtime.wait_until(lambda runtime: runtime.running == 1)
                scope.cancel()
        await peer.drop()

    async def deliver_late(peer: Peer) -> None:
        await peer.attach()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.read)
            nursery.start_soon(peer.keep_alive)
            await deliver.wait()
            nursery.start_soon(peer.deliver)

    server.scripts.extend([drop, deliver_late])
    async with living(config, runtime):
        await server.wait_attached()
        server.publish(noise(0), wake := created(message("msg_1")))
        await server.wait_attached(2)
        monkeypatch.setattr("bridge.ledger.write_private", write_slowly)
        gate.let("msg_1")
        await runtime.wait_until(lambda runtime: runtime.finished == ["msg_1"])
        deliver.set()
        peer = server.peers[1]
        pings = peer.pings
        await server.wait_until(lambda _: peer.pings > pings + 20)
        assert peer.acked == []
        disk_works.set()
        await server.wait_acked(wake)


async def test_more_than_may_wait_is_left_to_the_server(
    server: AttachServer, config: AttachmentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_WAITING_WAKES", 4)
    monkeypatch.setattr(limits, "MAX_BATCH_WAKES", 1)
    wakes = [created(message(f"msg_{number}")) for number in range(10)]
    runtime = FakeRuntime(gate := Gate())
    async with living(config, runtime) as life:
        await server.wait_attached()
        server.publish(noise(0), *wakes)
        await server.wait_until(lambda server: server.peers[0].gone.is_set())
        # Long enough to come back, if it wanted to.
        for _ in range(20):
            await check_server(config, None, {})
        assert len(server.peers) == 1
        for number in range(10):
            gate.let(f"msg_{number}")
        await runtime.wait_until(lambda runtime: len(runtime.finished) == 10)
        server.publish(last := noise(1))
        await server.wait_acked(last)
        life.drain.set()
        await life.ended.wait()
        assert life.status.waiting_wakes == 0
    assert runtime.finished == [f"msg_{number}" for number in range(10)]
    assert ledger_of(config).cursor == last.id
