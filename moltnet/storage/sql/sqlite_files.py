"""The files of an SQLite database: private to their owner, in a directory left as it was, for one server at a time."""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

from moltnet.storage.store import StorageError, StoreInUse

PRIVATE_FILE: Final = 0o600
PRIVATE_DIRECTORY: Final = 0o700
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
# Whoever may read one of these reads messages.
_SUFFIXES: Final = ("", "-wal", "-shm", "-journal")


def real_path(path: Path) -> Path:
    """One name per database: two links to one file must meet at one lock."""
    return path.expanduser().resolve()


def make_private_directory(directory: Path) -> None:
    """Create what is missing, for the owner only. What exists is not ours to change. Raises ``OSError``."""
    missing = [each for each in (directory, *directory.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
        _sync_directory(each.parent)


@attrs.frozen
class FileIdentity:
    """Which file ``path`` named when it was opened. While it is open, no other file can get its numbers."""

    path: Path
    device: int
    inode: int

    def check(self) -> None:
        """Raises ``StorageError`` if ``path`` names no file any more, or another one."""
        try:
            status = os.stat(self.path)
        except OSError as error:
            raise StorageError(f"{self.path} is gone: {error.strerror}") from error
        if (status.st_dev, status.st_ino) != (self.device, self.inode):
            raise StorageError(f"{self.path} is gone: another file has taken its place")


def create_private_file(path: Path) -> FileIdentity:
    """Create the database file for its owner only, if it is missing; SQLite would ask the umask. Raises ``OSError``.

    Called before SQLite opens the file: closing any descriptor of it later would drop SQLite's own locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_FILE)
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    return FileIdentity(path, status.st_dev, status.st_ino)


def shut_out_others(path: Path) -> None:
    """Take the rights of group and others from a database that is ours and from what lies beside it.

    SQLite gives the files that it makes later the mode of the database. Raises ``OSError``.
    """
    for suffix in _SUFFIXES:
        file = path.with_name(path.name + suffix)
        mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0
        if mode & _OTHERS:
            file.chmod(mode & ~_OTHERS)


@contextmanager
def database_lock(path: Path) -> Iterator[None]:
    """Hold ``<path>.lock``. The kernel lets go of it when the process ends, however it ends.

    Raises ``StoreInUse`` if another server holds it, ``OSError``. The file stays: removing it would let two servers
    lock two files of one name.
    """
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_FILE)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
            raise StoreInUse(
                f"{path} is in use by {f'process {holder}' if holder else 'another process'}: an SQLite database "
                "serves one server process; stop the other one first"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(lock)


def free_bytes(path: Path) -> int:
    """What this process may still write to the file system of ``path``."""
    system = os.statvfs(path)
    return system.f_bavail * system.f_frsize


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
