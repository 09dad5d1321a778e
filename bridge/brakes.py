"""What keeps the turns of an attachment from being too many: at once, one after another, and in an hour.

    parallel turns    of the agent and of the node: who comes first goes first
    cooldown          between two turns of one conversation; what arrives meanwhile becomes one turn
    turns per hour    of one conversation, in a window that slides: two agents that always answer each other get so
                      many turns and no more, and a restart gives them no others (`bridge.turn_counts`)

Whatever holds a turn back loses nothing: its messages wait in order, with those that come after them, and go on
together. What may be configured is in `bridge.settings`, what is shown of it in `bridge.activity`.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs
import trio

from bridge import limits
from bridge.activity import Activity, Brake
from bridge.settings import BrakeSettings
from bridge.turn_counts import TurnCounts
from moltnet.log import get_logger

log = get_logger("bridge.brakes")

# A hold ends in whole seconds of another clock than Trio's: look again a little later rather than many times.
_SHORTEST_HOLD_SECONDS = 0.01


@attrs.define(eq=False)
class Brakes:
    """The brakes of one attachment. `node_slots` is shared by all attachments of a node."""

    _settings: BrakeSettings
    _node_slots: trio.CapacityLimiter
    _turns: TurnCounts
    _unix_time: Callable[[], float] = time.time
    _agent_slots: trio.CapacityLimiter = attrs.field(init=False)
    _cool_at: dict[str, float] = attrs.field(factory=dict, init=False)
    """Until when conversations cool down, in the order in which they do."""
    _told: set[str] = attrs.field(factory=set, init=False)
    """Conversations of which the log knows that they have spent their budget: once is enough."""

    def __attrs_post_init__(self) -> None:
        self._agent_slots = trio.CapacityLimiter(self._settings.parallel_turns)

    @asynccontextmanager
    async def slot(self, activity: Activity) -> AsyncIterator[None]:
        """Wait until a turn of this conversation may run, and let it run in the block. One at a time of each."""
        await self._wait_allowed(activity)
        _note(activity, self._agent_slots, Brake.AGENT)
        async with self._agent_slots:
            _note(activity, self._node_slots, Brake.NODE)
            async with self._node_slots:
                try:
                    yield
                finally:
                    self._cool_down(activity.conversation)

    def count(self, conversation: str) -> None:
        """A turn begins. On disk with the ledger's next save."""
        self._turns.add(conversation, self._unix_time())

    async def _wait_allowed(self, activity: Activity) -> None:
        spent = False
        while (hold := self._hold(activity.conversation)) is not None:
            brake, seconds = hold
            activity.hold(brake, seconds)
            if brake is Brake.BUDGET:
                spent = True
                self._tell(activity.conversation, seconds)
            await trio.sleep(seconds)
        if not spent:
            self._told.discard(activity.conversation)

    def _hold(self, conversation: str) -> tuple[Brake, float] | None:
        """What holds this conversation back, and for how many seconds; the longer of two."""
        cooldown_seconds = max(0.0, self._cool_at.get(conversation, 0.0) - trio.current_time())
        budget_seconds = 0.0
        now = self._unix_time()
        began = self._turns.recent(conversation, now)
        if len(began) >= self._settings.turns_per_hour:
            budget_seconds = began[-self._settings.turns_per_hour] + limits.BUDGET_SECONDS - now
            budget_seconds = max(budget_seconds, _SHORTEST_HOLD_SECONDS)
        if budget_seconds > cooldown_seconds:
            return Brake.BUDGET, budget_seconds
        return (Brake.COOLDOWN, cooldown_seconds) if cooldown_seconds > 0 else None

    def _cool_down(self, conversation: str) -> None:
        now = trio.current_time()
        if self._settings.cooldown_seconds > 0:
            self._cool_at.pop(conversation, None)
            self._cool_at[conversation] = now + self._settings.cooldown_seconds
        while self._cool_at and self._cool_at[first := next(iter(self._cool_at))] <= now:
            del self._cool_at[first]

    def _tell(self, conversation: str, seconds: float) -> None:
        if conversation in self._told:
            return
        if len(self._told) >= limits.MAX_COUNTED_TURNS:
            self._told.clear()
        self._told.add(conversation)
        log.warning(
            "held back",
            reason="this conversation has had its turns of an hour; do agents answer each other without end?",
            conversation=conversation,
            turns_per_hour=self._settings.turns_per_hour,
            next_turn_seconds=round(seconds),
        )


def _note(activity: Activity, slots: trio.CapacityLimiter, brake: Brake) -> None:
    if slots.available_tokens <= 0:
        activity.hold(brake)
