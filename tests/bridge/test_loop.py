"""One attachment against a server on a socket: what it survives, what it ACKs when, and how it ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from bridge import limits
from bridge.config import AttachmentConfig, AuthMode, DirectBinding, RoomBinding, TokenSource, WakePolicy, WakeRule
from bridge.errors import AttachRefused, StateInUse
from bridge.ledger import FILE_NAME, LedgerFile
from bridge.loop import run_attachment
from bridge.runtimes.runtime import RuntimeMisconfigured, Turn
from bridge.status import AttachmentState, AttachmentStatus
from moltnet.protocol.codec import decode
from moltnet.protocol.ids import RoomId
from tests.fakes import attach_server
from tests.fakes.attach_server import AttachServer, Peer, open_attach_server
from tests.fakes.attachments import attachment_config
from tests.fakes.messages import created, gap, message, noise
from tests.fakes.runtime import FakeRuntime, Gate, never_end


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real sockets take real time: let nobody wait long between two tries."""
    monkeypatch.setattr(limits, "RECONNECT_BASE_SECONDS", 0.01)
    monkeypatch.setattr(limits, "RECONNECT_CAP_SECONDS", 0.05)
    monkeypatch.setattr(limits, "LEDGER_LAG_SECONDS", 0.01)


@pytest.fixture
async def server() -> AsyncIterator[AttachServer]:
    async with open_attach_server() as server:
        yield server


@pytest.fixture
def config(server: AttachServer, tmp_path: Path) -> AttachmentConfig:
    config = attachment_config(tmp_path)
    return attrs.evolve(
        config,
        server=attrs.evolve(config.server, base_url=server.base_url),
        rooms=(
            RoomBinding(RoomId("general")),
            RoomBinding(RoomId("other")),
            RoomBinding(RoomId("quiet"), WakeRule(WakePolicy.NEVER)),
        ),
        dms=DirectBinding(enabled=True),
    )


@attrs.define(eq=False)
class Status(AttachmentStatus):
    """Also remembers how long it was to wait, each time."""

    delays: list[float] = attrs.field(factory=list)
    _changed: trio.Event = attrs.field(factory=trio.Event)

    def backing_off(self, reason: str, delay_seconds: float) -> None:
        self.delays.append(delay_seconds)
        super().backing_off(reason, delay_seconds)
        self._note_change()

    def attached(self) -> None:
        super().attached()
        self._note_change()

    async def wait_backed_off(self, times: int) -> None:
        while len(self.delays) < times:
            await self._changed.wait()

    async def wait_attached(self) -> None:
        while self.state is not AttachmentState.ATTACHED:
            await self._changed.wait()

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@attrs.define(eq=False)
class Life:
    """One process that runs the attachment."""

    config: AttachmentConfig
    runtime: FakeRuntime
    environ: dict[str, str]
    expected: type[Exception] | None
    drain: trio.Event = attrs.field(factory=trio.Event)
    status: Status = attrs.field(factory=lambda: Status("agent-1", "net"))
    ended: trio.Event = attrs.field(factory=trio.Event)
    error: Exception | None = None

    async def run(self) -> None:
        try:
            await run_attachment(
                self.config,
                drain=self.drain,
                status=self.status,
                environ=self.environ,
                node_slots=trio.CapacityLimiter(8),
                open_runtime=self.runtime.open,
            )
        except Exception as error:
            if self.expected is None or not isinstance(error, self.expected):
                raise
            self.error = error
        finally:
            self.ended.set()


@asynccontextmanager
async def living(
    config: AttachmentConfig,
    runtime: FakeRuntime | None = None,
    environ: dict[str, str] | None = None,
    *,
    expected: type[Exception] | None = None,
) -> AsyncIterator[Life]:
    """Leaving the block ends the process without asking it; an exception that is not `expected` ends the test."""
    life = Life(config, runtime or FakeRuntime(), {} if environ is None else environ, expected)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(life.run)
        yield life
        nursery.cancel_scope.cancel()


def ledger_of(config: AttachmentConfig) -> LedgerFile:
    return decode((config.state_dir / FILE_NAME).read_bytes(), LedgerFile)


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


async def test_a_replay_gap_is_settled_told_and_no_place_to_resume_after(
    server: AttachServer, config: AttachmentConfig, caplog: pytest.LogCaptureFixture
) -> None:
    async with living(config):
        await server.wait_attached()
        server.publish(place := noise(0), hole := gap("evt_old"))
        await server.wait_acked(place, hole)
    assert ledger_of(config).cursor == place.id
    assert "events are missing" in caplog.text


async def test_more_than_may_wait_is_left_to_the_server(
    server: AttachServer, config: AttachmentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_WAITING_WAKES", 4)
    monkeypatch.setattr(limits, "MAX_BATCH_WAKES", 1)
    wakes = [created(message(f"msg_{number}")) for number in range(10)]
    runtime = FakeRuntime()
    async with living(config, runtime) as life:
        await server.wait_attached()
        server.publish(noise(0), *wakes)
        await runtime.wait_until(lambda runtime: len(runtime.finished) == 10)
        server.publish(last := noise(1))
        await server.wait_acked(last)
        life.drain.set()
        await life.ended.wait()
        assert life.status.waiting_wakes == 0
    assert runtime.finished == [f"msg_{number}" for number in range(10)]
    assert len(server.peers) > 1
    assert ledger_of(config).cursor == last.id


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


async def test_a_claimed_token_is_used_from_then_on(
    server: AttachServer, config: AttachmentConfig, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    link = attrs.evolve(config.server, auth_mode=AuthMode.OPEN, token=TokenSource(path=path))
    server.agent_token = "magt_v1_minted"
    async with living(attrs.evolve(config, server=link), runtime := FakeRuntime()):
        await server.wait_attached()
        server.publish(wake := created(message("msg_1")))
        await server.wait_acked(wake)
        await server.peers[0].drop()
        await server.wait_attached(2)
    assert ["authorization" in peer.headers for peer in server.peers] == [False, True]
    assert server.peers[1].headers["authorization"] == "Bearer magt_v1_minted"
    assert runtime.turns[0].environment["MOLTNET_TOKEN"] == "magt_v1_minted"


async def test_a_rotated_token_is_used_for_the_next_connection_and_turn(
    server: AttachServer, config: AttachmentConfig
) -> None:
    """Weakness 11 of the reference: a token was read once per process."""
    link = attrs.evolve(config.server, auth_mode=AuthMode.BEARER, token=TokenSource(env="AGENT_TOKEN"))
    environ = {"AGENT_TOKEN": "first"}
    async with living(attrs.evolve(config, server=link), runtime := FakeRuntime(), environ):
        await server.wait_attached()
        environ["AGENT_TOKEN"] = "second"
        server.publish(wake := created(message("msg_1")))
        await server.wait_acked(wake)
        await server.peers[0].drop()
        await server.wait_attached(2)
    assert [peer.headers["authorization"] for peer in server.peers] == ["Bearer first", "Bearer second"]
    assert runtime.turns[0].environment["MOLTNET_TOKEN"] == "second"


async def test_a_missing_token_is_refused_by_its_name(server: AttachServer, config: AttachmentConfig) -> None:
    link = attrs.evolve(config.server, auth_mode=AuthMode.BEARER, token=TokenSource(env="AGENT_TOKEN"))
    async with living(attrs.evolve(config, server=link), expected=AttachRefused) as life:
        await life.ended.wait()
    assert "AGENT_TOKEN" in str(life.error)
    assert server.peers == []
