"""One writer of a configuration file at a time, of all programs on this machine."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from moltnet.config.limits import LOCK_RETRY_SECONDS, LOCK_SECONDS
from moltnet.config.problems import ROOT, ConfigError, Problem


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of ``path``. The lock file stays: removing it would let two writers hold two different ones.

    Blocks. Raises ``ConfigError`` if somebody else holds it for long, and ``OSError``.
    """
    lock = path.with_name(f".{path.name}.lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() > deadline:
                raise ConfigError(path, Problem(ROOT, f"is locked by another program for more than {LOCK_SECONDS:g} s"))
            time.sleep(LOCK_RETRY_SECONDS)
        yield
    finally:
        os.close(descriptor)
