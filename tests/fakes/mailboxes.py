"""The conversations of an attachment without a connection: deliveries come from the test, the ledger is in memory."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

from bridge import limits
from bridge.brakes import Brakes
from bridge.config import BrakeSettings
from bridge.conversation import Conversations
from bridge.dead_letters import DeadLetters
from bridge.ledger import Ledger, Standing
from bridge.policy import Wake, WakeReason
from bridge.render import render_body
from bridge.runtimes.runtime import Conversation, RuntimeMisconfigured, Turn
from bridge.status import AttachmentStatus
from moltnet.protocol.messages import Message
from tests.fakes.disk import Disk
from tests.fakes.messages import created
from tests.fakes.runtime import FakeRuntime

# Most tests are about what happens between turns, and none of them waits.
UNBRAKED = BrakeSettings(cooldown_seconds=0)


async def make_turn(conversation: Conversation, wakes: Sequence[Wake], repeated: frozenset[str]) -> Turn:
    """Says in its prompt which messages it holds, and marks those that were begun before."""
    await trio.lowlevel.checkpoint()
    shown = [f"{wake.message.id}{' again' if wake.event_id in repeated else ''}" for wake in wakes]
    return Turn(conversation, ", ".join(shown), message_id=wakes[-1].message.id)


@attrs.define(eq=False)
class Bench:
    """The conversations of one attachment in one process."""

    conversations: Conversations
    ledger: Ledger
    status: AttachmentStatus
    settled: list[str]
    stops: list[RuntimeMisconfigured]

    def deliver(self, *messages: Message) -> None:
        """As the connection does: known wakes are not delivered again."""
        for each in messages:
            event_id = created(each).id
            if self.ledger.receive(event_id, event_id) is Standing.NEW:
                wake = Wake(event_id, event_id, attrs.evolve(each, parts=()), WakeReason.ROOM, render_body(each))
                self.conversations.deliver(wake)


@asynccontextmanager
async def open_bench(
    runtime: FakeRuntime,
    disk: Disk,
    directory: Path,
    node_slots: trio.CapacityLimiter | None = None,
    brakes: BrakeSettings = UNBRAKED,
    unix_time: Callable[[], float] = time.time,
) -> AsyncIterator[Bench]:
    """Leaving the block cancels what still runs, as the end of a process does, only that it is cleaner."""
    ledger = disk.ledger()
    if ledger.is_fresh:
        await ledger.begin("e0", None)
    ledger.rewind()
    settled: list[str] = []
    stops: list[RuntimeMisconfigured] = []

    async def settle(wakes: Sequence[Wake]) -> None:
        await trio.lowlevel.checkpoint()
        # Whatever the server hears is on disk.
        assert not {wake.event_id for wake in wakes} & set(disk.file().started)
        settled.extend(wake.message.id for wake in wakes)

    status = AttachmentStatus("agent-1", "net")
    async with trio.open_nursery() as nursery:
        conversations = Conversations(
            nursery,
            runtime,
            make_turn,
            ledger,
            DeadLetters(directory),
            status,
            Brakes(brakes, node_slots or trio.CapacityLimiter(limits.TURNS_PER_NODE), ledger.turns, unix_time),
            settle,
            stops.append,
        )
        yield Bench(conversations, ledger, status, settled, stops)
        nursery.cancel_scope.cancel()
    await ledger.save()
