"""Homes for the real agent CLIs with the fake model behind them, and where `make runtimes` has put the programs.

The settings keep them on loopback, and let them fail at once when the model is down.
"""

import os
from collections.abc import Callable
from pathlib import Path

import attrs
import orjson

from bridge.config import RuntimeKind
from tests.fakes.codex_home import write_codex_home

RUNTIMES = Path(os.environ.get("MOLTNET_TESTRUNTIMES") or Path(__file__).parents[2] / ".cache" / "runtimes")


@attrs.frozen
class AgentHome:
    """How one real CLI is told about the fake model."""

    kind: RuntimeKind
    write: Callable[[Path, str], None]
    """Write into its `HOME`, made if needed, what leads it to the model at this address."""

    def find_program(self) -> Path:
        """Raises `FileNotFoundError` if it is not there: a test that needs it fails, it is never passed over."""
        program = RUNTIMES / self.kind / "bin" / self.kind
        if not program.exists():
            raise FileNotFoundError(f"the real {self.kind} is missing at {program}: run `make runtimes`")
        return program


def _write_claude_home(home: Path, address: str) -> None:
    directory = home / ".claude"
    directory.mkdir(parents=True, exist_ok=True)
    environment = {
        "ANTHROPIC_BASE_URL": address,
        "ANTHROPIC_API_KEY": "any",
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    (directory / "settings.json").write_bytes(orjson.dumps({"env": environment}))


def _write_pi_home(home: Path, address: str) -> None:
    directory = home / ".pi" / "agent"
    directory.mkdir(parents=True, exist_ok=True)
    provider = {
        "baseUrl": f"{address}/v1",
        "api": "openai-completions",
        "apiKey": "any",
        "compat": {"supportsDeveloperRole": False, "supportsReasoningEffort": False},
        "models": [{"id": "fake-model"}],
    }
    (directory / "models.json").write_bytes(orjson.dumps({"providers": {"fake": provider}}))
    settings = {"defaultProvider": "fake", "defaultModel": "fake-model", "retry": {"enabled": False}}
    (directory / "settings.json").write_bytes(orjson.dumps(settings))


def _write_codex_home(home: Path, address: str) -> None:
    write_codex_home(home / ".codex", f"{address}/v1")


CODEX = AgentHome(RuntimeKind.CODEX, _write_codex_home)
"""It also needs `codex_home.FAKE_KEY_NAME` in its environment."""
CLAUDE = AgentHome(RuntimeKind.CLAUDE_CODE, _write_claude_home)
PI = AgentHome(RuntimeKind.PI, _write_pi_home)
