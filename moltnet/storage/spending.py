"""What callers have used up of their rate limits at all servers on one database: a promise of a store that they share.

A *bucket* gains tokens in time; how it is known when it is full again says all about it (see ``moltnet.auth.rates``).
What a limit is and what is done with a refusal is none of this.
"""

from collections.abc import Sequence
from typing import Protocol

import attrs


@attrs.frozen
class Spent:
    """So many seconds of filling were taken out of a bucket here, since that was last said.

    ``missing_seconds``: how many it lacks now, as far as is known here.
    """

    bucket: str
    seconds: float
    missing_seconds: float


class Spending(Protocol):
    """The buckets. Those that are full are forgotten."""

    async def spend(self, spent: Sequence[Spent]) -> Sequence[float]:
        """Count what was spent, each bucket once, and say for each how many seconds it takes to be full.

        Raises ``StorageError``; then it may have been counted, or not.
        """
        ...

    async def take(self, bucket: str, *, seconds: float, most_seconds: float) -> float:
        """Take ``seconds`` out of a bucket that lacks at most ``most_seconds``: 0, or else how long to wait for that.

        Whoever is first has it, among all servers. Raises ``StorageError``.
        """
        ...
