"""Who does the work that only one of all servers may do, by name: rows that count as long as their server's lease.

Tasks of one server take turns before they ask the database. What a server owns ends at the deadline of its lease, which
each renewal puts off, and at once when the lease has run out.
"""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from moltnet.storage.bell import Bell
from moltnet.storage.ownership import LocalOwners
from moltnet.storage.sql.postgres import server_statements as statements
from moltnet.storage.sql.postgres.database import PostgresDatabase
from moltnet.storage.sql.postgres.lease import Lease
from moltnet.storage.store import OwnershipLost


@attrs.define(eq=False)
class _Claim:
    """What one task wants, or has: it has it from ``granted`` on, and may work in ``scope``."""

    granted: trio.Event = attrs.field(init=False, factory=trio.Event)
    scope: trio.CancelScope = attrs.field(init=False, factory=trio.CancelScope)


@attrs.define(eq=False)
class Owners:
    """What this server owns, waits for, and must still let go of. One task calls ``settle``; the bell wakes it."""

    _database: PostgresDatabase
    _lease: Lease
    _bell: Bell
    _local: LocalOwners = attrs.field(init=False, factory=LocalOwners)
    _wanted: dict[str, _Claim] = attrs.field(init=False, factory=dict)
    _held: dict[str, _Claim] = attrs.field(init=False, factory=dict)
    # What the database may still say is ours. Letting go waits for nothing, and is tried until it is done.
    _left: set[str] = attrs.field(init=False, factory=set)
    _try_at: float = attrs.field(init=False, default=-math.inf)

    @asynccontextmanager
    async def owned(self, name: str) -> AsyncIterator[None]:
        """What ``Store.owned`` promises."""
        async with self._local.owned(name):
            claim = _Claim()
            try:
                self._wanted[name] = claim
                self._try_at = -math.inf
                self._bell.ring()
                await claim.granted.wait()
                with claim.scope:
                    yield
            finally:
                self._wanted.pop(name, None)
                self._held.pop(name, None)
                self._left.add(name)
                self._bell.ring()
        if claim.scope.cancelled_caught:
            raise OwnershipLost(f'the database was out of reach for too long to go on owning "{name}"')

    def put_off(self) -> None:
        """The lease was renewed."""
        for claim in self._held.values():
            claim.scope.deadline = self._lease.deadline

    def lose(self) -> None:
        """The lease had run out: others may own what we did."""
        for claim in self._held.values():
            claim.scope.cancel(reason="another server may own it by now")
        self._held.clear()
        self._left.clear()

    async def settle(self) -> None:
        """Let go of what is not ours any more, and try to get what is wanted. Raises ``StorageError``."""
        server_id, times = self._lease.id, self._lease.times
        left = self._left.difference(self._wanted, self._held)
        if left:
            await self._database.settle(
                lambda connection: connection.execute(statements.DISOWN, server_id, list(left)), times.settle
            )
            self._left -= left
        if not self._wanted or trio.current_time() < self._try_at:
            return
        self._try_at = trio.current_time() + times.beat
        names = list(self._wanted)
        found = await self._database.settle(
            lambda connection: connection.fetch(statements.OWN, server_id, names), times.settle
        )
        for (name,) in found:
            claim = self._wanted.get(name)
            if claim is None or not self._lease.is_held or server_id != self._lease.id:
                # Whoever wanted it has gone meanwhile, or the answer came too late to count on.
                self._left.add(name)
                continue
            del self._wanted[name]
            claim.scope.deadline = self._lease.deadline
            self._held[name] = claim
            claim.granted.set()
