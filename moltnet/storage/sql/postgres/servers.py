"""What servers on one database settle among themselves: the tasks that say we are alive, ask for what is wanted, and
look at what the others did. What is settled stands in ``lease``, ``owners``, ``seats`` and ``spending``."""

import math
from contextlib import suppress

import attrs
import trio

from moltnet.log import get_logger
from moltnet.storage import limits
from moltnet.storage.bell import Bell
from moltnet.storage.sql.postgres import server_statements as statements
from moltnet.storage.sql.postgres.database import PostgresDatabase
from moltnet.storage.sql.postgres.failures import Collision
from moltnet.storage.sql.postgres.lease import Lease, LeaseTimes
from moltnet.storage.sql.postgres.owners import Owners
from moltnet.storage.sql.postgres.seats import Seats
from moltnet.storage.sql.postgres.spending import Buckets
from moltnet.storage.store import StorageError

log = get_logger("storage")


@attrs.define(eq=False)
class Servers:
    """This server among the others."""

    database: PostgresDatabase
    times: LeaseTimes
    lease: Lease = attrs.field(init=False)
    owners: Owners = attrs.field(init=False)
    seats: Seats = attrs.field(init=False)
    buckets: Buckets = attrs.field(init=False)
    _bell: Bell = attrs.field(init=False, factory=Bell)
    _look_at: float = attrs.field(init=False, default=-math.inf)
    _sweeps: bool = attrs.field(init=False, default=False)
    _scope: trio.CancelScope = attrs.field(init=False, factory=trio.CancelScope)
    _connections: int = attrs.field(init=False, default=0)
    _is_cut_off: bool = attrs.field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self.lease = Lease(self.times)
        self.owners = Owners(self.database, self.lease, self._bell)
        self.seats = Seats(self.database, self.lease, self._bell)
        self.buckets = Buckets(self.database, self.times.settle)

    async def join(self) -> None:
        """Be one of the servers. Raises ``StorageError``."""
        await self.lease.renew(self.database)
        self._connections = self.database.settling_connections

    async def run(self) -> None:
        """For as long as the store is open."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_living)
                nursery.start_soon(self._keep_settling)
                nursery.start_soon(self._keep_watching)

    async def leave(self) -> None:
        """Let go of everything, so that others need not wait for the lease to end."""
        self._scope.cancel(reason="the store is closed")
        with trio.CancelScope(shield=True), suppress(StorageError):
            # What ended just now was reported as ended; nobody else need do that.
            await self.seats.settle()
            # After a renewal that is under way, which might bring it back.
            await self.database.sign_of_life(
                lambda connection: connection.execute(statements.LEAVE, self.lease.id), limits.POSTGRES_CLOSE_SECONDS
            )

    async def _keep_living(self) -> None:
        """Renew the lease, which waits for nothing that the other task does: else a busy server would seem dead."""
        while True:
            await self.lease.wait_due()
            try:
                counts_anew = await self.lease.renew(self.database)
            except StorageError:  # the other task meets it too, and tells the log
                await trio.sleep(self.times.beat)
                self.lease.doubt()
                continue
            if counts_anew:
                self.owners.lose()
                self.seats.lose()
            else:
                self.owners.put_off()
            self._sweeps = True
            self._bell.ring()

    async def _keep_settling(self) -> None:
        """Say what is to be said as soon as it is, and look at what others said with every beat."""
        while True:
            self._bell.clear()
            try:
                await self._settle()
            except StorageError as error:
                self._note_failure(error)
                await trio.sleep(self.times.beat)
            else:
                self._note_success()
                with trio.move_on_at(self._look_at):
                    await self._bell.wait()

    async def _keep_watching(self) -> None:
        """Tell when the lease has run out, whatever the other tasks wait for."""
        while True:
            renewed = self.lease.renewed
            if self.lease.is_held:
                await trio.sleep_until(self.lease.deadline)
                continue
            if self.lease.id:
                self.seats.cut_off()
            await renewed.wait()

    async def _settle(self) -> None:
        if self._sweeps:
            self._sweeps = False
            await self.database.settle(
                lambda connection: connection.execute(statements.FORGET_FREE_SEATS, limits.POSTGRES_FREE_SEAT_SECONDS),
                self.times.settle,
            )
        await self.owners.settle()
        await self.seats.settle()
        if trio.current_time() >= self._look_at:
            await self.seats.look()
            self._look_at = trio.current_time() + self.times.beat
        if self._connections != self.database.settling_connections:
            self._connections = self.database.settling_connections
            self.seats.doubt_all()
            self._bell.ring()

    def _note_failure(self, error: StorageError) -> None:
        self.lease.doubt()
        # Two servers that were in each other's way are no news.
        if isinstance(error, Collision):
            return
        self.seats.doubt_all()
        if not self._is_cut_off:
            self._is_cut_off = True
            log.warning("can't settle anything with the other servers", reason=str(error))

    def _note_success(self) -> None:
        if self._is_cut_off:
            self._is_cut_off = False
            log.info("this server is one of the others again")
