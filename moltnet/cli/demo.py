"""``moltnet demo``: a network, a node and two scripted agents in one process, told as they talk.

The tasks, and who ends whom::

    demo                              ends with the conversation, or by a signal
    ├── fall_on_signal                the first signal cuts the play, the second everything
    └── network                       store, journal, broker; Hypercorn on a free port (`moltnet.serving`)
        └── play
            ├── listen                the event stream, as facts to tell
            └── node                  each agent supervised under a scope of its own (`node.supervisor`)
                ├── luna              attached; a wake becomes a process that runs `moltnet send`
                ├── atlas
                └── story             asks the questions and tells the facts

Each level is a block that is left when everything below it has ended: the processes before their node, the node before
its network, the network before its directory is removed.
"""

import signal
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import click
import trio

from moltnet.cli.demo_network import MAX_PACE_SECONDS, ROOM, open_network, open_node
from moltnet.cli.demo_screen import Screen
from moltnet.cli.demo_script import AGENTS, ATLAS, LUNA, scenes
from moltnet.cli.demo_story import MAX_UNTOLD_FACTS, PATIENCE_SECONDS, Fact, Story
from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.numbers import Number, WholeNumber
from moltnet.client.api import MoltnetClient, open_client
from moltnet.client.events import EventStream
from moltnet.log import configure
from moltnet.protocol.messages import HUMAN, Actor, Part, PartKind, SendMessageRequest, Target, TargetKind

MAX_ROUNDS: Final = 100
# Of a background job or of `nohup` these are to be ignored, and stay so.
_OF_THE_TERMINAL: Final = (signal.SIGINT, signal.SIGHUP)
_NEXT: Final = (
    ("moltnet demo --keep", "stay, and write to the two in the console yourself"),
    ("make run", "a network of your own, with its console, on port 8787"),
    ("docs/quickstart.md", "attach agents of your own: Codex, or any program"),
)


@click.command
@click.option(
    "--rounds",
    type=WholeNumber(1, MAX_ROUNDS),
    default=1,
    show_default=True,
    metavar="N",
    help="How many questions are asked; each begins a conversation of seven messages.",
)
@click.option(
    "--pace",
    type=Number(0, MAX_PACE_SECONDS),
    default=1.5,
    show_default=True,
    metavar="SECONDS",
    help="How long an agent thinks before it answers, so that you can read along.",
)
@click.option("--keep", is_flag=True, help="Stay until Ctrl-C, so that you can write to the agents in the console.")
def demo(rounds: int, pace: float, keep: bool) -> int:
    """Watch two small agents talk on a network of their own.

    Nothing to configure and no model: network, node and agents live in a temporary directory and on a free port of this
    machine. Ctrl-C ends it at any moment; nothing is left behind.
    """
    # The story says what goes wrong with it. A bug still gets through.
    configure(level="error")
    screen = Screen.open()
    return trio.run(_demo, screen, Performance(screen, rounds=rounds, pace_seconds=pace, keep=keep))


async def _demo(screen: Screen, performance: "Performance") -> int:
    from bridge.errors import single_error

    curtain = Curtain()
    with single_error():
        async with trio.open_nursery() as nursery:
            await nursery.start(curtain.fall_on_signal, nursery.cancel_scope)
            with tempfile.TemporaryDirectory(prefix="moltnet-demo-") as directory:
                async with open_network(Path(directory)) as url:
                    with curtain.play:
                        await performance.play(Path(directory), url)
            nursery.cancel_scope.cancel(reason="the demo is over")
    if not performance.finished:
        screen.say("\nStopped; nothing is left behind.")
        return 128 + curtain.fallen_by
    screen.say("\nThat was all, and nothing is left behind. What you can do next:\n")
    screen.hints(_NEXT)
    return ExitCode.OK


@attrs.define(eq=False)
class Curtain:
    """What signals bring down."""

    play: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    fallen_by: int = attrs.field(default=0, init=False)
    """The number of the first signal."""

    async def fall_on_signal(
        self, everything: trio.CancelScope, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """The first signal cancels the play, a second one everything."""
        heard = [number for number in _OF_THE_TERMINAL if signal.getsignal(number) is not signal.SIG_IGN]
        with trio.open_signal_receiver(signal.SIGTERM, *heard) as signals:
            task_status.started()
            async for number in signals:
                if self.fallen_by:
                    everything.cancel(reason="a second signal")
                self.fallen_by = self.fallen_by or number
                self.play.cancel(reason=signal.Signals(number).name)


@attrs.define(eq=False)
class Performance:
    """One play of the demo."""

    _screen: Screen
    _rounds: int = attrs.field(kw_only=True)
    _pace_seconds: float = attrs.field(kw_only=True)
    _keep: bool = attrs.field(kw_only=True)
    finished: bool = attrs.field(default=False, init=False)
    """Whether all questions have been answered."""

    async def play(self, directory: Path, url: str) -> None:
        """Run the node on the network at ``url`` and let its agents talk. Cancelled, they are cut.

        Raises:
            CommandFailed: nothing happened for too long.
        """
        self._screen.say("\nA Moltnet network, a node and two scripted agents: no model, no configuration.")
        self._screen.say(f"The same in a browser: {url}/console/\n")
        sending, facts = trio.open_memory_channel[Fact](MAX_UNTOLD_FACTS)
        async with open_client(url) as client, client.events() as events, trio.open_nursery() as nursery:
            nursery.start_soon(_listen, events, sending)
            async with open_node(directory, url, self._pace_seconds, partial(_tell, sending)):
                try:
                    await self._talk(client, facts)
                except trio.TooSlowError:
                    raise CommandFailed(
                        ExitCode.INTERNAL, f"the agents have been silent for {PATIENCE_SECONDS:g} s"
                    ) from None
            nursery.cancel_scope.cancel(reason="the play is over")

    async def _talk(self, client: MoltnetClient, facts: trio.MemoryReceiveChannel[Fact]) -> None:
        story = Story(self._screen)
        await story.tell_until_online(AGENTS, facts)
        for scene in scenes(self._rounds):
            with trio.fail_after(PATIENCE_SECONDS):
                await client.send(_question(scene.question))
            await story.tell_until_said(scene.lines[-1], facts)
        self.finished = True
        if self._keep:
            self._screen.say(f"\nIt stays until Ctrl-C. Write to @{LUNA} or @{ATLAS} in the console.\n")
            await story.tell_all(facts)


async def _listen(events: EventStream, sending: trio.MemorySendChannel[Fact]) -> None:
    async for event in events:
        await sending.send(event)


def _tell(sending: trio.MemorySendChannel[Fact], fact: Fact) -> None:
    # The node must not wait for a terminal that does not keep up; the story goes on without a note.
    with suppress(trio.WouldBlock):
        sending.send_nowait(fact)


def _question(text: str) -> SendMessageRequest:
    return SendMessageRequest(
        target=Target(kind=TargetKind.ROOM, room_id=ROOM),
        sender=Actor(type=HUMAN, id="you", name="You"),
        parts=(Part(kind=PartKind.TEXT, text=text),),
    )
