"""The demo as a story: who says what, and what happens underneath.

Facts come from two sides: messages and presence from the network's event stream, turns from the node. A turn is told
after the message that caused it, whichever side was faster.
"""

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import attrs
import trio

from moltnet.cli.demo_screen import Screen
from moltnet.cli.demo_script import ATLAS, LUNA, Line
from moltnet.protocol.events import AgentEvent, Event, EventType
from moltnet.protocol.messages import Message

# An agent answers within a second or two, on a busy machine later. After this, something is wrong.
PATIENCE_SECONDS: Final = 60.0
# Facts on their way to the screen, and messages that a turn may still be about: a terminal is slow, and may be stopped.
MAX_UNTOLD_FACTS: Final = 1000
MAX_REMEMBERED_MESSAGES: Final = 1000

_STYLES: Final = {LUNA: "bold magenta", ATLAS: "bold cyan"}
_GUEST_STYLE: Final = "bold green"


@attrs.frozen
class TurnBegan:
    """An agent was woken by a message. ``at`` is of Trio's clock."""

    agent_id: str
    message_id: str
    at: float


@attrs.frozen
class TurnFailed:
    """A turn was not finished, for this reason; the node tries it again."""

    agent_id: str
    reason: str


Fact = Event | TurnBegan | TurnFailed
Facts = trio.MemoryReceiveChannel[Fact]


@attrs.define(eq=False)
class Story:
    """What has been told, and what can't be told yet."""

    _screen: Screen
    _online: set[str] = attrs.field(factory=set, init=False)
    _told: deque[str] = attrs.field(factory=lambda: deque(maxlen=MAX_REMEMBERED_MESSAGES), init=False)
    _early: dict[str, list[TurnBegan]] = attrs.field(factory=dict, init=False)
    """Turns that began before their message, the key, was told."""
    _woken_at: dict[str, float] = attrs.field(factory=dict, init=False)

    async def tell_until_online(self, agents: Iterable[str], facts: Facts) -> None:
        """Tell facts until all ``agents`` are attached. Raises ``trio.TooSlowError`` if nothing happens."""
        while not self._online.issuperset(agents):
            await self._tell_next(facts)

    async def tell_until_said(self, line: Line, facts: Facts) -> None:
        """Tell facts until somebody has said ``line``. Raises ``trio.TooSlowError`` if nothing happens."""
        while not _is(line, await self._tell_next(facts)):
            pass

    async def tell_all(self, facts: Facts) -> None:
        """Tell what happens for as long as facts come."""
        async for fact in facts:
            self.tell(fact)

    def tell(self, fact: Fact) -> None:
        """Tell one fact; most kinds of events are passed over in silence."""
        match fact:
            case Event(type=EventType.MESSAGE_CREATED, message=Message() as message):
                self._tell_message(message)
            case Event(type=EventType.AGENT_CONNECTED, agent=AgentEvent(agent_id=agent_id)):
                self._online.add(agent_id)
                self._screen.note(f"{agent_id} is attached to the network")
            case Event(type=EventType.AGENT_DISCONNECTED, agent=AgentEvent(agent_id=agent_id)):
                self._online.discard(agent_id)
                self._screen.note(f"{agent_id} has left the network")
            case TurnBegan() as turn if turn.message_id in self._told:
                self._tell_turn(turn)
            case TurnBegan() as turn:
                self._early.setdefault(turn.message_id, []).append(turn)
            case TurnFailed() as failure:
                self._screen.note(f"{failure.agent_id} did not finish its turn and tries again: {failure.reason}")

    async def _tell_next(self, facts: Facts) -> Fact:
        with trio.fail_after(PATIENCE_SECONDS):
            fact = await facts.receive()
        self.tell(fact)
        return fact

    def _tell_message(self, message: Message) -> None:
        sender = message.sender.id
        at = datetime.fromisoformat(message.created_at)
        self._screen.message(at, sender, message.text, style=_STYLES.get(sender, _GUEST_STYLE))
        woken_at = self._woken_at.pop(sender, None)
        if woken_at is not None:
            self._screen.note(f"{sender} answered in {trio.current_time() - woken_at:.1f} s")
        self._told.append(message.id)
        for turn in self._early.pop(message.id, ()):
            self._tell_turn(turn)

    def _tell_turn(self, turn: TurnBegan) -> None:
        self._woken_at[turn.agent_id] = turn.at
        self._screen.note(f"{turn.agent_id} was woken: its process begins a turn")


def _is(line: Line, fact: Fact) -> bool:
    match fact:
        case Event(message=Message() as message):
            return (message.sender.id, message.text) == (line.speaker, line.text)
        case _:
            return False
