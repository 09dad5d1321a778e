"""Files that hold a network: private to their owner, in a directory left as it was, for one server at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from moltnet.storage.store import StoreInUse

PRIVATE_FILE: Final = 0o600
PRIVATE_DIRECTORY: Final = 0o700


def real_path(path: Path) -> Path:
    """One name per store: two links to one file must meet at one lock."""
    return path.expanduser().resolve()


def make_private_directory(directory: Path) -> None:
    """Create what is missing, for the owner only. What exists is not ours to change. Raises ``OSError``."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
        sync_directory(each.parent)


@contextmanager
def server_lock(path: Path, kind: str) -> Iterator[None]:
    """Hold ``<path>.lock``. The kernel lets go of it when the process ends, however it ends.

    ``kind`` says what lies at ``path``: "an SQLite database". Raises ``StoreInUse`` if another server holds it,
    ``OSError``. The lock's file stays: removing it would let two servers lock two files of one name.
    """
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_FILE)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
            raise StoreInUse(
                f"{path} is in use by {f'process {holder}' if holder else 'another process'}: {kind} "
                "serves one server process; stop the other one first"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        # What is just being started has our descriptors for a moment; closing ours alone would leave it locked.
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)


def free_bytes(path: Path) -> int:
    """What this process may still write to the file system of ``path``. Raises ``OSError``."""
    system = os.statvfs(path)
    return system.f_bavail * system.f_frsize


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable. Raises ``OSError``."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
