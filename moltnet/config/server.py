"""Loading the ``Moltnet`` file: where it is, what it says, what the environment adds, whether it may be used.

The values live in ``settings``, the rules in ``server_rules``. Relative storage paths start at the working directory
of the process, as existing deployments expect; relative paths of secrets start at the file's directory.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from moltnet.config.environment import with_environment
from moltnet.config.files import discover
from moltnet.config.problems import ROOT, Findings
from moltnet.config.server_file import ServerFile
from moltnet.config.server_rules import settings
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
    return config
