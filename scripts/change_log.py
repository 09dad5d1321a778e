"""Moves the news fragments of this version into ``CHANGELOG.md``, with links that lead somewhere from there.

``make changelog`` runs it; ``draft`` is what it would add.
"""

import posixpath
import re
import subprocess
import sys
from pathlib import Path

from moltnet import __version__

ROOT = Path(__file__).parent.parent
CHANGELOG = ROOT / "CHANGELOG.md"
FRAGMENTS = "docs/newsfragments"

_LINK = re.compile(r"\]\((\.[^)\s]*)\)")


def seen_from_the_top(text: str) -> str:
    """The same text with relative links of a fragment as they are for a file beside the directory ``docs``."""
    return _LINK.sub(lambda link: f"]({posixpath.normpath(posixpath.join(FRAGMENTS, link[1]))})", text)


def draft() -> str:
    """The entry of this version. Nothing is changed."""
    return seen_from_the_top(_towncrier("--draft"))


def _towncrier(option: str) -> str:
    command = [str(Path(sys.executable).parent / "towncrier"), "build", option, "--version", __version__]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise SystemExit(f"towncrier: {ran.stderr.strip().rpartition(chr(10))[2]}")
    return ran.stdout


def main() -> int:
    _towncrier("--yes")
    CHANGELOG.write_text(seen_from_the_top(CHANGELOG.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
