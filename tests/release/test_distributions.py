"""What is shipped: it has everything, nothing else, and runs where only its declared dependencies are."""

import json
import subprocess
import sys
import urllib.request
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import trio

from moltnet import __version__
from scripts.dependencies import KNOWLEDGE, Knowledge, Project, installed
from tests.e2e.running import Server, running
from tests.fakes.ports import free_port
from tests.release.conftest import ROOT, TOOLS, Distributions, contents

pytestmark = pytest.mark.slow

PACKAGES = ("moltnet", "node", "bridge")
NO_SOURCES = frozenset({"__pycache__"})


def sources() -> set[str]:
    """Every file of our packages in this tree."""
    found = (path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in found if NO_SOURCES.isdisjoint(path.parts)}


def test_the_wheel_holds_our_packages_whole_and_nothing_else(distributions: Distributions) -> None:
    names = set(contents(distributions.wheel))
    about = f"moltnet-{__version__}.dist-info/"
    assert {name for name in names if not name.startswith(about)} == sources()
    assert {name.removeprefix(about) for name in names if name.startswith(about)} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
    }
    kinds = {Path(name).suffix for name in names}
    assert {".py", ".sql", ".js", ".css", ".html", ".typed"} <= kinds


def test_the_sdist_holds_what_the_wheel_is_built_of_and_its_tests(unpacked: Path) -> None:
    assert {path.name for path in unpacked.iterdir()} == {
        *PACKAGES,
        *("tests", "fuzz", "docs", "examples", "scripts"),
        *("Makefile", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "pyproject.toml", ".gitignore"),
        "PKG-INFO",
    }
    assert not [path for path in unpacked.rglob("*") if path.name in ("__pycache__", ".moltnet", "node_modules")]


def test_the_sdist_gives_the_same_wheel(wheels: dict[str, Path]) -> None:
    assert contents(wheels["sdist"]) == contents(wheels["wheel"])


def test_the_index_would_take_both(distributions: Distributions) -> None:
    files = [str(distributions.wheel), str(distributions.sdist)]
    ran = subprocess.run(
        [str(TOOLS / "bin" / "twine"), "check", "--strict", *files], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_metadata_says_what_the_project_file_says(distributions: Distributions) -> None:
    with zipfile.ZipFile(distributions.wheel) as files:
        about = metadata.PathDistribution(zipfile.Path(files, f"moltnet-{__version__}.dist-info/"))
        assert about.version == __version__
        needed = {line for line in about.requires or () if "extra ==" not in line}
    project = Project.load((ROOT / "pyproject.toml").read_text())
    assert needed == set(map(str, project.runtime))


def environment_with(wheel: Path, directory: Path) -> Path:
    """A new virtual environment with this wheel and, as links, the packages that it declares and what those need."""
    venv.create(directory, symlinks=True)
    (packages,) = directory.glob("lib/python*/site-packages")
    project = Project.load((ROOT / "pyproject.toml").read_text())
    for component in installed(project.runtime, Knowledge.load(KNOWLEDGE.read_text())):
        distribution = metadata.distribution(component.name)
        tops = {Path(file.parts[0]) for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}
        for top in tops:
            link = packages / top
            if not link.exists():
                link.symlink_to(str(distribution.locate_file(top)))
    pip = [sys.executable, "-m", "pip", "--python", str(directory / "bin" / "python"), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-index", "--no-deps", str(wheel)], check=True)
    ran = subprocess.run([*pip, "check"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    return directory / "bin" / "moltnet"


def run(program: Path, *arguments: str, directory: Path) -> str:
    """What the installed program prints; it must not see this tree."""
    ran = subprocess.run(
        [str(program), *arguments],
        cwd=directory,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


async def fetch(url: str) -> bytes:
    """What a server answers with 200."""

    def get() -> bytes:
        with urllib.request.urlopen(url, timeout=20) as answer:
            body: bytes = answer.read()
            return body

    return await trio.to_thread.run_sync(get)


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
async def test_it_runs_where_only_its_dependencies_are(wheels: dict[str, Path], tmp_path: Path, kind: str) -> None:
    moltnet = environment_with(wheels[kind], tmp_path / "venv")
    lab = tmp_path / "lab"
    assert run(moltnet, "version", directory=tmp_path) == f"{__version__}\n"
    run(moltnet, "init", str(lab), directory=tmp_path)
    port = free_port()
    config = lab / "Moltnet"
    config.write_text(config.read_text().replace("8787", str(port)))
    run(moltnet, "validate", directory=lab)
    run(moltnet, "node", "--help", directory=lab)
    server = Server(lab, f"http://127.0.0.1:{port}")
    async with running("start", directory=lab, log_path=lab / "server.log", program=moltnet) as program:
        await server.wait_ready(program)
        assert json.loads(await fetch(f"{server.url}/healthz"))
        # The console and the skill come out of the wheel, as the migrations did.
        assert b"<html" in await fetch(f"{server.url}/console/")
        assert b"moltnet send" in await fetch(f"{server.url}/skill.md")
        assert await program.stop() == 0
