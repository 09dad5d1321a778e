"""Loading the ``Moltnet`` file: where it is, what it says, what the environment adds, whether it may be used.

The values live in ``settings``, the rules in ``server_rules``. Relative storage paths start at the working directory
of the process, as existing deployments expect; relative paths of secrets start at the file's directory.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import attrs

from moltnet.config.environment import with_environment
from moltnet.config.files import discover, rebased
from moltnet.config.problems import ROOT, Findings
from moltnet.config.server_file import ServerFile
from moltnet.config.server_rules import DEFAULT_DATABASE, settings
from moltnet.config.settings import (
    AuthMode,
    AuthSettings,
    MoltnetConfig,
    NetworkSettings,
    PairingSettings,
    Registration,
    RoomSettings,
    Scope,
    ServerSettings,
    StorageKind,
    StorageSettings,
    TokenSettings,
)
from moltnet.config.shapes import read_shape

__all__ = [
    "CONFIG_NAMES",
    "AuthMode",
    "AuthSettings",
    "MoltnetConfig",
    "NetworkSettings",
    "PairingSettings",
    "Registration",
    "RoomSettings",
    "Scope",
    "ServerSettings",
    "StorageKind",
    "StorageSettings",
    "TokenSettings",
    "find_server_config",
    "load_server_config",
]

CONFIG_NAMES: Final = ("Moltnet", "moltnet.yaml", "moltnet.yml", "moltnet.json")
CONFIG_VARIABLE: Final = "MOLTNET_CONFIG"


def find_server_config(path: Path | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """The file to load: ``path``, else ``MOLTNET_CONFIG``, else the first of ``CONFIG_NAMES`` in ``cwd``, else none."""
    return discover(explicit=path, variable=CONFIG_VARIABLE, names=CONFIG_NAMES, environ=environ, cwd=cwd)


def load_server_config(
    path: Path | None, environ: Mapping[str, str], cwd: Path, *, overrides: bool = True
) -> MoltnetConfig:
    """The settings to start a server with; without any file, the defaults.

    ``overrides`` applies the environment's ``MOLTNET_*`` settings; secrets that the file takes from the environment
    are needed either way. Raises ``ConfigError`` with everything that is wrong. Blocks on the file system.
    """
    source = find_server_config(path, environ, cwd)
    if source is None:
        findings = Findings("built-in defaults")
        keys = ServerFile()
    else:
        file, keys, findings = read_shape(source, ServerFile)
        if keys.holds_secrets():
            for problem in file.privacy_problems():
                findings.add(ROOT, problem)
    if overrides:
        keys = with_environment(keys, environ, findings)
    directory = cwd if source is None else source.parent
    config = settings(keys, findings, environ=environ, directory=directory, cwd=cwd, source=source)
    findings.raise_if_any()
    return attrs.evolve(config, notices=(*config.notices, *_database_elsewhere(config, keys)))


def _database_elsewhere(config: MoltnetConfig, keys: ServerFile) -> Iterator[str]:
    """A server that is started in another directory than before would begin with an empty database, silently."""
    storage, source = config.storage, config.source
    if storage.kind is not StorageKind.SQLITE or storage.sqlite is None or source is None:
        return
    beside_file = rebased(keys.storage.sqlite.path.strip() or str(DEFAULT_DATABASE), source.parent)
    # An absolute path is the same from everywhere. These do not raise for directories that we may not look into.
    if not os.path.exists(storage.sqlite.path) and os.path.exists(beside_file):
        yield (
            f"no database at {storage.sqlite.path}; there is one at {beside_file}: start in that directory, "
            "or give an absolute storage.sqlite.path"
        )
