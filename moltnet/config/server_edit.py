"""Changing a ``Moltnet`` file by program: whole or not at all, private, and never into one that no server would load.

How the text is changed is ``splice``. All functions block on the file system; call them in a thread under an event
loop.
"""

import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Final

import attrs

from moltnet.config.documents import parse_document
from moltnet.config.files import ConfigFile, create_private, read_config_file, sync_directory
from moltnet.config.locks import locked
from moltnet.config.problems import ROOT, ConfigError, Problem
from moltnet.config.server import MoltnetConfig, load_server_config
from moltnet.config.splice import CannotSplice, Change, spliced

_BY_HAND: Final = "is not changed by program, because {}; write it there by hand"
PAIRINGS_VARIABLE: Final = "MOLTNET_PAIRINGS_JSON"


@attrs.frozen
class Edit:
    """A change that was made, or would be. ``config`` is what a server now loads."""

    path: Path
    before: bytes = attrs.field(repr=False)
    after: bytes = attrs.field(repr=False)
    config: MoltnetConfig


def edit_server_config(
    path: Path, changes: Sequence[Change], environ: Mapping[str, str], cwd: Path, *, dry_run: bool = False
) -> Edit:
    """Make the changes in the file at ``path``, which is readable by its owner only from then on.

    Comments and order stay. The result is loaded, with ``environ`` and ``cwd`` as a server has them, before it replaces
    the file; ``dry_run`` stops there. Raises ``ConfigError``, with the file as it was.
    """
    if environ.get(PAIRINGS_VARIABLE, "").strip():
        raise ConfigError(path, Problem(PAIRINGS_VARIABLE, "replaces the pairings of the file; unset it first"))
    try:
        with locked(path):
            file = read_config_file(path)
            if file.is_symlink:
                raise ConfigError(
                    path, Problem(ROOT, "is a symlink, which must not hold secrets; name the file itself")
                )
            after = _changed(file, changes)
            return Edit(path, file.data, after, _replaced(file, after, environ, cwd, dry_run=dry_run))
    except OSError as error:
        raise ConfigError(path, Problem(ROOT, f"cannot be written: {error.strerror or error}")) from error


def undo(edit: Edit) -> bool:
    """Put back what was there before, unless somebody has changed the file since. Raises ``ConfigError``."""
    try:
        with locked(edit.path):
            file = read_config_file(edit.path)
            if file.data != edit.after:
                return False
            temporary = _written(file, edit.before)
            temporary.replace(edit.path)
            sync_directory(edit.path.parent)
            return True
    except OSError as error:
        raise ConfigError(edit.path, Problem(ROOT, f"cannot be written: {error.strerror or error}")) from error


def _changed(file: ConfigFile, changes: Sequence[Change]) -> bytes:
    """The new text. What it says must be exactly what was there, and the changes."""
    before = parse_document(file.data, is_json=file.is_json)
    if before.problems or not isinstance(before.root, dict):
        raise ConfigError(file.path, *(before.problems or (Problem(ROOT, "must hold keys and values"),)))
    wanted = deepcopy(before.root)
    try:
        for change in changes:
            change.applied(wanted)
        after = spliced(file.data.decode("utf-8"), changes, is_json=file.is_json).encode()
    except (CannotSplice, KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        reason = str(error) if isinstance(error, CannotSplice) else "it is not written as expected"
        raise ConfigError(file.path, Problem(ROOT, _BY_HAND.format(reason))) from error
    found = parse_document(after, is_json=file.is_json)
    if found.problems or found.root != wanted:
        raise ConfigError(file.path, Problem(ROOT, _BY_HAND.format("something else would change as well")))
    return after


def _replaced(file: ConfigFile, after: bytes, environ: Mapping[str, str], cwd: Path, *, dry_run: bool) -> MoltnetConfig:
    temporary = _written(file, after)
    try:
        try:
            config = load_server_config(temporary, environ, cwd)
        except ConfigError as error:
            raise ConfigError(file.path, *error.problems) from None
        if not dry_run:
            temporary.replace(file.path)
    finally:
        temporary.unlink(missing_ok=True)
    if not dry_run:
        sync_directory(file.path.parent)
    return attrs.evolve(config, source=file.path)


def _written(file: ConfigFile, data: bytes) -> Path:
    """A private file beside ``file`` with other content and the same owner. Raises ``OSError``, ``ConfigError``."""
    temporary = file.path.with_name(f".{secrets.token_hex(8)}-{file.path.name[-64:]}")
    create_private(temporary, data)
    try:
        made = temporary.stat()
        if (made.st_uid, made.st_gid) != (file.status.st_uid, file.status.st_gid):
            os.chown(temporary, file.status.st_uid, file.status.st_gid, follow_symlinks=False)
        assert not stat.S_IMODE(made.st_mode) & 0o077
    except PermissionError as error:
        temporary.unlink(missing_ok=True)
        problem = Problem(ROOT, "belongs to another user or group; change it as that one")
        raise ConfigError(file.path, problem) from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary
