"""What came of messages that were relayed, on its way into the storage: a few commits for many answers.

Whatever is lost of it is found out again: a message that was delivered and still waits is sent once more, and the other
network takes it for the one that it has.
"""

from collections.abc import Callable

import attrs
import trio

from moltnet.backoff import backoff_delays
from moltnet.journal import Journal, JournalClosed
from moltnet.log import get_logger
from moltnet.pairing.relay_limits import (
    LAST_SETTLE_SECONDS,
    MAX_UNSETTLED_ROWS,
    SETTLE_PAUSE_SECONDS,
    SETTLE_RETRY_BASE_SECONDS,
    SETTLE_RETRY_CAP_SECONDS,
)
from moltnet.storage.outbox import RelayState, SettleRelays
from moltnet.storage.store import StorageError

log = get_logger("relay")


@attrs.define(eq=False)
class Settlements:
    """Those of one pairing. Recording never waits; ``on_settled`` is called after each commit."""

    pairing_id: str
    journal: Journal
    on_settled: Callable[[], None]
    _delivered: list[int] = attrs.field(factory=list, init=False)
    _changed: dict[int, RelayState] = attrs.field(factory=dict, init=False)
    _some: trio.Event = attrs.field(factory=trio.Event, init=False)

    @property
    def are_many(self) -> bool:
        """Whether so much is unsettled that nothing more should be sent."""
        return len(self._delivered) + len(self._changed) >= MAX_UNSETTLED_ROWS

    def delivered(self, seq: int) -> None:
        self._changed.pop(seq, None)
        self._delivered.append(seq)
        self._some.set()

    def changed(self, seq: int, state: RelayState) -> None:
        self._changed[seq] = state
        self._some.set()

    async def keep_writing(self) -> None:
        """Write what is recorded, until cancelled; what is left then is written in a short while, or not at all."""
        try:
            while True:
                await self._some.wait()
                await self._write_patiently()
                await trio.sleep(SETTLE_PAUSE_SECONDS)
        finally:
            with trio.move_on_after(LAST_SETTLE_SECONDS, shield=True):
                try:
                    await self._write()
                except (StorageError, JournalClosed) as error:
                    log.info("messages will be relayed again", pairing=self.pairing_id, reason=str(error))

    async def _write_patiently(self) -> None:
        """Raises ``JournalClosed``."""
        for delay_seconds in backoff_delays(
            base_seconds=SETTLE_RETRY_BASE_SECONDS, cap_seconds=SETTLE_RETRY_CAP_SECONDS
        ):
            try:
                return await self._write()
            except StorageError as error:
                log.warning("what was relayed can't be noted", pairing=self.pairing_id, reason=str(error))
            await trio.sleep(delay_seconds)

    async def _write(self) -> None:
        """One commit. If it fails, or is cancelled, everything is as before."""
        delivered, changed = tuple(self._delivered), dict(self._changed)
        if not delivered and not changed:
            return
        await self.journal.commit(SettleRelays(self.pairing_id, delivered, tuple(changed.items())))
        self._some = trio.Event()
        del self._delivered[: len(delivered)]
        for seq, state in changed.items():
            if self._changed.get(seq) is state:
                del self._changed[seq]
        self.on_settled()
        if self._delivered or self._changed:
            self._some.set()
