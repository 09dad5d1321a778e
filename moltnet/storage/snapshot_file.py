"""One file that is only ever replaced whole: private, locked, synced, and never overwritten unless it is ours.

What stands in it is ``snapshot_format``'s business. All of this blocks; it runs in threads.
"""

import errno
import glob
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final

import attrs

from moltnet.storage import limits
from moltnet.storage.files import PRIVATE_FILE, free_bytes, make_private_directory, server_lock, sync_directory
from moltnet.storage.store import StorageError, StorageFull

# A file size limit is a quota, and a directory that lost its rights may get them back.
_NO_ROOM_OR_RIGHT: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM})
_PROBE: Final = b"\0" * 4096
_TEMPORARY: Final = ".tmp"


@contextmanager
def open_snapshot_file(path: Path) -> Iterator["SnapshotFile"]:
    """Lock ``path`` for this server. Missing directories are created, the file is not.

    Raises ``StoreInUse``, ``StorageError``.
    """
    with ExitStack() as opened:
        with _failing_to("write", path):
            make_private_directory(path.parent)
            opened.enter_context(server_lock(path, "a JSON file"))
            file = SnapshotFile(path)
            file.remove_leftovers()
        yield file


@attrs.frozen
class _Version:
    """Which content a path had: a program that writes a file changes one of these."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "_Version":
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@attrs.define(eq=False)
class SnapshotFile:
    """The file while we hold its lock."""

    path: Path
    _version: _Version | None = attrs.field(init=False, default=None)

    def read(self) -> bytes | None:
        """The content; ``None`` if there is no file. Raises ``StorageError``."""
        with _failing_to("read", self.path):
            try:
                with self.path.open("rb") as file:
                    content = file.read()
                    self._version = _Version.of(os.fstat(file.fileno()))
                    return content
            except FileNotFoundError:
                return None

    def shut_out_others(self) -> None:
        """Take the rights of group and others from a file that turned out to be ours. Raises ``StorageError``."""
        with _failing_to("write", self.path):
            if stat.S_IMODE(self.path.stat().st_mode) & ~PRIVATE_FILE:
                self.path.chmod(PRIVATE_FILE)

    def keep_copy(self, suffix: str) -> None:
        """Give the present content a second name, ``<path>.<suffix>`` or one with a number. Raises ``StorageError``."""
        with _failing_to("write", self.path):
            for number in count(1):
                name = f"{self.path.name}.{suffix}" if number == 1 else f"{self.path.name}.{suffix}-{number}"
                with suppress(FileExistsError):
                    os.link(self.path, self.path.with_name(name))
                    break
            sync_directory(self.path.parent)

    def replace(self, content: Iterable[bytes]) -> None:
        """Make ``content`` the file, durably.

        If it raises, the file holds what it held; only if its directory could not be synced, it may hold either.
        Raises ``StorageFull`` if there is no room or no right to write, ``StorageError``.
        """
        with _failing_to("write", self.path), self._temporary_file() as (descriptor, temporary):
            with open(descriptor, "wb", buffering=limits.JSON_BUFFER_BYTES, closefd=False) as file:
                file.writelines(content)
            os.fsync(descriptor)
            self.check()
            os.replace(temporary, self.path)
            self._version = _Version.of(os.fstat(descriptor))
            sync_directory(self.path.parent)

    def check(self) -> None:
        """Raises ``StorageError`` if the path does not hold what was last read or written here.

        Somebody has removed, restored or edited the file: it is theirs until the server is started again.
        """
        with _failing_to("read", self.path):
            try:
                found = _Version.of(self.path.stat())
            except FileNotFoundError:
                found = None
        if found == self._version:
            return
        if found is None:
            raise StorageError(
                f"{self.path} is gone; put it back, or restart the server to begin with an empty network"
            )
        raise StorageError(f"{self.path} was changed by another program; restart the server to go on with its content")

    def check_room(self) -> None:
        """Prove that a file can be written here, and that there is room for another copy of this one.

        Raises ``StorageFull``, ``StorageError``.
        """
        self.check()
        with _failing_to("write", self.path):
            with self._temporary_file() as (descriptor, _):
                os.write(descriptor, _PROBE)
                os.fsync(descriptor)
            free = free_bytes(self.path.parent)
        needed = limits.MIN_FREE_BYTES + (0 if self._version is None else self._version.size_bytes)
        if free < needed:
            raise StorageFull(f"only {free} bytes are free where {self.path} is, and a commit may need {needed}")

    def remove_leftovers(self) -> None:
        """Remove what writers left that were killed: nobody else writes while we hold the lock. Raises ``OSError``."""
        for leftover in self.path.parent.glob(f"{glob.escape(self._prefix)}*{_TEMPORARY}"):
            leftover.unlink()

    @property
    def _prefix(self) -> str:
        return f".{self.path.name}."

    @contextmanager
    def _temporary_file(self) -> Iterator[tuple[int, str]]:
        """A new file beside ours, for its owner only. It is removed unless it was renamed."""
        descriptor, temporary = tempfile.mkstemp(prefix=self._prefix, suffix=_TEMPORARY, dir=self.path.parent)
        try:
            yield descriptor, temporary
        finally:
            os.close(descriptor)
            with suppress(OSError):  # it was renamed, or the next server removes it
                os.unlink(temporary)


@contextmanager
def _failing_to(verb: str, path: Path) -> Iterator[None]:
    """Report what the system refuses as an error of the storage."""
    try:
        yield
    except OSError as error:
        kind = StorageFull if verb == "write" and error.errno in _NO_ROOM_OR_RIGHT else StorageError
        raise kind(f"can't {verb} {path}: {error.strerror}") from error
