"""The dead letters of one attachment in the hands of an operator: look at them, drop them, have them tried again.

It makes no difference to the operator whether the attachment runs: if it does, it takes a wake back at once; if not,
the ledger keeps it for the next start. The files are `bridge.dead_letters` and `bridge.ledger`.
"""

from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import attrs
import trio

from bridge.config import AttachmentConfig
from bridge.dead_letters import DeadLetter, DeadLetters
from bridge.ledger import open_ledger
from bridge.policy import Wake
from bridge.state_lock import hold_state

Retake = Callable[[Sequence[Wake]], Awaitable[None]]


class NotRetryable(Exception):
    """A record of an older version, which does not hold the message. The text says so."""


@attrs.define(eq=False)
class Desk:
    """Made for one attachment, before it runs; `bridge.loop` tells when it does. One operation at a time."""

    _config: AttachmentConfig
    letters: DeadLetters = attrs.field(init=False)
    _retake: Retake | None = attrs.field(default=None, init=False)
    _working: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self.letters = DeadLetters(self._config.state_dir)

    @property
    def owner(self) -> str:
        return f"{self._config.server.network_id}:{self._config.agent.id}"

    @contextmanager
    def attended(self, retake: Retake) -> Iterator[None]:
        """While the block runs, the attachment does, and holds its state; `retake` gives it wakes."""
        self._retake = retake
        try:
            yield
        finally:
            self._retake = None

    async def drop(self, event_ids: Collection[str]) -> tuple[DeadLetter, ...]:
        """Forget these letters; returns those that there were. Raises `StateInUse`, `OSError`."""
        async with self._working:
            chosen = await self._chosen(event_ids)
            if self._retake is not None:
                await self.letters.remove({letter.event_id for letter in chosen})
            elif chosen:
                async with hold_state(self._config.state_dir, self.owner):
                    await self.letters.remove({letter.event_id for letter in chosen})
            return chosen

    async def retry(self, event_ids: Collection[str]) -> tuple[DeadLetter, ...]:
        """Have these tried again, as if they had just come; returns those that there were.

        They are in the ledger before they leave the dead letters, so none is lost in between.

        Raises:
            NotRetryable: one of them is without its message; none was touched.
            TooMuchRetaken, StateInUse, OSError: none is tried again.
        """
        async with self._working:
            chosen = await self._chosen(event_ids)
            wakes = []
            for letter in chosen:
                if letter.wake is None:
                    raise NotRetryable(f"{letter.event_id} was recorded without its message; it can only be dropped")
                wakes.append(letter.wake)
            ids = {letter.event_id for letter in chosen}
            if self._retake is not None:
                await self._retake(wakes)
                await self.letters.remove(ids)
            elif chosen:
                async with open_ledger(self._config.state_dir, self.owner) as ledger:
                    await ledger.retake(wakes)
                    await self.letters.remove(ids)
            return chosen

    async def _chosen(self, wanted: Collection[str]) -> tuple[DeadLetter, ...]:
        """The letters with these event or message ids."""
        found = await self.letters.read()
        return tuple(letter for letter in found if letter.event_id in wanted or letter.message_id in wanted)
