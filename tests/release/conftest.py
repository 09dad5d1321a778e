"""The distributions under test: those in ``MOLTNET_TEST_DIST``, or else built of this tree, once for all tests."""

import hashlib
import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

import attrs
import pytest

# Only a release tries these: they need the package index, and programs of their own (`scripts/release.py`).
collect_ignore = [] if "MOLTNET_TEST_INSTALLERS" in os.environ else ["test_installers.py"]

ROOT = Path(__file__).parents[2]
TOOLS = Path(os.environ.get("MOLTNET_TEST_BUILD_TOOLS") or ROOT / ".cache" / "build-tools").absolute()


@attrs.frozen
class Distributions:
    wheel: Path
    sdist: Path


def contents(wheel: Path) -> dict[str, str]:
    """The files of a wheel, and what is in each."""
    with zipfile.ZipFile(wheel) as files:
        return {name: hashlib.sha256(files.read(name)).hexdigest() for name in files.namelist()}


def build(source: Path, into: Path, kind: str) -> Path:
    """Build a ``wheel`` or an ``sdist`` with the tools that are there, without the network."""
    python = TOOLS / "bin" / "python"
    assert python.exists(), "the tools that build are missing: run `make build-tools`"
    command = [str(python), "-m", "build", "--no-isolation", f"--{kind}", "--outdir", str(into), str(source)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (built,) = into.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    if given := os.environ.get("MOLTNET_TEST_DIST"):
        (wheel,), (sdist,) = (list(Path(given).glob(pattern)) for pattern in ("*.whl", "*.tar.gz"))
        return Distributions(wheel, sdist)
    into = tmp_path_factory.mktemp("dist")
    return Distributions(build(ROOT, into, "wheel"), build(ROOT, into, "sdist"))


@pytest.fixture(scope="session")
def unpacked(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree that somebody gets who downloads the sdist."""
    directory = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(distributions.sdist) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # since Python 3.11.4
        archive.extractall(directory)
    (tree,) = directory.iterdir()
    return tree


@pytest.fixture(scope="session")
def wheels(distributions: Distributions, unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheel that is released, and the one that the sdist gives to whoever builds it."""
    return {"wheel": distributions.wheel, "sdist": build(unpacked, tmp_path_factory.mktemp("rebuilt"), "wheel")}
