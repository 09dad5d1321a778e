"""Turns of one session one after another, those of other sessions beside them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio


@attrs.define(eq=False)
class TurnOrder:
    """Who has which session. It remembers only sessions in which something is done."""

    _turns: dict[str, trio.Lock] = attrs.field(factory=dict, init=False)

    @asynccontextmanager
    async def only_turn(self, session: str) -> AsyncIterator[None]:
        """Wait for the session to be free, and have it until the block is left."""
        turns = self._turns.setdefault(session, trio.Lock())
        async with turns:
            try:
                yield
            finally:
                if not turns.statistics().tasks_waiting:
                    del self._turns[session]
