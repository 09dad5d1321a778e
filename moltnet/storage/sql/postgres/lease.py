"""That this server is alive, as the others on the database see it: a row that it renews, and until when it counts.

What is held only for as long as that is decided elsewhere in this package. The row ends by the database's clock. What
we count on ends before, on ours: it is counted from when we asked, which is before the database answered.
"""

import math
import secrets
from typing import Final

import attrs
import trio

from moltnet.storage import limits
from moltnet.storage.bell import Bell
from moltnet.storage.sql.postgres import server_statements as statements
from moltnet.storage.sql.postgres.database import Connection, PostgresDatabase

_ID_BYTES: Final = 16


@attrs.frozen
class LeaseTimes:
    """When a server counts as dead, in seconds; tests have less patience."""

    valid: float = limits.POSTGRES_LEASE_SECONDS
    renew: float = limits.POSTGRES_RENEW_SECONDS
    margin: float = limits.POSTGRES_LEASE_MARGIN_SECONDS
    beat: float = limits.POSTGRES_BEAT_SECONDS
    settle: float = limits.POSTGRES_SETTLE_SECONDS


USUAL_TIMES: Final = LeaseTimes()


@attrs.define(eq=False)
class Lease:
    """This server's row. ``id`` is a new one after each time that the lease ran out: then nothing is left of before.

    Until ``deadline``, on Trio's clock, nobody else takes over what we hold; in the past before the first renewal.
    """

    times: LeaseTimes
    id: str = attrs.field(init=False, default="")
    deadline: float = attrs.field(init=False, default=-math.inf)
    renewed: trio.Event = attrs.field(init=False, factory=trio.Event)
    _renew_at: float = attrs.field(init=False, default=-math.inf)
    _doubts: Bell = attrs.field(init=False, factory=Bell)

    @property
    def is_held(self) -> bool:
        return trio.current_time() < self.deadline

    def doubt(self) -> None:
        """Renew now, whenever that was to be: the database may have forgotten us."""
        self._doubts.ring()

    async def wait_due(self) -> None:
        """Until it is to be renewed."""
        with trio.move_on_at(self._renew_at):
            await self._doubts.wait()

    async def renew(self, database: PostgresDatabase) -> bool:
        """Say that we are alive. Tells whether we count anew, under another id. Raises ``StorageError``."""
        self._doubts.clear()
        asked_at = trio.current_time()
        fresh_id = secrets.token_hex(_ID_BYTES)
        known_id = self.id

        async def renew(connection: Connection) -> str:
            if known_id and await connection.fetchval(statements.RENEW, known_id, self.times.valid) is not None:
                return known_id
            await connection.execute(statements.JOIN, fresh_id, self.times.valid)
            return fresh_id

        self.id = await database.sign_of_life(renew, self.times.settle)
        self.deadline = asked_at + self.times.valid - self.times.margin
        self._renew_at = asked_at + self.times.renew
        self.renewed.set()
        self.renewed = trio.Event()
        return self.id != known_id
