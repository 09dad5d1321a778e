"""What an agent missed while it was away for longer than the server keeps events: fetched once, in order, and run."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
import trio

from bridge import limits
from bridge.config import AttachmentConfig, AuthMode, DirectBinding, RoomBinding, TokenSource, WakePolicy, WakeRule
from bridge.dead_letters import DeadLetters
from bridge.ledger import FILE_NAME
from moltnet.client.api import MoltnetClient, open_client
from moltnet.config.secrets import Secret
from moltnet.protocol.codec import encode
from moltnet.protocol.ids import AgentId, DirectId, NetworkId, RoomId, ThreadId
from moltnet.protocol.messages import (
    AGENT,
    HUMAN,
    Actor,
    Part,
    PartKind,
    SendMessageRequest,
    Target,
    TargetKind,
)
from moltnet.protocol.times import utc_now
from moltnet.retention import Retention, prune_old
from tests.fakes.attach_server import AttachServer
from tests.fakes.attachments import attachment_config
from tests.fakes.lives import ledger_of, living
from tests.fakes.messages import created, gap, message, noise
from tests.fakes.network import TestServer, open_test_server
from tests.fakes.runtime import FakeRuntime, Gate
from tests.fakes.server import ALPHA_TOKEN, OPERATOR_TOKEN, bearer_network

pytestmark = pytest.mark.usefixtures("quick")

GENERAL = Target(kind=TargetKind.ROOM, room_id=RoomId("general"))
REVIEW = Target(kind=TargetKind.THREAD, room_id=RoomId("general"), thread_id=ThreadId("review"))
DIRECT = Target(kind=TargetKind.DM, dm_id=DirectId("alpha-beta"), participant_ids=("alpha", "beta"))


@attrs.define(eq=False)
class World:
    """A network that can forget its events, and an agent `alpha` of it."""

    network: TestServer
    config: AttachmentConfig
    client: MoltnetClient

    async def say(self, *message_ids: str, target: Target = GENERAL, text: str = "@alpha hello") -> None:
        for message_id in message_ids:
            sender = Actor(type=AGENT if target.dm_id else HUMAN, id="beta" if target.dm_id else "ada")
            part = Part(kind=PartKind.TEXT, text=text)
            await self.client.send(SendMessageRequest(id=message_id, target=target, sender=sender, parts=(part,)))

    async def forget(self) -> None:
        """Of what happened until now the log of events keeps the newest only."""
        app = self.network.app
        keep = Retention(events=timedelta(0))
        await prune_old(app.context.journal, keep, lambda: utc_now() + timedelta(seconds=1), app.metrics.retention)

    async def begin(self) -> None:
        """A first life, in which one message comes and is done."""
        async with living(self.config, runtime := FakeRuntime()) as life:
            await life.status.wait_attached()
            await self.say("msg_first")
            await runtime.wait_until(lambda runtime: runtime.finished == ["msg_first"])
            await wait_saved(self.config, finished="msg_first")


async def wait_saved(config: AttachmentConfig, finished: str) -> None:
    with trio.fail_after(10):
        while ledger_of(config).started or not ledger_of(config).cursor_at:  # noqa: ASYNC110 - it is a file
            await trio.sleep(0.01)


def seen(runtime: FakeRuntime) -> list[str]:
    """The ids of all messages in all prompts, in their order."""
    prefix = "Message ID: "
    lines = (line for turn in runtime.turns for line in turn.prompt.splitlines())
    return [line.removeprefix(prefix) for line in lines if line.startswith(prefix)]


async def wait_seen(runtime: FakeRuntime, count: int) -> list[str]:
    with trio.fail_after(20):
        await runtime.wait_until(lambda runtime: len(seen(runtime)) >= count and not runtime.running)
    return seen(runtime)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    plain = attachment_config(tmp_path)
    async with open_test_server(bearer_network()) as network:
        config = attrs.evolve(
            plain,
            agent=attrs.evolve(plain.agent, id=AgentId("alpha")),
            server=attrs.evolve(
                plain.server,
                base_url=network.url,
                network_id=NetworkId("net_a"),
                auth_mode=AuthMode.BEARER,
                token=TokenSource(inline=Secret(ALPHA_TOKEN)),
            ),
            rooms=(RoomBinding(RoomId("general"), WakeRule(WakePolicy.MENTIONS)),),
            dms=DirectBinding(enabled=True),
        )
        async with open_client(network.url, OPERATOR_TOKEN, environ={}) as client:
            yield World(network, config, client)


async def test_what_the_log_of_events_has_forgotten_is_fetched_from_the_history_and_done_once(world: World) -> None:
    await world.begin()
    await world.say("msg_1", "msg_2")
    await world.say("msg_in_thread", target=REVIEW)
    await world.say("msg_for_others", text="nobody is named")
    await world.say("msg_3")
    await world.forget()
    await world.say("msg_after")
    async with living(world.config, runtime := FakeRuntime()) as life:
        await life.status.wait_attached()
        ids = await wait_seen(runtime, 5)
        await world.say("msg_live")
        ids = await wait_seen(runtime, 6)
    assert sorted(ids) == sorted(["msg_1", "msg_2", "msg_3", "msg_after", "msg_live", "msg_in_thread"])
    assert [id for id in ids if id != "msg_in_thread"] == ["msg_1", "msg_2", "msg_3", "msg_after", "msg_live"]
    assert not any("Redelivered" in turn.prompt for turn in runtime.turns)


async def test_direct_messages_are_fetched_too(world: World) -> None:
    await world.begin()
    await world.say("msg_dm", target=DIRECT)
    await world.forget()
    await world.say("msg_after")
    async with living(world.config, runtime := FakeRuntime()):
        assert sorted(await wait_seen(runtime, 2)) == ["msg_after", "msg_dm"]


async def test_what_was_fetched_survives_a_crash_before_and_after_its_turn(world: World) -> None:
    await world.begin()
    await world.say("msg_1", target=REVIEW)
    await world.say("msg_2")
    await world.forget()
    await world.say("msg_after")
    gate = Gate()
    gate.let("msg_1")
    async with living(world.config, first := FakeRuntime(gate)):
        # One is done; of the other the turn has begun.
        await first.wait_until(lambda runtime: "msg_1" in runtime.finished and runtime.running == 1)
    async with living(world.config, second := FakeRuntime()):
        await wait_seen(second, 2)
    assert sorted(seen(second)) == ["msg_2", "msg_after"]
    async with living(world.config, third := FakeRuntime()) as life:
        await life.status.wait_attached()
        await world.say("msg_live")
        assert await wait_seen(third, 1) == ["msg_live"]


async def test_more_than_fits_becomes_dead_letters_and_nothing_is_lost_in_silence(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.begin()
    await world.say("msg_1", "msg_2", "msg_3")
    await world.forget()
    await world.say("msg_after", text="nobody is named")
    monkeypatch.setattr(limits, "MAX_RETAKEN_BYTES", 2 * limits.WAKE_HEADER_BYTES + 100)
    async with living(world.config, runtime := FakeRuntime()):
        assert await wait_seen(runtime, 2) == ["msg_1", "msg_2"]
        (letter,) = await DeadLetters(world.config.state_dir).read()
    assert letter.message_id == "msg_3"
    assert "missed while the agent was away" in letter.reason


async def test_a_long_history_is_read_back_page_by_page_to_our_place_and_no_further(world: World) -> None:
    await world.say(*(f"msg_before_{number}" for number in range(3)))
    await world.begin()
    ids = [f"msg_{number:03}" for number in range(230)]
    await world.say(*ids)
    await world.forget()
    async with living(world.config, runtime := FakeRuntime()) as life:
        await life.status.wait_attached()
        await world.say("msg_live")
        assert await wait_seen(runtime, 231) == [*ids, "msg_live"]


@pytest.mark.parametrize("with_time", [True, False])
async def test_a_server_that_does_not_tell_its_history_costs_only_what_it_has_forgotten(
    with_time: bool, server: AttachServer, config: AttachmentConfig, caplog: pytest.LogCaptureFixture
) -> None:
    """The first of them knows no such routes; of the second kind of place, from an older version, no time is known."""
    async with living(config):
        await server.wait_attached()
        server.publish(place := noise(0))
        await server.wait_acked(place)
    if not with_time:
        path = config.state_dir / FILE_NAME
        path.write_bytes(encode(attrs.evolve(ledger_of(config), cursor_at="")))
    async with living(config, runtime := FakeRuntime()):
        await server.wait_attached(2)
        server.publish(hole := gap("evt_old"), wake := created(message("msg_1")))
        await server.wait_acked(hole, wake)
    assert runtime.begun == ["msg_1"]
    assert ("can't be read here" if with_time else "can't be fetched") in caplog.text


async def test_a_history_that_can_not_be_read_now_is_asked_for_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.begin()
    await world.say("msg_1")
    await world.forget()
    await world.say("msg_after")
    monkeypatch.setattr(limits, "MISSED_SECONDS", 0.0)
    async with living(world.config, runtime := FakeRuntime()) as life:
        await life.status.wait_backed_off(2)
        assert "what was missed can't be fetched: no answer" in life.status.last_error
        assert seen(runtime) == []
        monkeypatch.setattr(limits, "MISSED_SECONDS", 60.0)
        assert sorted(await wait_seen(runtime, 2)) == ["msg_1", "msg_after"]


async def test_what_needs_approval_is_not_run_without_it(world: World) -> None:
    """A server of ours can be asked about what is in its log only; for the rest the operator of the node decides."""
    await world.begin()
    await world.say("msg_1", "msg_2")
    await world.forget()
    rule = WakeRule(WakePolicy.MANUAL, on_approval=WakePolicy.MENTIONS)
    config = attrs.evolve(world.config, rooms=(RoomBinding(RoomId("general"), rule),))
    async with living(config, runtime := FakeRuntime()) as life:
        await life.status.wait_attached()
        await world.say("msg_live")
        with trio.fail_after(20):
            while life.status.given_up_wakes < 1 or len(life.status.approvals) < 2:  # noqa: ASYNC110 - plain values
                await trio.sleep(0.01)
        letters = await DeadLetters(config.state_dir).read()
    assert runtime.turns == []
    assert [letter.message_id for letter in letters] == ["msg_1"]
    assert [wake.message.id for wake in ledger_of(config).held] == ["msg_2", "msg_live"]
