"""How this `moltnet` was installed, and the command that would install another version the same way."""

import json
import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Final

import attrs

from moltnet import __version__

PACKAGE: Final = "moltnet"
CONTAINER_MARK: Final = Path("/.dockerenv")


class Installer(StrEnum):
    CONTAINER = "container"
    SOURCE = "source"
    UV_TOOL = "uv tool"
    PIPX = "pipx"
    UV = "uv"
    PIP = "pip"
    SYSTEM = "system package"
    UNKNOWN = "unknown"


# What to do where `moltnet update` must not do it itself.
REFUSALS: Final[Mapping[Installer, str]] = {
    Installer.CONTAINER: "pull a newer image and start it instead of this one",
    Installer.SOURCE: "this is a source tree: update it with its version control, then install it again",
    Installer.SYSTEM: "the system's package manager installed it: update it with that",
    Installer.UNKNOWN: "install it again with pipx, uv tool or pip into a virtual environment",
}


@attrs.frozen
class Installation:
    """Where it is and who put it there."""

    installer: Installer
    version: str
    program: Path
    prefix: Path

    @property
    def may_update(self) -> bool:
        return self.installer not in REFUSALS

    def command(self, version: str) -> tuple[str, ...]:
        """What installs `version`. Only for an installation that may be updated."""
        wanted = f"{PACKAGE}=={version}"
        match self.installer:
            case Installer.UV_TOOL:
                return ("uv", "tool", "install", "--force", wanted)
            case Installer.PIPX:
                return ("pipx", "install", "--force", wanted)
            case Installer.UV:
                return ("uv", "pip", "install", "--python", str(self.prefix / "bin" / "python"), wanted)
            case _:
                return (str(self.prefix / "bin" / "python"), "-m", "pip", "install", wanted)


def find_installation(environ: Mapping[str, str]) -> Installation:
    """This process's own."""
    distribution = _distribution()
    version = distribution.version if distribution is not None else __version__
    return Installation(
        _installer(environ, distribution, version), version, Path(sys.argv[0]).absolute(), Path(sys.prefix)
    )


def _distribution() -> metadata.Distribution | None:
    try:
        return metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        return None


def _installer(environ: Mapping[str, str], distribution: metadata.Distribution | None, version: str) -> Installer:
    if environ.get("MOLTNET_CONTAINER") or environ.get("container") or CONTAINER_MARK.exists():
        return Installer.CONTAINER
    if distribution is None:
        return Installer.UNKNOWN
    if _is_source(distribution, version):
        return Installer.SOURCE
    prefix = Path(sys.prefix)
    if (prefix / "uv-receipt.toml").exists():
        return Installer.UV_TOOL
    if (prefix / "pipx_metadata.json").exists():
        return Installer.PIPX
    if sys.prefix == sys.base_prefix:
        return Installer.SYSTEM
    by = (distribution.read_text("INSTALLER") or "").strip()
    return {"uv": Installer.UV, "pip": Installer.PIP}.get(by, Installer.UNKNOWN)


def _is_source(distribution: metadata.Distribution, version: str) -> bool:
    if any(mark in version for mark in ("dev", "dirty", "+")):
        return True
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        return False
    return isinstance(origin, dict) and "dir_info" in origin


def pip_command() -> tuple[str, ...]:
    """The pip of this environment; pipx and uv keep none there, but Python may have one elsewhere."""
    return (
        (sys.executable, "-m", "pip", "--python", sys.prefix) if os.name == "posix" else (sys.executable, "-m", "pip")
    )
