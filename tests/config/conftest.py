"""Writing a configuration file and reading what is wrong with it."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write(text, name="Moltnet", mode=0o600)`` puts a file into the test's directory and returns its path."""

    def write(text: str, name: str = "Moltnet", mode: int = 0o600) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(dedent(text))
        path.chmod(mode)
        return path

    return write
