"""The programs that the examples are tried with."""

import os
import shutil
from pathlib import Path
from typing import Final

import pytest

# Where `scripts/install-test-tools` puts them.
_TOOLS: Final = Path(__file__).parents[2] / ".cache" / "tools" / "bin"


def program(name: str) -> Path:
    """The one that `MOLTNET_TEST_<NAME>` names, or that is installed. Only outside of CI the test may go without."""
    found = os.environ.get(f"MOLTNET_TEST_{name.upper()}") or shutil.which(name, path=f"{os.environ['PATH']}:{_TOOLS}")
    if found is None:
        assert "CI" not in os.environ, f"{name} is missing: scripts/install-test-tools"
        pytest.skip(f"{name} is not installed")
    return Path(found)
