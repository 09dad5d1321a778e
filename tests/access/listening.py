"""What a caller hears: by event stream, and attached as an agent."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import trio.testing

from moltnet.attach.delivery import AttachedAgent, Reporter
from moltnet.protocol.approvals import Approval, ApprovalState, approval_id_of
from moltnet.protocol.events import Event, EventType
from moltnet.protocol.identity import agent_fqid
from moltnet.protocol.ids import AgentId, EventId, MessageId, new_event_id
from moltnet.storage.commands import RecordEvents
from tests.access.world import World, conversation
from tests.fakes.asgi_client import open_exchange
from tests.fakes.asgi_socket import UpgradeRefused, open_asgi_wire
from tests.fakes.attach_client import WireClosed, attach
from tests.fakes.network import NETWORK, post

# What a caller may hear, by words that stand in the event and in no other.
IN_THE_HALL: Final = ('"text":"in the hall"',)
IN_THE_CELLAR: Final = ('"text":"in the cellar"',)
BETWEEN_ALPHA_AND_BETA: Final = ('"text":"between us"',)
GAMMA_CAME: Final = ('"type":"agent.connected"', '"agent_id":"gamma"')
GAMMA_WAITS: Final = ('"type":"approval.requested"', '"agent_id":"gamma"')


def opens_stream() -> Callable[[World, str], Awaitable[str]]:
    async def ask(world: World, caller: str) -> str:
        headers = world.headers(caller)
        async with open_exchange(world.asgi, "GET", "/v1/events/stream", headers=headers) as exchange:
            return str(await exchange.receive_status())

    return ask


def listens_for(words: Iterable[str]) -> Callable[[World, str], Awaitable[str]]:
    """Open a stream, let things happen, and look at what came."""

    async def ask(world: World, caller: str) -> str:
        headers = world.headers(caller)
        async with open_exchange(world.asgi, "GET", "/v1/events/stream", headers=headers) as exchange:
            status = await exchange.receive_status()
            if status != 200:
                return str(status)
            await _happen(world)
            return _verdict(words, exchange.receive_waiting().decode().split("\n\n"))

    return ask


def attaches_as(agent_id: str, words: Iterable[str] = ()) -> Callable[[World, str], Awaitable[str]]:
    """Attach as an agent, a new one if it has no name; with `words`, let things happen and look at what came."""

    async def ask(world: World, caller: str) -> str:
        try:
            async with open_asgi_wire(world.asgi, world.headers(caller)) as wire:
                try:
                    await attach(wire, agent_id or world.fresh("stranger"))
                except (AssertionError, WireClosed):
                    return "refused"
                if not words:
                    return "READY"
                await _happen(world)
                return _verdict(words, wire.receive_waiting())
        except UpgradeRefused as refused:
            return str(refused.status)

    return ask


async def _happen(world: World) -> None:
    """Somebody says something everywhere, and gamma comes. Returns once everybody has been told."""
    agent = AttachedAgent(NETWORK, "gamma", agent_fqid(NETWORK, "gamma"), "")
    now = world.app.context.now()
    await world.app.context.journal.commit(RecordEvents((Reporter(agent, world.app.context.now).connected(),)))
    approval = Approval(
        approval_id_of("gamma", "evt_1"),
        AgentId("gamma"),
        EventId("evt_1"),
        MessageId("in-the-hall"),
        ApprovalState.PENDING,
        requested_at=now,
        expires_at=now,
    )
    event = Event(new_event_id(), EventType.APPROVAL_REQUESTED, NETWORK, now, approval=approval)
    await world.app.context.journal.commit(RecordEvents((event,)))
    for message in conversation():
        await post(world.app, message, world.operator)
    await trio.testing.wait_all_tasks_blocked()


def _verdict(words: Iterable[str], heard: Iterable[str]) -> str:
    return "heard" if any(all(word in event for word in words) for event in heard) else "silent"
