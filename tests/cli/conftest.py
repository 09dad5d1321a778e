"""The command line as a user meets it: `main`, in a workspace of its own, and what it prints."""

import io
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
import trio

from moltnet.cli.main import main


@attrs.frozen
class Ran:
    """How a run ended."""

    exit_code: int
    stdout: str
    stderr: str

    def json(self) -> Any:
        return orjson.loads(self.stdout)


Run = Callable[..., Awaitable[Ran]]


@attrs.frozen
class Workspace:
    """A directory with a client configuration; the current directory of the test."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / ".moltnet" / "config.json"

    def write(self, *attachments: dict[str, Any]) -> None:
        self.config.parent.mkdir(mode=0o700, exist_ok=True)
        self.config.write_bytes(orjson.dumps({"version": "moltnet.client.v1", "attachments": attachments}))
        self.config.chmod(0o600)

    def read(self) -> Any:
        return orjson.loads(self.config.read_bytes())

    def attachment(self, index: int = 0) -> Any:
        return self.read()["attachments"][index]


def attachment(base_url: str, **changes: Any) -> dict[str, Any]:
    """An attachment of alpha at net_a, in room general, with DMs."""
    return {
        "network_id": "net_a",
        "member_id": "alpha",
        "agent_name": "Alpha",
        "base_url": base_url,
        "auth": {"mode": "bearer", "token": "token-of-alpha-0123456789"},
        "rooms": [{"id": "general", "wake": "mentions"}],
        "dms": {"enabled": True},
    } | changes


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(tmp_path)
    for name in ("MOLTNET_NETWORK", "MOLTNET_MEMBER", "MOLTNET_CLIENT_CONFIG", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    return Workspace(tmp_path)


@pytest.fixture
def run(workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `moltnet` with some arguments, in a thread, because it starts an event loop of its own."""

    async def run_moltnet(*arguments: str, stdin: bytes = b"", terminal: bool = False) -> Ran:
        capsys.readouterr()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
        exit_code = await trio.to_thread.run_sync(_exit_code, arguments)
        out, err = capsys.readouterr()
        return Ran(exit_code, out, err)

    return run_moltnet


def _exit_code(arguments: Sequence[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
