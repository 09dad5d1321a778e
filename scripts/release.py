"""Builds what is released of this version into ``dist/``, and checks it. ``make release`` runs it.

    dist/moltnet-V.tar.gz, moltnet-V-py3-none-any.whl   what is uploaded
    dist/moltnet-V.cdx.json                             bill of materials, CycloneDX
    dist/LICENCES.txt                                   every package that it runs on, and its licence
    dist/NEWS.md                                        the change log of this version, of its fragments
    dist/moltnet.1                                      the manual page
    dist/SHA256SUMS

Nothing is uploaded, tagged or committed. Needs the package index, for an installation as users have it.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from moltnet import __version__
from moltnet.cli.main import cli
from moltnet.cli.manual import manual_page
from scripts.change_log import draft
from scripts.dependencies import DECISION, KNOWLEDGE, Knowledge, Project, bill_of_materials, installed, licence_lines
from scripts.dependencies import problems as dependency_problems

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
TOOLS = Path(os.environ.get("MOLTNET_TEST_BUILD_TOOLS") or ROOT / ".cache" / "build-tools").absolute() / "bin"


def say(text: str) -> None:
    print(f"release {__version__}: {text}", flush=True)


def run(*command: str | Path, environ: Mapping[str, str] | None = None) -> None:
    """Raises ``CalledProcessError``."""
    subprocess.run(list(map(str, command)), cwd=ROOT, env={**os.environ, **(environ or {})}, check=True)


def build() -> tuple[Path, Path]:
    """The wheel, made of the sdist, and the sdist."""
    shutil.rmtree(DIST, ignore_errors=True)
    run(TOOLS / "python", "-m", "build", "--no-isolation", "--outdir", DIST, ROOT)
    return DIST / f"moltnet-{__version__}-py3-none-any.whl", DIST / f"moltnet-{__version__}.tar.gz"


def write_papers() -> None:
    """What comes with a release. Raises ``SystemExit`` if the audit objects."""
    knowledge = Knowledge.load(KNOWLEDGE.read_text(encoding="utf-8"))
    project = Project.load((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    components = installed(project.runtime, knowledge)
    if found := dependency_problems(project, DECISION.read_text(encoding="utf-8"), components, knowledge):
        raise SystemExit("\n".join(found))
    bill = bill_of_materials(components, datetime.now(UTC))
    (DIST / f"moltnet-{__version__}.cdx.json").write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
    (DIST / "LICENCES.txt").write_text("\n".join(licence_lines(components)) + "\n", encoding="utf-8")
    assert hasattr(cli, "list_commands")
    (DIST / "moltnet.1").write_text(manual_page(cli), encoding="utf-8")
    (DIST / "NEWS.md").write_text(draft(), encoding="utf-8")


def install_as_users_do(wheel: Path) -> None:
    """Into a new environment, with the packages that the index has today."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory) / "venv"
        venv.create(place, with_pip=True)
        run(place / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
        run(place / "bin" / "pip", "check")
        lab = Path(directory) / "lab"
        for arguments in (["version"], ["init", lab], ["validate", lab]):
            run(place / "bin" / "moltnet", *arguments)


def write_sums() -> None:
    files = sorted(path for path in DIST.iterdir() if path.name != "SHA256SUMS")
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in files]
    (DIST / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="utf-8")


def main() -> int:
    say("building")
    wheel, sdist = build()
    say("checking what the index would say")
    run(TOOLS / "twine", "check", "--strict", wheel, sdist)
    say("writing the bill of materials, licences, news, manual page")
    write_papers()
    say("installing it from the index into a new environment")
    install_as_users_do(wheel)
    say("running it where only its dependencies are, and with pipx and uv")
    run(TOOLS / "python", "-m", "pip", "install", "--quiet", "-r", ROOT / "scripts" / "installers.txt")
    given = {"MOLTNET_TEST_DIST": str(DIST), "MOLTNET_TEST_INSTALLERS": "1"}
    run(sys.executable, "-m", "pytest", "-q", "-m", "", "tests/release", environ=given)
    write_sums()
    say(f"{len(list(DIST.iterdir()))} files in {DIST.name}/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
