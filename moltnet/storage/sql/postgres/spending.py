"""What callers have used up at all servers on one database: a row for each bucket that is not full."""

from collections.abc import Sequence

import attrs
import trio

from moltnet.storage import limits
from moltnet.storage.spending import Spent
from moltnet.storage.sql.postgres import server_statements as statements
from moltnet.storage.sql.postgres.database import Connection, PostgresDatabase
from moltnet.storage.sql.postgres.names import sought


@attrs.define(eq=False)
class Buckets:
    """What ``Spending`` promises."""

    _database: PostgresDatabase
    _settle_seconds: float
    _sweep_at: float = attrs.field(init=False, factory=trio.current_time)

    async def spend(self, spent: Sequence[Spent]) -> Sequence[float]:
        buckets = [sought(each.bucket) for each in spent]
        seconds, missing = [each.seconds for each in spent], [each.missing_seconds for each in spent]
        sweeps = trio.current_time() >= self._sweep_at

        async def count(connection: Connection) -> dict[str, float]:
            if sweeps:
                await connection.execute(statements.FORGET_FULL_BUCKETS)
            return dict(await connection.fetch(statements.SPEND, buckets, seconds, missing))

        full_in = await self._database.settle(count, self._settle_seconds)
        if sweeps:
            self._sweep_at = trio.current_time() + limits.BUCKET_SWEEP_SECONDS
        return [full_in[bucket] for bucket in buckets]

    async def take(self, bucket: str, *, seconds: float, most_seconds: float) -> float:
        missing_seconds: float = await self._database.settle(
            lambda connection: connection.fetchval(statements.TAKE, sought(bucket), seconds, most_seconds),
            self._settle_seconds,
        )
        return max(0.0, missing_seconds - most_seconds)
