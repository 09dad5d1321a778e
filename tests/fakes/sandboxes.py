"""Sandboxes for tests: commands in one, under watch."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from bridge.bubblewrap import Sandbox, SandboxFailed
from bridge.process import Command, Ending, OnLine
from bridge.settings import Endpoint, ProcessLimits, SandboxKind, SandboxSettings
from tests.fakes.process_watch import ProcessWatch

NOWHERE = Endpoint("127.0.0.1", 9)


@attrs.define(eq=False)
class Box:
    """A sandbox of a test, with `workspace` to write into; commands in it are under watch."""

    watch: ProcessWatch
    workspace: Path
    server: Endpoint = NOWHERE
    settings: SandboxSettings = attrs.field(factory=lambda: SandboxSettings(SandboxKind.BUBBLEWRAP))

    async def run(self, script: str, *, on_line: OnLine | None = None, **fields: str) -> Ending:
        return await self.run_command(("/bin/bash", "-c", script), on_line=on_line, variables=fields)

    async def run_command(
        self,
        argv: tuple[str, ...],
        *,
        on_line: OnLine | None = None,
        allowed: ProcessLimits = ProcessLimits(),  # noqa: B008 - frozen
        variables: Mapping[str, str] | None = None,
    ) -> Ending:
        sandbox = Sandbox(self.settings, self.server, (self.workspace,))
        environment = {**self.watch.environment, **(variables or {})}
        return await sandbox.run(Command(argv, self.workspace, environment, limits=allowed), on_line=on_line)

    async def run_python(self, code: str, *arguments: str) -> Ending:
        """A Python without any packages."""
        return await self.run_command((self.show_python(), "-c", code, *arguments))

    def show_python(self) -> str:
        """Its program. It may lie where a sandbox shows nothing of itself."""
        home = Path(sys.base_prefix).resolve()
        self.with_settings(readable=(home,))
        return str((home / "bin" / "python3").resolve())

    def with_settings(self, **settings: Any) -> None:
        self.settings = attrs.evolve(self.settings, **settings)


def namespaces_are_allowed() -> bool:
    probe = [
        "bwrap",
        "--ro-bind",
        "/",
        "/",
        "--unshare-user",
        "--unshare-net",
        "--unshare-pid",
        "--proc",
        "/proc",
        "true",
    ]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


async def make_box(watch: ProcessWatch, directory: Path) -> Box:
    """A sandbox whose workspace is made in `directory`. Where the kernel allows none, it is proved that nothing runs
    instead, and the test is skipped."""
    workspace = directory / "workspace"
    workspace.mkdir()
    box = Box(watch, workspace)
    if not shutil.which("bwrap"):
        assert "CI" not in os.environ, "bubblewrap is missing: scripts/install-test-runtimes installs it"
        pytest.skip("bubblewrap is missing: install it, or run scripts/install-test-runtimes as root")
    if not namespaces_are_allowed():
        with pytest.raises(SandboxFailed, match="no sandbox could be made"):
            await box.run("touch ran")
        assert not (workspace / "ran").exists()
        pytest.skip("this kernel allows no user namespaces; proved that nothing runs without them")
    return box
