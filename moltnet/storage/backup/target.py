"""What every store asks before it is filled: that nothing is in it."""

from moltnet.storage.records import DirectoryContents, EventBounds
from moltnet.storage.store import StorageError, Store


class StoreNotEmpty(StorageError):
    """There is a network in it already, which nothing of ours overwrites."""


async def require_empty(store: Store, name: str) -> None:
    """Raises ``StoreNotEmpty``."""
    is_empty = await store.event_bounds() == EventBounds(0, 0)
    if not is_empty or await store.load_directory() != DirectoryContents((), ()):
        raise StoreNotEmpty(f"{name} is not empty: choose a new one, or move this one away")
