"""What becomes of the attachments of an agent that is removed, or given to another credential."""

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from moltnet.app import App
from moltnet.auth.claims import ANONYMOUS
from moltnet.config.settings import AuthMode
from moltnet.core.agents import remove_agent
from moltnet.protocol.events import EventType
from moltnet.protocol.ids import AgentId
from moltnet.storage.commands import BindAgent
from tests.attach.test_ending import reports_of
from tests.fakes.attach_client import attach, identify_frame, open_wire, read_until_closed
from tests.fakes.credentials import static, stored_agent
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.network import network_config, open_test_app, post, room_message

pytestmark = pytest.mark.usefixtures("either_transport")

DEBUG = network_config(debug_events=True)
OPEN = network_config(mode=AuthMode.OPEN)


async def newest(app: App) -> str:
    return (await app.context.store.event_bounds()).newest_id


async def test_it_is_told_and_closed_for_good(autojump_clock: MockClock) -> None:
    async with open_test_app(DEBUG) as app, open_wire(app) as first, open_wire(app) as other:
        await attach(other, "beta")
        await attach(first, "alpha")
        await trio.testing.wait_all_tasks_blocked()
        await remove_agent(app.context, "alpha")
        frames, closed = await read_until_closed(first)
        assert (frames[-1]["op"], frames[-1]["error"]) == ("ERROR", "agent was removed from the network")
        assert EventType.AGENT_REMOVED not in [frame["event"]["type"] for frame in frames if frame["op"] == "EVENT"]
        assert closed.code == 1008
        reports = [(kind, agent.reason) for kind, agent in await reports_of(app)]
        assert reports[-2:] == [("agent.removed", "removed"), ("agent.disconnected", "agent_removed")]
        assert len(app.gateway.registry) == 1


async def test_its_wakes_have_not_failed(autojump_clock: MockClock) -> None:
    async with open_test_app() as app, open_wire(app) as wire:
        client = await attach(wire, "alpha")
        await post(app, room_message("@alpha", sender="beta"))
        await client.next_of(EventType.MESSAGE_CREATED)
        await remove_agent(app.context, "alpha")
        await client.wait_closed()
        assert "agent.wake.failed" not in [kind for kind, _ in await reports_of(app)]


async def test_who_registers_again_is_not_disconnected_by_the_old_removal(autojump_clock: MockClock) -> None:
    """Weakness 7: a resume from before the removal disconnected the new agent every time."""
    async with open_test_app() as app:
        start = await newest(app)
        async with open_wire(app) as wire:
            await attach(wire, "alpha")
            await remove_agent(app.context, "alpha")
            await read_until_closed(wire)
        for cursor in (start, "evt_unknown"):
            async with open_wire(app) as wire:
                client = await attach(wire, "alpha", cursor=cursor)
                await post(app, room_message("hello again", sender="beta"))
                seen = []
                while (delivered := await client.next()).event.type != EventType.MESSAGE_CREATED:
                    seen.append(delivered.event.type)
                    await client.ack(delivered)
                assert EventType.ROOM_MEMBERS_UPDATED in seen
                assert EventType.AGENT_REMOVED not in seen


async def test_others_who_observe_learn_of_a_removal(autojump_clock: MockClock) -> None:
    claims = static("attach observe", token_id="watcher")
    async with open_test_app(OPEN) as app, open_wire(app, claims) as wire:
        client = await attach(wire, "watcher")
        await remove_agent(app.context, "beta")
        told = (await client.next_of(EventType.AGENT_REMOVED)).event.agent
        assert told is not None
        assert (told.agent_id, told.reason) == ("beta", "removed")


async def test_a_newcomer_may_take_the_id_at_once(autojump_clock: MockClock) -> None:
    async with open_test_app(OPEN) as app, open_wire(app, ANONYMOUS) as wire, open_wire(app, ANONYMOUS) as next_wire:
        first = await attach(wire, "alpha")
        await remove_agent(app.context, "alpha")
        second = await attach(next_wire, "alpha")
        assert first.ready.agent_token != second.ready.agent_token
        assert first.ready.actor_uid != second.ready.actor_uid
        await read_until_closed(wire)
        assert app.gateway.registry.is_connected(AgentId("alpha"))


@pytest.mark.parametrize(
    ("meanwhile", "error"),
    [
        (lambda app: remove_agent(app.context, "newcomer"), "agent was removed from the network"),
        (
            lambda app: app.context.journal.commit(BindAgent(stored_agent("newcomer", "key:other"))),
            "agent was given to another credential",
        ),
    ],
    ids=["removed", "given away"],
)
async def test_an_agent_that_is_lost_while_it_attaches_does_not_get_in(
    autojump_clock: MockClock, meanwhile: Callable[[App], Awaitable[object]], error: str
) -> None:
    """Registration and loss in one transaction: nobody was seated when it was published."""
    store = FaultyStore()
    async with open_test_app(store=store) as app, open_wire(app) as wire, trio.open_nursery() as nursery:
        store.hold()
        # The writer is busy with this one, so that the next two make up one batch.
        nursery.start_soon(post, app, room_message("first"))
        await trio.testing.wait_all_tasks_blocked()
        await wire.receive()
        await wire.send(identify_frame("newcomer"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(meanwhile, app)
        await trio.testing.wait_all_tasks_blocked()
        store.release()
        frames, closed = await read_until_closed(wire)
        assert [(frame["op"], frame["error"]) for frame in frames] == [("ERROR", error)]
        assert closed.code == 1008
        assert [len(batch) for batch in store.batches[-2:]] == [1, 2]


@pytest.mark.parametrize(("key", "stays"), [("key:other", False), ("", True)])
async def test_who_loses_an_agent_to_another_credential_is_sent_away(
    autojump_clock: MockClock, key: str, stays: bool
) -> None:
    async with open_test_app(OPEN) as app, open_wire(app, ANONYMOUS) as wire:
        client = await attach(wire, "alpha")
        stored = app.context.directory.agent("alpha")
        assert stored is not None
        await app.context.journal.commit(BindAgent(stored_agent("alpha", key or stored.credential_key, name="New")))
        if stays:
            await post(app, room_message(sender="beta"), static("admin write"))
            assert await client.next_texts(1) == ["hello"]
            return
        frames, closed = await read_until_closed(wire)
        assert (frames[-1]["error"], closed.code) == ("agent was given to another credential", 1008)
