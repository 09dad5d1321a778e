"""README.md, followed by a stranger; `python -m tests.e2e.first_steps` does the same with all freshly installed."""

import os
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, Page
from tests.docs.terminal import PROGRAMS
from tests.e2e.first_steps import copy_tree, environment, follow_readme

pytestmark = pytest.mark.slow


def test_the_readme_leads_from_a_clone_to_two_agents_that_talk(tmp_path: Path) -> None:
    tree = tmp_path / "moltnet"
    tree.mkdir()
    copy_tree(tree)
    # What `make` would install is here already: nothing is older than the project file.
    (tree / ".venv").symlink_to(PROGRAMS.parent)
    os.utime(tree / "pyproject.toml", (0, 0))
    steps = follow_readme(tree, environment(tmp_path / "home"), tmp_path)
    assert "is running." in steps[0].printed
    assert "At eight, on the bridge." in steps[1].printed
    assert "attached" in steps[3].printed
    assert steps[-1].printed.startswith("@you it is ")
    # Nothing of the stranger's is left in the tree but the network that it started.
    assert {path.name for path in tree.iterdir()} - {path.name for path in ROOT.iterdir()} <= {".moltnet"}


def test_the_page_of_first_steps_shows_what_the_readme_says() -> None:
    shown = "\n".join(block.text for block in Page.read(DOCS / "first-steps.md").blocks("text"))
    for block in Page.read(ROOT / "README.md").blocks("sh"):
        assert all(f"$ {line}\n" in shown for line in block.text.splitlines() if not line.startswith((" ", "curl")))
