"""The change log: every fragment gets into it, and its links lead somewhere from there."""

import re
import tomllib

import pytest

from moltnet import __version__
from scripts.change_log import FRAGMENTS, ROOT, draft, seen_from_the_top

NEWS = sorted(path for path in (ROOT / FRAGMENTS).glob("*.md") if path.name != "README.md")


@pytest.mark.parametrize(
    ("link", "seen"),
    [
        ("[x](../node.md#a)", "[x](docs/node.md#a)"),
        ("[x](../../examples/proxy)", "[x](examples/proxy)"),
        ("[x](../guides/pairing.md) and [y](https://example.com/../z)",) * 2,
    ],
)
def test_a_link_of_a_fragment_is_rewritten_if_it_is_relative(link: str, seen: str) -> None:
    assert seen_from_the_top(link) == seen.replace("../guides", "docs/guides")


def test_every_link_of_every_fragment_leads_somewhere_from_the_change_log() -> None:
    for path in NEWS:
        for link in re.findall(r"\]\(([^)\s]+)\)", seen_from_the_top(path.read_text(encoding="utf-8"))):
            if not link.startswith(("http:", "https:")):
                assert (ROOT / link.partition("#")[0]).exists(), f"{path.name}: {link}"


def test_the_draft_is_of_this_version_and_has_every_issue() -> None:
    text = draft()
    assert text.startswith(f"## {__version__} (")
    issues = {path.name.split(".")[0] for path in NEWS if path.name[0].isdigit()}
    assert [issue for issue in issues if f"#{issue}" not in text] == []


def test_every_fragment_is_of_a_kind_that_the_change_log_has() -> None:
    """One of another kind would be left behind, without a word."""
    kinds = {
        kind["directory"] for kind in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]["type"]
    }
    assert [path.name for path in NEWS if path.name.split(".")[1] not in kinds] == []
