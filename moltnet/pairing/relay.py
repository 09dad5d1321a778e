"""Relaying over all pairings: a service beside each of them, woken by what is committed (design §3.14).

Of all servers on one database, one relays over a pairing at a time. How a pairing comes to work and ends is ``links``,
what one does with what waits is ``courier``.
"""

from collections.abc import Iterator

import attrs
import trio

from moltnet.backoff import backoff_delays
from moltnet.journal import Journal, JournalClosed
from moltnet.log import get_logger, leaves_of
from moltnet.metrics import RelayMetrics
from moltnet.pairing.bell import Bell
from moltnet.pairing.courier import Courier, Way
from moltnet.pairing.relay_limits import SETTLE_RETRY_BASE_SECONDS, SETTLE_RETRY_CAP_SECONDS
from moltnet.protocol.times import WallClock
from moltnet.storage.outbox import ANY_PAIRING
from moltnet.storage.store import Committed, StorageError, Store

log = get_logger("relay")


@attrs.define(eq=False)
class _Post:
    """Where one pairing's courier is at work: how to call it, and how to let it begin again."""

    bell: Bell = attrs.field(factory=Bell)
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)


@attrs.define(eq=False)
class Relay:
    """Calls and runs the couriers. ``serve`` is a service for ``moltnet.pairing.links``."""

    store: Store
    wall_clock: WallClock
    metrics: RelayMetrics
    _posts: dict[str, _Post] = attrs.field(factory=dict, init=False)

    def heard(self, committed: Committed) -> None:
        """Something was committed, here or by another server. Never waits; costs nothing without anything to relay."""
        if not committed.relayed and not committed.retried_relays:
            return
        for pairing_id, post in self._posts.items():
            if pairing_id in committed.retried_relays:
                # It waits again where the courier has been.
                post.scope.cancel(reason="dead letters are tried again")
            elif pairing_id in committed.relayed or ANY_PAIRING in committed.relayed:
                post.bell.ring_news()

    def look_again(self, pairing_id: str) -> None:
        """What is known of a paired network has changed: perhaps what waits may go now."""
        post = self._posts.get(pairing_id)
        if post is not None:
            post.bell.ring()

    async def serve(self, way: Way, journal: Journal) -> None:
        """Relay over one way until cancelled, or until the journal closes. Trouble with the storage is waited out."""
        delays = _delays()
        while True:
            began = trio.current_time()
            try:
                async with self.store.owned(f"relay/{way.id}"):
                    await self._relay(way, journal)
            except StorageError as error:
                log.warning("relaying begins again", pairing=way.id, reason=str(error))
            except ExceptionGroup as group:
                expected, bugs = group.split((StorageError, JournalClosed))
                if bugs is not None or expected is None:
                    raise
                if any(isinstance(leaf, JournalClosed) for leaf in leaves_of(expected)):
                    return
                log.warning("relaying begins again", pairing=way.id, reason=str(next(leaves_of(expected))))
            if trio.current_time() - began > SETTLE_RETRY_CAP_SECONDS:
                delays = _delays()
            await trio.sleep(next(delays))

    async def _relay(self, way: Way, journal: Journal) -> None:
        """Run couriers one after the other; a new one begins at the beginning."""
        while True:
            post = self._posts[way.id] = _Post()
            try:
                with post.scope:
                    await Courier(way, self.store, journal, self.wall_clock, self.metrics, post.bell).run()
            finally:
                del self._posts[way.id]


def _delays() -> Iterator[float]:
    return backoff_delays(base_seconds=SETTLE_RETRY_BASE_SECONDS, cap_seconds=SETTLE_RETRY_CAP_SECONDS)
