"""`moltnet update`: who installed this program, what the package index has, and what is run; with a real pip and a
package index of the test's own."""

import base64
import hashlib
import http.server
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from moltnet.cli import installation
from moltnet.cli.installation import Installation, Installer, find_installation
from tests.cli.conftest import Run, Workspace
from tests.fakes.server import OPERATOR_TOKEN, bearer_network, open_running_server

VERSIONS = ("0.1.0", "9.9.9", "10.0.0rc1")


def write_wheel(directory: Path, version: str) -> Path:
    """A package of our name with nothing in it."""
    info = f"moltnet-{version}.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: moltnet\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    records = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},{len(text)}"
        for name, text in files.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*records, f"{info}/RECORD,,"]) + "\n"
    path = directory / f"moltnet-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package index that pip asks; its `moltnet` directory may be emptied."""
    root = tmp_path / "index"
    package = root / "moltnet"
    package.mkdir(parents=True)
    links = [write_wheel(package, version).name for version in VERSIONS]
    (package / "index.html").write_text("".join(f'<a href="{link}">{link}</a>\n' for link in links))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, directory=str(root), **kwargs)  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/")
        for name in ("PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_FIND_LINKS", "http_proxy", "HTTP_PROXY"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        yield package
        server.shutdown()
        serving.join()


@pytest.fixture
def installed_by(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Installer]:
    """The installer that is found is the last of this list."""
    found = [Installer.PIP]
    here = tmp_path / "prefix"

    def find(_environ: object) -> Installation:
        return Installation(found[-1], "0.1.0", here / "bin" / "moltnet", here)

    monkeypatch.setattr("moltnet.cli.update.find_installation", find)
    return found


def fields(text: str) -> dict[str, str]:
    lines = [line.strip().split("  ", 1) for line in text.splitlines() if line.startswith("  ")]
    return {name: value.strip() for name, value in lines}


class TestLooking:
    async def test_a_newer_version_is_named_with_the_command_that_installs_it(
        self, run: Run, index: Path, installed_by: list[Installer]
    ) -> None:
        ran = await run("update", "--check")
        assert ran.exit_code == 0, ran.stdout + ran.stderr
        assert fields(ran.stdout)["latest version"] == "9.9.9"  # no pre-release
        assert fields(ran.stdout)["command"].endswith("-m pip install moltnet==9.9.9")
        assert ran.stdout.endswith("Version 9.9.9 can be installed.\n")

    async def test_an_index_without_it_is_said(self, run: Run, index: Path, installed_by: list[Installer]) -> None:
        (index / "index.html").write_text("")
        ran = await run("update", "--check")
        assert (ran.exit_code, fields(ran.stdout)["latest version"].startswith("unknown: ")) == (6, True)

    @pytest.mark.parametrize("installer", [Installer.CONTAINER, Installer.SOURCE, Installer.SYSTEM, Installer.UNKNOWN])
    async def test_what_it_must_not_change_it_refuses_with_what_to_do(
        self, run: Run, index: Path, installed_by: list[Installer], installer: Installer
    ) -> None:
        installed_by.append(installer)
        looked, done = await run("update", "--dry-run"), await run("update", "--yes")
        assert (looked.exit_code, done.exit_code) == (0, 2)
        assert "warning" in fields(looked.stdout)
        assert "refused" in fields(done.stdout)
        assert done.stdout.endswith("Self-update is not available for this install.\n")

    async def test_a_server_s_version_is_asked(
        self, run: Run, index: Path, installed_by: list[Installer], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPERATOR", OPERATOR_TOKEN)
        async with open_running_server(bearer_network()) as url:
            server = ("--server", url, "--server-token-env")
            good = fields((await run("update", "--check", *server, "OPERATOR")).stdout)["server"]
            unset = fields((await run("update", "--check", *server, "NOT_SET")).stdout)["server"]
        assert good.startswith(f"{url}: 0.")
        assert "NOT_SET is not set" in unset

    async def test_a_version_must_be_one(self, run: Run) -> None:
        for text in ("latest", "1.2; rm -rf /", "--pre", ""):
            assert (await run("update", "--check", "--version", text)).exit_code == 2


@pytest.mark.slow
async def test_pip_installs_the_version_that_was_named(
    run: Run, index: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prefix = tmp_path / "environment"
    await trio.run_process([sys.executable, "-m", "venv", prefix])
    here = Installation(Installer.PIP, "0.1.0", prefix / "bin" / "moltnet", prefix)
    monkeypatch.setattr("moltnet.cli.update.find_installation", lambda _: here)
    asked = await run("update", "--version", "10.0.0rc1", stdin=b"n\n")
    assert asked.exit_code == 130
    assert "10.0.0rc1" not in installed_versions(prefix)
    ran = await run("update", "--version", "10.0.0rc1", "--yes")
    assert (ran.exit_code, "Version 10.0.0rc1 is installed" in ran.stdout) == (0, True), ran.stderr
    assert "moltnet==10.0.0rc1" in installed_versions(prefix)
    missing = await run("update", "--version", "3.0", "--yes")
    assert (missing.exit_code, "failed with status" in missing.stderr) == (1, True)


def installed_versions(prefix: Path) -> str:
    python = prefix / "bin" / "python"
    return subprocess.run([python, "-m", "pip", "freeze"], check=True, capture_output=True, text=True).stdout


class TestWhoInstalledIt:
    @pytest.fixture(autouse=True)
    def no_container(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in ("MOLTNET_CONTAINER", "container"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(installation, "CONTAINER_MARK", tmp_path / "none")

    @pytest.mark.parametrize("name", ["MOLTNET_CONTAINER", "container"])
    def test_a_container_says_so(self, name: str) -> None:
        assert find_installation({name: "1"}).installer is Installer.CONTAINER

    @pytest.mark.parametrize(
        ("mark", "records", "expected"),
        [
            ("uv-receipt.toml", {}, Installer.UV_TOOL),
            ("pipx_metadata.json", {"INSTALLER": "pip"}, Installer.PIPX),
            ("", {"INSTALLER": "uv\n"}, Installer.UV),
            ("", {"INSTALLER": "pip\n"}, Installer.PIP),
            ("", {"INSTALLER": "conda"}, Installer.UNKNOWN),
            ("", {"direct_url.json": '{"dir_info": {"editable": true}}'}, Installer.SOURCE),
            ("", {"direct_url.json": "not json", "INSTALLER": "pip"}, Installer.PIP),
        ],
    )
    def test_its_traces_tell(
        self,
        workspace: Workspace,
        monkeypatch: pytest.MonkeyPatch,
        mark: str,
        records: dict[str, str],
        expected: Installer,
    ) -> None:
        info = workspace.path / "site" / "moltnet-1.2.3.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Name: moltnet\nVersion: 1.2.3\n")
        for name, text in records.items():
            (info / name).write_text(text)
        if mark:
            (workspace.path / mark).touch()
        monkeypatch.setattr(sys, "path", [str(workspace.path / "site")])
        monkeypatch.setattr(sys, "prefix", str(workspace.path))
        found = find_installation({})
        assert (found.installer, found.version, found.prefix) == (expected, "1.2.3", workspace.path)

    def test_without_an_environment_it_is_the_system_s(
        self, monkeypatch: pytest.MonkeyPatch, workspace: Workspace
    ) -> None:
        info = workspace.path / "moltnet-1.2.3.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Name: moltnet\nVersion: 1.2.3\n")
        monkeypatch.setattr(sys, "path", [str(workspace.path)])
        monkeypatch.setattr(sys, "prefix", sys.base_prefix)
        assert find_installation({}).installer is Installer.SYSTEM
