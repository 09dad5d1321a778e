"""When the turns of each conversation began, over the last hour: what a budget of turns is measured against.

Part of the ledger, so that a restart gives nobody a new budget. What the budget is, is said by `bridge.brakes`.
"""

from collections.abc import Iterable, Sequence

import attrs

from bridge import limits


@attrs.frozen
class CountedTurns:
    """When turns of one conversation began, in whole seconds of Unix time, oldest first."""

    conversation: str
    at: tuple[int, ...]


@attrs.define(eq=False)
class TurnCounts:
    """The beginnings of turns within `limits.BUDGET_SECONDS`, of at most `limits.MAX_COUNTED_TURNS` turns.

    Times are Unix time, which is all that outlives a process. A clock that was set back makes no turn come from the
    future: such a turn counts as one of now.
    """

    _at: dict[str, list[int]] = attrs.field(factory=dict)
    """In the order of their last turns."""

    @classmethod
    def of(cls, counted: Iterable[CountedTurns]) -> "TurnCounts":
        return cls({each.conversation: list(each.at) for each in counted})

    def recent(self, conversation: str, now: float) -> Sequence[int]:
        """When the turns of this conversation began that still count at `now`, oldest first."""
        began = [min(at, int(now)) for at in self._at.get(conversation, ()) if at > now - limits.BUDGET_SECONDS]
        if began:
            self._at[conversation] = began
        else:
            self._at.pop(conversation, None)
        return began

    def add(self, conversation: str, now: float) -> None:
        """A turn of this conversation begins."""
        began = [*self.recent(conversation, now), int(now)]
        self._at.pop(conversation, None)
        self._at[conversation] = began
        while self._at and next(iter(self._at.values()))[-1] <= now - limits.BUDGET_SECONDS:
            del self._at[next(iter(self._at))]
        while sum(map(len, self._at.values())) > limits.MAX_COUNTED_TURNS and len(self._at) > 1:
            del self._at[next(iter(self._at))]

    def counted(self) -> tuple[CountedTurns, ...]:
        """All of it, for the disk."""
        return tuple(CountedTurns(conversation, tuple(at)) for conversation, at in self._at.items())
