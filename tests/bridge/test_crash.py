"""A process that ends at any single step between a wake and its ACK: nothing is lost, what is done twice says so.

The steps are those of Trio's scheduler, so there is no await at which these tests do not stop once.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from bridge.brakes import Brakes
from bridge.conversation import Conversations
from bridge.dead_letters import DeadLetters
from bridge.ledger import Ledger, Standing
from bridge.policy import Wake, WakeReason
from bridge.render import render_body
from bridge.runtimes.runtime import Conversation, Turn
from bridge.status import AttachmentStatus
from moltnet.protocol.messages import Message
from tests.fakes.disk import Disk
from tests.fakes.mailboxes import UNBRAKED
from tests.fakes.messages import created, message

MESSAGES = (message("msg_1"), message("msg_2"), message("msg_3", room="other"), message("msg_4"))


@attrs.frozen
class Done:
    """A finished turn, for one of its messages."""

    message_id: str
    said_again: bool


@attrs.define(eq=False)
class Agent:
    """Outlives the node: what it has done is done, whatever the node remembers of it."""

    running: int = 0
    done: list[Done] = attrs.field(factory=list)

    async def run_turn(self, turn: Turn) -> None:
        self.running += 1
        try:
            for _ in range(2):
                await trio.lowlevel.checkpoint()
        finally:
            self.running -= 1
        # The last moment of a turn: what it did is visible, and the node has not heard of it.
        for line in turn.prompt.splitlines():
            message_id, _, again = line.partition(" ")
            self.done.append(Done(message_id, bool(again)))
        with trio.CancelScope(shield=True):
            await trio.lowlevel.checkpoint()


async def make_turn(conversation: Conversation, wakes: Sequence[Wake], repeated: frozenset[str]) -> Turn:
    await trio.lowlevel.checkpoint()
    lines = [f"{wake.message.id}{' again' if wake.event_id in repeated else ''}" for wake in wakes]
    return Turn(conversation, "\n".join(lines))


@attrs.define(eq=False)
class Server:
    """What is behind a cursor is delivered again; an ACK only counts for the connection."""

    acked: list[str] = attrs.field(factory=list)

    async def settle(self, wakes: Sequence[Wake]) -> None:
        await trio.lowlevel.checkpoint()
        self.acked += [wake.message.id for wake in wakes]

    def after(self, cursor: str) -> tuple[Message, ...]:
        ids = [str(created(each).id) for each in MESSAGES]
        return MESSAGES[ids.index(cursor) + 1 :] if cursor in ids else MESSAGES


@attrs.define(eq=False)
class StopAt(trio.abc.Instrument):
    """Calls `stop` before the step with that number, counted from when it is installed."""

    number: int
    stop: Callable[[], None]
    steps: int = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps += 1
        if self.steps == self.number:
            self.stop()


@asynccontextmanager
async def process(
    agent: Agent, disk: Disk, server: Server, directory: Path
) -> AsyncIterator[tuple[Conversations, Ledger]]:
    """The part of a node between deliveries and ACKs; it has seen the event `e0`."""
    ledger = disk.ledger()
    status = AttachmentStatus("agent-1", "net")
    async with trio.open_nursery() as nursery:
        conversations = Conversations(
            nursery,
            agent,
            make_turn,
            ledger,
            DeadLetters(directory),
            status,
            Brakes(UNBRAKED, trio.CapacityLimiter(2), ledger.turns),
            server.settle,
            lambda error: pytest.fail(str(error)),
        )
        yield conversations, ledger
        nursery.cancel_scope.cancel()
    await ledger.save()


async def live(agent: Agent, disk: Disk, server: Server, directory: Path) -> None:
    """Attach, take what the server has, and work until nothing is left."""
    async with process(agent, disk, server, directory) as (conversations, ledger):
        for each in server.after(ledger.rewind()):
            await trio.lowlevel.checkpoint()
            event_id = created(each).id
            match ledger.receive(event_id, event_id):
                case Standing.NEW:
                    conversations.deliver(Wake(event_id, event_id, each, WakeReason.ROOM, render_body(each)))
                case Standing.FINISHED:
                    server.acked.append(each.id)
                case Standing.ONGOING:
                    pytest.fail("a server delivers once per connection")
        await conversations.wait_idle()


async def begun() -> Disk:
    disk = Disk()
    await disk.ledger().begin("e0", None)
    return disk


async def steps_of_a_life(directory: Path) -> int:
    counter = StopAt(-1, lambda: None)
    disk = await begun()
    trio.lowlevel.add_instrument(counter)
    await live(Agent(), disk, Server(), directory)
    trio.lowlevel.remove_instrument(counter)
    assert counter.steps > 20
    return counter.steps


async def stopped_at(number: int, agent: Agent, disk: Disk, directory: Path, stop: Callable[[], None]) -> None:
    """One life that is cancelled before its step `number`; `stop` is called first."""
    with trio.CancelScope() as scope:

        def end() -> None:
            stop()
            scope.cancel()

        instrument = StopAt(number, end)
        trio.lowlevel.add_instrument(instrument)
        try:
            await live(agent, disk, Server(), directory)
        finally:
            trio.lowlevel.remove_instrument(instrument)


async def test_a_cancellation_at_any_step_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    for number in range(1, await steps_of_a_life(tmp_path)):
        agent, disk = Agent(), await begun()
        await stopped_at(number, agent, disk, tmp_path, lambda: None)
        assert agent.running == 0
        cut = set(disk.file().started)

        await live(agent, disk, server := Server(), tmp_path)
        assert sorted(done.message_id for done in agent.done) == [each.id for each in MESSAGES], f"step {number}"
        # A turn that was cut is announced as such, and only such a turn.
        said = {created(message(done.message_id)).id for done in agent.done if done.said_again}
        assert said == cut, f"step {number}"
        assert disk.file().cursor == created(MESSAGES[-1]).id
        assert disk.file().started == {}
        assert len(server.acked) == len(set(server.acked))


async def test_a_crash_at_any_step_loses_nothing_and_repeats_only_what_it_says(tmp_path: Path) -> None:
    """The disk is used as it was at that step; what the cancelled life does after it goes to another one."""
    for number in range(1, await steps_of_a_life(tmp_path)):
        agent, disk, crashed = Agent(), await begun(), Disk()
        done_before: list[Done] = []

        def crash(
            disk: Disk = disk, crashed: Disk = crashed, agent: Agent = agent, done: list[Done] = done_before
        ) -> None:
            crashed.content = disk.content
            done.extend(agent.done)

        await stopped_at(number, agent, disk, tmp_path, crash)
        agent.done[:] = done_before

        await live(agent, crashed, Server(), tmp_path)
        ids = [done.message_id for done in agent.done]
        assert set(ids) == {each.id for each in MESSAGES}, f"step {number}"
        for index, done in enumerate(agent.done):
            assert done.said_again or done.message_id not in ids[:index], f"step {number}"
        assert crashed.file().started == {}


async def test_a_stop_beyond_the_last_step_stops_nothing(tmp_path: Path) -> None:
    """The tests above do stop somewhere, then."""
    agent, disk = Agent(), await begun()
    await stopped_at(10_000, agent, disk, tmp_path, lambda: pytest.fail("stopped"))
    assert len(agent.done) == len(MESSAGES)
