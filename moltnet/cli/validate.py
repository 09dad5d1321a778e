"""``moltnet validate``: every rule of every configuration file, without starting anything or asking a server."""

import os
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import attrs
import click

from moltnet.config.client import CONFIG_NAMES as CLIENT_NAMES
from moltnet.config.client import load_client_config
from moltnet.config.documents import parse_document
from moltnet.config.files import discover, read_config_file
from moltnet.config.problems import ROOT, ConfigError, Problem
from moltnet.config.server import CONFIG_NAMES as SERVER_NAMES
from moltnet.config.server import load_server_config
from moltnet.storage.factory import AVAILABLE_KINDS

CONFIG_EXIT_CODE: Final = 2


class ConfigKind(StrEnum):
    SERVER = "moltnet.v1"
    NODE = "moltnet.node.v1"
    BRIDGE = "moltnet.bridge.v1"
    CLIENT = "moltnet.client.v1"


@attrs.frozen
class Validated:
    """A file that every rule accepts, and remarks about it."""

    path: Path
    notices: tuple[str, ...] = ()


@click.command
@click.argument("path", type=click.Path(path_type=Path), default=".")
def validate(path: Path) -> None:
    """Check configuration files: one file of any kind, or those in a directory (default: here)."""
    failed = False
    try:
        found = config_files(path, Path.cwd())
    except ConfigError as error:
        click.echo(str(error), err=True)
        raise SystemExit(CONFIG_EXIT_CODE) from error
    for file, kind in found.items():
        try:
            validated = check_file(file, kind, os.environ, Path.cwd())
        except ConfigError as error:
            click.echo(str(error), err=True)
            failed = True
        else:
            for notice in validated.notices:
                click.echo(f"note: {file}: {notice}", err=True)
            click.echo(f"validated {file}{_unexpected(file, kind)}")
    if failed:
        raise SystemExit(CONFIG_EXIT_CODE)


def config_files(path: Path, cwd: Path) -> dict[Path, ConfigKind]:
    """The files that ``path`` stands for, each with its kind. Raises ``ConfigError`` if there is none."""
    if not (cwd / path).is_dir():
        return {path: kind_of(cwd / path)}
    found: dict[Path, ConfigKind] = {}
    for kind, names in _names().items():
        file = discover(explicit=None, variable="", names=names, environ={}, cwd=cwd / path)
        if file is not None:
            found[path / file.relative_to(cwd / path)] = kind
    if not found:
        raise ConfigError(
            path,
            Problem(ROOT, "holds no Moltnet, MoltnetNode or .moltnet/config.json file; moltnet init writes starters"),
        )
    return found


_READERS: Final[Mapping[ConfigKind, tuple[str, str]]] = {
    ConfigKind.SERVER: ("server", "moltnet start"),
    ConfigKind.NODE: ("node", "moltnet node start"),
    ConfigKind.BRIDGE: ("bridge", "moltnet bridge run"),
    ConfigKind.CLIENT: ("client", "moltnet send"),
}


def _unexpected(path: Path, kind: ConfigKind) -> str:
    """A remark about a file whose name promises another kind; empty for none."""
    promised = _promised_kind(path)
    if promised in (None, kind):
        return ""
    return f" (a {_READERS[kind][0]} file; {_READERS[promised][1]} does not read it)"


def _unavailable_storage(kind: str) -> tuple[str, ...]:
    if kind in AVAILABLE_KINDS:
        return ()
    return (f"storage.kind {kind} is not available in this version; {', '.join(AVAILABLE_KINDS)} are",)


def check_file(path: Path, kind: ConfigKind, environ: Mapping[str, str], cwd: Path) -> Validated:
    """Load one file with all of its rules. Raises ``ConfigError`` with everything that is wrong."""
    from bridge.config import load_bridge_config
    from node.config import load_node_config
    from node.notices import program_notices

    notices: tuple[str, ...] = ()
    match kind:
        case ConfigKind.SERVER:
            # The file by itself: what today's environment would change is not what will be deployed.
            server = load_server_config(path, environ, cwd, overrides=False)
            notices = (*server.notices, *_unavailable_storage(server.storage.kind))
        case ConfigKind.NODE:
            notices = tuple(program_notices(load_node_config(path, environ, cwd).attachments, environ))
        case ConfigKind.BRIDGE:
            notices = tuple(program_notices([load_bridge_config(path, cwd)], environ))
        case ConfigKind.CLIENT:
            load_client_config(path, environ, cwd)
    return Validated(path, notices)


def kind_of(path: Path) -> ConfigKind:
    """The kind of a file, by its version, else by its keys, else by its name. Raises ``ConfigError`` if unreadable."""
    file = read_config_file(path)
    document = parse_document(file.data, is_json=file.is_json)
    if document.root is None and not file.is_json:
        # Bridge and client files are JSON whatever they are called.
        document = parse_document(file.data, is_json=True)
    root: dict[str, Any] = document.root if isinstance(document.root, dict) else {}
    version = root.get("version")
    if version in tuple(ConfigKind):
        return ConfigKind(version)
    return next((kind for kind, recognise in _RECOGNISE.items() if recognise(root)), None) or _kind_by_name(path)


_RECOGNISE: Final[Mapping[ConfigKind, Callable[[dict[str, Any]], bool]]] = {
    ConfigKind.NODE: lambda root: "moltnet" in root and "attachments" in root,
    ConfigKind.BRIDGE: lambda root: "moltnet" in root and "agent" in root,
    ConfigKind.CLIENT: lambda root: "attachments" in root,
    ConfigKind.SERVER: lambda root: bool({"network", "server", "storage", "rooms"} & root.keys()),
}


def _kind_by_name(path: Path) -> ConfigKind:
    return _promised_kind(path) or ConfigKind.SERVER


def _promised_kind(path: Path) -> ConfigKind | None:
    # Client files first: one of their names ends like a server's.
    for kind, names in sorted(_names().items(), key=lambda item: item[0] is not ConfigKind.CLIENT):
        if any(path.parts[-len(parts) :] == parts for parts in (Path(name).parts for name in names)):
            return kind
    return None


def _names() -> Mapping[ConfigKind, tuple[str, ...]]:
    from node.config import CONFIG_NAMES as NODE_NAMES

    return {ConfigKind.SERVER: SERVER_NAMES, ConfigKind.NODE: NODE_NAMES, ConfigKind.CLIENT: CLIENT_NAMES}
