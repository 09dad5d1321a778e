"""The files that SQLite makes and keeps: private to their owner, and still those that were opened."""

import os
import stat
from pathlib import Path
from typing import Final

import attrs

from moltnet.storage.files import PRIVATE_FILE
from moltnet.storage.store import StorageError

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
# Whoever may read one of these reads messages.
_SUFFIXES: Final = ("", "-wal", "-shm", "-journal")


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


def log_bytes(path: Path) -> int:
    """How large the log beside the database is."""
    try:
        return os.stat(f"{path}-wal").st_size
    except OSError:  # it was taken away, which is found out elsewhere
        return 0


def shut_out_others(path: Path) -> None:
    """Take the rights of group and others from a database that is ours and from what lies beside it.

    SQLite gives the files that it makes later the mode of the database. Raises ``OSError``.
    """
    for suffix in _SUFFIXES:
        file = path.with_name(path.name + suffix)
        mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0
        if mode & _OTHERS:
            file.chmod(mode & ~_OTHERS)
