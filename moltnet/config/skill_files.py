"""The skill in an agent's workspace: where each runtime looks for it, reading it, and putting another one there.

Nothing here leaves the workspace: a directory that is a link may lead elsewhere in it and not out of it, and the file
itself may be no link. All functions block on the file system.
"""

import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from moltnet.config.problems import ROOT, ConfigError, Problem
from moltnet.protocol.limits import MAX_SKILL_BYTES

SKILL_PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "openclaw": ("skills/moltnet/SKILL.md",),
    "picoclaw": ("skills/moltnet/SKILL.md",),
    "tinyclaw": (".agents/skills/moltnet/SKILL.md", ".claude/skills/moltnet/SKILL.md"),
    "codex": (".agents/skills/moltnet/SKILL.md", ".codex/skills/moltnet/SKILL.md"),
    "claude-code": (".claude/skills/moltnet/SKILL.md",),
    "pi": (".pi/skills/moltnet/SKILL.md",),
    "command": (".agents/skills/moltnet/SKILL.md",),
}
"""By runtime, from the workspace."""

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def read_skill(workspace: Path, name: str) -> str | None:
    """The skill at ``name`` as it is, ``None`` if there is none. Raises ``ConfigError``."""
    path = workspace / name
    with _reported(path), suppress(FileNotFoundError), _directory(workspace, path, create=False) as directory:
        descriptor = os.open(path.name, _READ, dir_fd=directory)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigError(path, Problem(ROOT, "is not a regular file"))
            data = file.read(MAX_SKILL_BYTES + 1)
        if len(data) > MAX_SKILL_BYTES:
            raise ConfigError(path, Problem(ROOT, f"is larger than {MAX_SKILL_BYTES} bytes, so it is no skill of ours"))
        return data.decode("utf-8", "replace")
    return None


def write_skill(workspace: Path, name: str, text: str) -> Path:
    """Put ``text`` at ``name``, so that a reader, and a crash, sees the old skill or the new one. Returns the file.

    It is readable by its owner only: a network's skill names its rooms. Missing directories are created, mode 0700.
    Raises ``ConfigError``.
    """
    path = workspace / name
    with _reported(path), _directory(workspace, path, create=True) as directory:
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(os.stat(path.name, dir_fd=directory, follow_symlinks=False).st_mode):
                raise ConfigError(path, Problem(ROOT, "is not a regular file, so it is not replaced"))
        temporary = f".{path.name}-{secrets.token_hex(8)}.tmp"
        try:
            descriptor = os.open(temporary, _CREATE, 0o600, dir_fd=directory)
            with open(descriptor, "wb") as file:
                os.fchmod(descriptor, 0o600)
                file.write(text.encode())
                file.flush()
                os.fsync(descriptor)
            os.rename(temporary, path.name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=directory)
            raise
        os.fsync(directory)
    return path


@contextmanager
def _directory(workspace: Path, path: Path, *, create: bool) -> Iterator[int]:
    """A descriptor of the directory that holds ``path``. What it leads through is held meanwhile, not looked up again.

    Raises ``ConfigError`` if that is outside of the workspace, and ``OSError``.
    """
    root = Path(os.path.realpath(workspace))
    there = Path(os.path.realpath(path.parent))
    if not there.is_relative_to(root):
        raise ConfigError(path, Problem(ROOT, f"leads out of the workspace, to {there}; it is not followed"))
    if create:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(root, _DIRECTORY)
    try:
        for part in there.relative_to(root).parts:
            if create:
                with suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=descriptor)
            # No link is left in the resolved path; one that appears now is refused by the system.
            inner = os.open(part, _DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(path, Problem(ROOT, f"cannot be used: {error.strerror or error}")) from error
