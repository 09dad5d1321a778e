"""An attachment cut at every point of its life, and what it leaves behind.

A script is played again and again; each time the server's side is cut one step of the scheduler later, until the whole
script has passed uncut. Cut by cancellation (the server stops), and by the peer that vanishes.
"""

import gc
from collections.abc import Callable

import attrs
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from moltnet.app import App
from moltnet.config.server_limits import NO_LIMITS
from moltnet.config.settings import AuthMode
from moltnet.protocol.codec import decode
from moltnet.protocol.events import Event, EventType
from moltnet.protocol.ids import AgentId
from tests.fakes.asgi_socket import AsgiWire, open_asgi_wire
from tests.fakes.attach_client import MemoryWire, WireClosed, attach, open_wire
from tests.fakes.credentials import static
from tests.fakes.http_client import bearer
from tests.fakes.network import network_config, open_test_app, post, post_texts, room_message, token

ONE_PLACE = network_config(
    mode=AuthMode.BEARER,
    tokens=[token("alpha", "attach", "alpha")],
    limits=attrs.evolve(
        NO_LIMITS, attachments=1, attachments_per_credential=1, pending_handshakes=1, pending_handshakes_per_address=1
    ),
)

Cuttable = MemoryWire | AsgiWire
Cut = Callable[[Cuttable], None]


def cancel(wire: Cuttable) -> None:
    wire.scope.cancel(reason="the test cuts here")


def vanish(wire: Cuttable) -> None:
    wire.hang_up_nowait(1006)


@attrs.define(eq=False)
class CutAfter(trio.abc.Instrument):
    """Cuts before the scheduler's step number `step` from now on."""

    step: int
    wire: Cuttable
    cut: Cut
    taken: int = 0

    @property
    def was_cut(self) -> bool:
        return self.taken >= self.step

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.taken += 1
        if self.taken == self.step:
            self.cut(self.wire)


@attrs.define(eq=False)
class Life:
    """What the agent saw of one attachment."""

    cursor: str = ""
    received: list[str] = attrs.field(factory=list)
    acked: list[str] = attrs.field(factory=list)


async def live(app: App, wire: Cuttable, life: Life) -> None:
    """Attach, take three messages, acknowledge each, take a fourth and leave it, as long as the wire holds."""
    try:
        client = await attach(wire, "alpha", cursor=life.cursor)
        while len(life.received) < 4:
            delivered = await client.next_of(EventType.MESSAGE_CREATED)
            assert delivered.event.message is not None
            life.received.append(delivered.event.message.id)
            if len(life.received) < 4:
                await client.ack(delivered)
                life.acked.append(delivered.event.message.id)
                life.cursor = delivered.cursor
    except (WireClosed, trio.ClosedResourceError, trio.BrokenResourceError):
        pass


@pytest.mark.parametrize("cut", [cancel, vanish])
async def test_a_session_cut_anywhere_leaves_nothing_behind_and_can_be_resumed(
    cut: Cut, autojump_clock: MockClock
) -> None:
    step = 0
    while await _play_and_check(step := step + 1, cut):
        assert step < 1000, "the script never ends"
    assert step > 30, "the script was over before it had begun"


async def _play_and_check(step: int, cut: Cut) -> bool:
    """Play the script cut at this step; whether it was cut at all."""
    async with open_test_app() as app:
        await post_texts(app, *(f"@alpha {number}" for number in range(4)), sender="beta")
        life = Life(cursor=(await app.context.store.event_bounds()).oldest_id)
        async with open_wire(app) as wire:
            knife = CutAfter(step, wire, cut)
            trio.lowlevel.add_instrument(knife)
            try:
                await live(app, wire, life)
            finally:
                trio.lowlevel.remove_instrument(knife)
        assert wire.ended.is_set()
        await _check_nothing_is_left(app, life)
        await _check_it_resumes(app, life)
        return knife.was_cut


@pytest.mark.parametrize("cut", [cancel, vanish])
async def test_an_upgrade_cut_anywhere_gives_back_what_it_took(cut: Cut, autojump_clock: MockClock) -> None:
    """Through every check of an upgrade: its places among attachments and handshakes, its seat, its lease."""
    step = 0
    while await _play_upgrade_and_check(step := step + 1, cut):
        assert step < 1000, "the script never ends"
    assert step > 30, "the script was over before it had begun"


async def _play_upgrade_and_check(step: int, cut: Cut) -> bool:
    async with open_test_app(ONE_PLACE) as app:
        for number in range(4):
            await post(app, room_message(f"@alpha {number}", sender="beta"), static("admin write"))
        life = Life(cursor=(await app.context.store.event_bounds()).oldest_id)
        knives: list[CutAfter] = []

        def watch(wire: AsgiWire) -> None:
            knives.append(CutAfter(step, wire, cut))
            trio.lowlevel.add_instrument(knives[0])

        try:
            async with open_asgi_wire(app, bearer("alpha"), watch=watch) as wire:
                await live(app, wire, life)
        except (WireClosed, trio.BrokenResourceError):
            pass
        finally:
            trio.lowlevel.remove_instrument(knives[0])
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        assert taken_of(app) == (0, 0, 0)
        assert not app.gateway.pending
        await _check_nothing_is_left(app, life)
        # There is one place, so nobody could come in if it were lost.
        async with open_asgi_wire(app, bearer("alpha")) as wire:
            await attach(wire, "alpha", cursor=life.cursor)
            assert taken_of(app) == (1, 0, 1)
        return knives[0].was_cut


def taken_of(app: App) -> tuple[int, int, int]:
    """Places of attachments, places of handshakes, and leases."""
    return len(app.admission.attachments), len(app.admission.handshakes), len(app.leases._leases)


async def _check_nothing_is_left(app: App, life: Life) -> None:
    assert len(app.gateway.registry) == 0
    assert app.gateway.registry.count_pending_wakes() == 0
    assert not app.gateway.registry.is_connected(AgentId("alpha"))
    await trio.testing.wait_all_tasks_blocked()
    events = [decode(record.wire, Event) for record in await app.context.store.events_after(0, 1000)]
    types = [event.type for event in events]
    assert types.count("agent.connected") == types.count("agent.disconnected") <= 1
    delivered = [event.agent.message_id for event in events if event.type == "agent.wake.delivered" and event.agent]
    failed = [event.agent.message_id for event in events if event.type == "agent.wake.failed" and event.agent]
    # An ACK may have been cut off on its way; nothing else can be reported, and nothing twice.
    assert delivered == life.acked[: len(delivered)]
    assert not set(delivered) & set(failed)
    assert len(set(failed)) == len(failed)


async def _check_it_resumes(app: App, life: Life) -> None:
    """The agent comes back with its last cursor: every message that it has not ACKed comes, in order, once."""
    async with open_wire(app) as wire:
        client = await attach(wire, "alpha", cursor=life.cursor)
        messages = [event.message.id for event in await client.quiet_events() if event.message is not None]
        history = [
            record.message_id
            for record in await app.context.store.events_after(0, 1000)
            if record.type == EventType.MESSAGE_CREATED
        ]
        assert messages == history[len(life.acked) :]
