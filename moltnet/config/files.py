"""Configuration files on disk: finding, reading and privately writing them.

A file that holds secrets must be private; whether it does is known only after it was decoded, so everything that the
rule needs is taken from the descriptor that was read. What is inside is the business of ``documents`` and ``shapes``.

All functions block on the file system, briefly: they run before a program starts its event loop, or in a thread.
"""

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from moltnet.config.limits import MAX_CONFIG_BYTES
from moltnet.config.problems import ROOT, ConfigError, Problem

__all__ = [
    "ConfigError",
    "ConfigFile",
    "Problem",
    "create_directories",
    "create_private",
    "discover",
    "read_config_file",
    "read_file",
    "rebased",
    "sync_directory",
    "write_private",
]

_OPEN_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # O_NONBLOCK: a named pipe must not hold us


@attrs.frozen
class ConfigFile:
    """A file as it was when its bytes were read. ``is_symlink`` speaks of the last part of ``path`` only."""

    path: Path
    data: bytes
    status: os.stat_result
    is_symlink: bool

    @property
    def is_json(self) -> bool:
        return self.path.suffix.lower() == ".json"

    def privacy_problems(self) -> Iterator[str]:
        """Why this file must not hold secrets: who else could read it, or put another one in its place."""
        if self.is_symlink:
            yield "must not be a symlink when it holds secrets"
        if self.status.st_mode & 0o077:
            yield f"must not be accessible by group or others when it holds secrets (chmod 600 {self.path})"
        # Root reads everything anyway, and in containers files of a host often belong to nobody it knows.
        if os.geteuid() not in (0, self.status.st_uid) and self.status.st_uid != 0:
            yield "must belong to you or to root when it holds secrets"
        directory = self.path.parent.stat().st_mode
        if directory & stat.S_IWOTH and not directory & stat.S_ISVTX:
            yield "must not lie in a directory that everyone may write to when it holds secrets"


def discover(
    *,
    explicit: Path | None,
    variable: str,
    names: Sequence[str],
    environ: Mapping[str, str],
    cwd: Path,
    skip_directories: bool = True,
) -> Path | None:
    """The configuration file to use: ``explicit``, else what the environment names, else the first of ``names`` in
    ``cwd``, else ``None``. A named file is returned without looking; a blank variable counts as unset.

    Raises ``ConfigError`` if a candidate cannot be looked at, or is a directory and ``skip_directories`` is false.
    """
    if explicit is not None:
        return cwd / explicit
    if named := environ.get(variable, "").strip():
        return cwd / named
    for candidate in (cwd / name for name in names):
        try:
            mode = candidate.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise _config_error(candidate, error) from error
        if stat.S_ISDIR(mode) and skip_directories:
            continue
        return candidate
    return None


def read_config_file(path: Path) -> ConfigFile:
    """Read a whole file. Raises ``ConfigError``."""
    try:
        return read_file(path, max_bytes=MAX_CONFIG_BYTES)
    except OSError as error:
        raise _config_error(path, error) from error


def read_file(path: Path, *, max_bytes: int) -> ConfigFile:
    """Read a regular file of at most ``max_bytes``, following a symlink but remembering it.

    Raises ``OSError``, with ``EISDIR``, ``EINVAL`` (not a file) or ``EFBIG`` among the reasons.
    """
    descriptor, is_symlink = _open(path)
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, "is a directory", str(path))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(max_bytes + 1)
    finally:
        os.close(descriptor)
    if len(data) > max_bytes:
        raise OSError(errno.EFBIG, f"is larger than {max_bytes} bytes", str(path))
    return ConfigFile(path, data, status, is_symlink)


def _open(path: Path) -> tuple[int, bool]:
    try:
        return os.open(path, _OPEN_FLAGS | os.O_NOFOLLOW), False
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
    return os.open(path, _OPEN_FLAGS), True


def rebased(text: str, directory: Path) -> Path:
    """The path that a file in ``directory`` means by ``text``: absolute as it is, relative from there."""
    return Path(os.path.normpath(directory / text))


def write_private(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path`` so that a reader, and a crash, sees the old file or the new one, readable by us only.

    Missing directories are created with mode 0700; existing ones keep theirs. Raises ``OSError``, also when ``path``
    is a symlink or anything else that is not a regular file.
    """
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
    create_directories(path.parent)
    temporary = path.with_name(f".{path.name[:64]}-{secrets.token_hex(8)}.tmp")
    try:
        create_private(temporary, data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def create_private(path: Path, data: bytes) -> None:
    """Create ``path`` with mode 0600 and flush it to disk. Raises ``FileExistsError`` for anything there, links too."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        # A umask can only take bits away, and an unreadable file of our own is as useless as a public one is bad.
        os.fchmod(descriptor, 0o600)
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def create_directories(directory: Path) -> None:
    """Create what is missing of ``directory`` with mode 0700 and leave what exists as it is. Raises ``OSError``."""
    if directory.is_dir():
        return
    create_directories(directory.parent)
    with suppress(FileExistsError):
        directory.mkdir(mode=0o700)
        sync_directory(directory.parent)


def sync_directory(directory: Path) -> None:
    """Make sure that names which were put into ``directory`` survive a crash."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _config_error(path: Path, error: OSError) -> ConfigError:
    match error:
        case FileNotFoundError():
            message = "no such file"
        case _:
            message = error.strerror or "cannot be read"
    return ConfigError(path, Problem(ROOT, message[:1].lower() + message[1:]))
