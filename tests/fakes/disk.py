"""A disk in memory for a ledger: what is on it, and what goes wrong with it."""

import attrs
import trio

from bridge.ledger import Ledger, LedgerFile
from moltnet.protocol.codec import decode

OWNER = "net:agent-1"


@attrs.define(eq=False)
class Disk:
    """Holds one ledger file. `error` is raised by the next writes; while `stuck`, a write does not end."""

    content: bytes | None = None
    writes: int = 0
    error: OSError | None = None
    stuck: bool = False

    async def save(self, data: bytes) -> None:
        """Written after a checkpoint, as by a thread. As with a thread, cancellation does not interrupt it."""
        with trio.CancelScope(shield=True):
            await trio.lowlevel.checkpoint()
            if self.stuck:
                await trio.sleep_forever()
        if self.error is not None:
            raise self.error
        self.content = data
        self.writes += 1

    def file(self) -> LedgerFile:
        return LedgerFile(OWNER) if self.content is None else decode(self.content, LedgerFile)

    def ledger(self) -> Ledger:
        """The ledger as a process finds it that starts now."""
        return Ledger.of_file(self.file(), self.save)
