"""What `backup`, `restore`, `export` and `import` share: the server's store, progress on stderr, and how errors end."""

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import attrs
import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.output import is_for_people, print_json, print_lines, print_note
from moltnet.config.server import load_server_config
from moltnet.config.settings import MoltnetConfig
from moltnet.protocol.codec import unstructure
from moltnet.storage.backup import format as backup_format
from moltnet.storage.backup.format import BackupDamaged, Counts, Header
from moltnet.storage.backup.target import StoreNotEmpty
from moltnet.storage.backup.transfer import WrongContent
from moltnet.storage.factory import UnsupportedStorage
from moltnet.storage.store import StorageError, StorageFull, StoreInUse, WrongNetwork

T = TypeVar("T")

_WORDS = {
    "room": "rooms",
    "agent": "agents",
    "session": "sessions",
    "pair_network": "pair tokens",
    "approval": "approvals",
    "mark": "marks",
    "thread": "threads",
    "direct": "direct conversations",
    "message": "messages",
    "event": "other events",
    "relay": "relays",
}


def server_config() -> MoltnetConfig:
    """The configuration of the server that `moltnet start` would run here. Raises `ConfigError`."""
    config = load_server_config(None, os.environ, Path.cwd())
    for notice in config.notices:
        print_note(f"note: {notice}")
    return config


def transfer(title: str, path: Path, run: Callable[[backup_format.Progress], Awaitable[T]]) -> T:
    """Run a transfer from or to a file, with a bar on stderr if that is a terminal. Raises `CommandFailed`."""
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        try:
            return trio.run(run, show)
        except StorageError as error:
            about_file = isinstance(error, BackupDamaged | WrongNetwork)
            raise CommandFailed(_exit_code(error), f"{path}: {error}" if about_file else str(error)) from error
        except FileExistsError as error:
            raise CommandFailed(
                ExitCode.CONFLICT, f"{error.filename} exists already; choose another name, or add --overwrite"
            ) from error
        except FileNotFoundError as error:
            raise CommandFailed(ExitCode.NOT_FOUND, f"{error.filename}: there is no such file or directory") from error
        except OSError as error:
            if error.filename is not None:
                raise
            # A write that fails does not say to which file.
            raise CommandFailed(ExitCode.INTERNAL, f"{path}: {error.strerror or error}") from error


def show_result(path: Path, done: str, header: Header, more: dict[str, object], *, as_json: bool) -> None:
    """Say what was done: a line for people, all of it as JSON for programs."""
    if is_for_people(as_json):
        print_lines([f"{done} {path}: network {header.network_id}, {_described(header.counts)}"])
        return
    print_json(
        {
            "file": str(path),
            "content": header.content,
            "network_id": header.network_id,
            "created_at": header.created_at,
            "counts": unstructure(header.counts),
            **more,
        }
    )


def _described(counts: Counts) -> str:
    found = [f"{count} {_WORDS[name]}" for name, count in attrs.asdict(counts).items() if count]
    return ", ".join(text.removesuffix("s") if text.startswith("1 ") else text for text in found) or "empty"


def _exit_code(error: StorageError) -> ExitCode:
    match error:
        case BackupDamaged() | WrongContent() | WrongNetwork() | UnsupportedStorage():
            return ExitCode.USAGE
        case StoreNotEmpty() | StoreInUse():
            return ExitCode.CONFLICT
        case StorageFull():
            return ExitCode.INTERNAL
    return ExitCode.SERVER
