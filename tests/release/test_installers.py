"""Installed with pipx and with uv, as the pages say. They ask the package index for our dependencies, so that only
``make release`` runs these."""

import os
import subprocess
from pathlib import Path

import pytest

from moltnet import __version__
from tests.release.conftest import TOOLS, Distributions

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("command", [("pipx", "install"), ("uv", "tool", "install")], ids=["pipx", "uv"])
def test_an_installer_of_programs_installs_it(
    distributions: Distributions, tmp_path: Path, command: tuple[str, ...]
) -> None:
    environ = {
        **os.environ,
        "PIPX_HOME": str(tmp_path / "pipx"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_DEFAULT_PYTHON": str(TOOLS / "bin" / "python"),
        "UV_TOOL_DIR": str(tmp_path / "uv"),
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
        "UV_PYTHON": str(TOOLS / "bin" / "python"),
    }
    program, *words = command
    subprocess.run([str(TOOLS / "bin" / program), *words, str(distributions.wheel)], env=environ, check=True)
    moltnet = tmp_path / "bin" / "moltnet"
    ran = subprocess.run([str(moltnet), "version"], capture_output=True, text=True, check=True)
    assert ran.stdout == f"{__version__}\n"
    # By these `moltnet update` knows who installed it; where these tests run in a container it says that instead.
    mark = "pipx_metadata.json" if program == "pipx" else "uv-receipt.toml"
    assert len(list(tmp_path.rglob(mark))) == 1
