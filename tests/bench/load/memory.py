"""What a generator has understood once: many readers get the very same bytes, so most are looked up. No I/O."""

from typing import Final, Generic, TypeVar

Understood = TypeVar("Understood")
# More than what is under way at any time, and little memory: what comes later is other bytes anyway.
MAX_ENTRIES: Final = 512
MAX_BYTES: Final = 1 << 16


class Memory(Generic[Understood]):
    """Received bytes and what they mean, for as many as fit; then it begins anew."""

    def __init__(self) -> None:
        self._known: dict[bytes, Understood] = {}

    def recall(self, data: bytes) -> Understood | None:
        return self._known.get(data)

    def keep(self, data: bytes, meaning: Understood) -> None:
        if len(data) > MAX_BYTES:
            return
        if len(self._known) >= MAX_ENTRIES:
            self._known.clear()
        self._known[data] = meaning
