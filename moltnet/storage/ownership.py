"""Work that must not be done twice at the same time, by name: who does it now, within one server.

Among servers that share a database it is decided by ``moltnet.storage.sql.postgres.owners``.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio


@attrs.define(eq=False)
class LocalOwners:
    """A turn for each name. A name takes memory only as long as somebody has it, or waits for it."""

    _turns: dict[str, trio.Lock] = attrs.field(init=False, factory=dict)

    @asynccontextmanager
    async def owned(self, name: str) -> AsyncIterator[None]:
        """Run the block when nobody else in this server has ``name``. Who waits longest is next."""
        turn = self._turns.setdefault(name, trio.Lock())
        try:
            async with turn:
                yield
        finally:
            if not turn.locked() and self._turns.get(name) is turn:
                del self._turns[name]
