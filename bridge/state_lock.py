"""The lock on the state of one attachment: one process at a time runs it, or changes what it has kept."""

import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from bridge.errors import StateInUse
from moltnet.config.files import create_directories


@asynccontextmanager
async def hold_state(state_dir: Path, owner: str) -> AsyncIterator[None]:
    """Lock the state of an attachment against other processes. The directory is created if it is missing.

    Raises `StateInUse`, `OSError`.
    """
    lock = await trio.to_thread.run_sync(_lock, state_dir, owner)
    try:
        yield
    finally:
        # A program that is just started has our descriptors for a moment; closing ours alone would leave it locked.
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)


def _lock(state_dir: Path, owner: str) -> int:
    """A descriptor that holds the lock until it is closed; a process that dies lets go of it. The file says who."""
    create_directories(state_dir)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(state_dir / "lock", flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0)
        os.close(descriptor)
        raise StateInUse(owner.partition(":")[2], int(holder) if holder.isdigit() else 0) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor
