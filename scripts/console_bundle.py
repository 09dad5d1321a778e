"""Builds what a browser gets of the console, ``moltnet/console/built``: ``make console``, after each change of sources.

All modules become one script and all styles one sheet: a page needs two requests for them. Both can be read like the
sources, and change where these were changed. The first line of each tells by a checksum of which sources it is built,
so that a test knows without esbuild whether somebody forgot to; `scripts/install-console-tools` fetches that.

    python -m scripts.console_bundle [--into DIRECTORY]
"""

import argparse
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
CONSOLE: Final = ROOT / "moltnet" / "console"
BUILT: Final = CONSOLE / "built"
ESBUILD: Final = Path(os.environ.get("MOLTNET_CONSOLE_TOOLS") or ROOT / ".cache" / "console-tools") / "esbuild"
SOURCE_KINDS: Final = frozenset({".css", ".js"})

# Nothing is translated for older browsers, and nothing around the tree has a say: the same sources give the same bytes.
_OPTIONS: Final = (
    "--bundle",
    "--format=esm",
    "--target=esnext",
    "--charset=utf8",
    "--tsconfig-raw={}",
    "--ignore-annotations",
    "--log-level=warning",
    "--entry-names=console",
)
_LICENCES: Final = "Preact (MIT) and htm (Apache-2.0) are in it: vendor/preact.LICENSE.txt, vendor/htm.LICENSE.txt."


def sources() -> list[str]:
    """What the built files are made of, by path below the console's directory."""
    found = (path for path in CONSOLE.rglob("*") if path.suffix in SOURCE_KINDS and BUILT not in path.parents)
    return sorted(path.relative_to(CONSOLE).as_posix() for path in found)


def first_line(kind: str) -> str:
    """How a built file of this kind, ``js`` or ``css``, begins if it was built of the sources as they are."""
    digest = hashlib.sha256()
    for name in sources():
        digest.update(f"{name} {hashlib.sha256((CONSOLE / name).read_bytes()).hexdigest()}\n".encode())
    licences = f" {_LICENCES}" if kind == "js" else ""
    return f'/* Built by "make console" of sources with the SHA-256 {digest.hexdigest()}.{licences} */'


def build(into: Path) -> None:
    """Write ``console.js`` and ``console.css``. Raises ``CalledProcessError`` for a source that esbuild refuses."""
    for kind in ("js", "css"):
        command = [str(ESBUILD), f"app.{kind}", *_OPTIONS, f"--banner:{kind}={first_line(kind)}", f"--outdir={into}"]
        subprocess.run(command, cwd=CONSOLE, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Build moltnet/console/built.")
    parser.add_argument("--into", type=Path, default=BUILT, metavar="DIRECTORY")
    into = parser.parse_args().into.absolute()
    if not ESBUILD.exists():
        sys.exit(f"there is no {ESBUILD}: run scripts/install-console-tools")
    build(into)


if __name__ == "__main__":
    main()
