"""The real OpenClaw gateway as a process, with the fake model behind it. It stays on loopback."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

TOKEN = "gateway-token-of-a-test"
STOP_SECONDS = 30.0

_RUNTIMES = Path(os.environ.get("MOLTNET_TEST_RUNTIMES") or Path(__file__).parents[2] / ".cache" / "runtimes")


def find_openclaw() -> Path:
    """The program that `make runtimes` fetched. Raises `FileNotFoundError`: a test that needs it fails without it."""
    openclaw = _RUNTIMES / "openclaw" / "bin" / "openclaw"
    if not openclaw.exists():
        raise FileNotFoundError(f"the real OpenClaw is missing at {openclaw}: run `make runtimes`")
    return openclaw


@attrs.define(eq=False)
class GatewayProcess:
    """One gateway, which can be stopped and started again with the same port and state."""

    directory: Path
    port: int
    model: socket.socket
    """Listens for the gateway's requests to its model; a test serves it with `open_model_server`."""
    path: Path | None = None
    _process: subprocess.Popen[bytes] | None = attrs.field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def workspace(self) -> Path:
        return self.directory / "workspace"

    def start(self) -> None:
        """Start it and don't wait: it is the client's business to try until it is ready."""
        environment = {
            "PATH": ":".join([*([str(self.path)] if self.path else []), os.environ["PATH"]]),
            "HOME": str(self.directory),
            "OPENCLAW_STATE_DIR": str(self.directory / "state"),
            "OPENCLAW_CONFIG_PATH": str(self._write_config()),
            # Nothing but loopback, no second process in its place, and the environment as it is.
            "OPENCLAW_DISABLE_BONJOUR": "1",
            "OPENCLAW_NO_RESPAWN": "1",
            "OPENCLAW_SKIP_CHANNELS": "1",
            "OPENCLAW_EXEC_SHELL_SNAPSHOT": "0",
            "OPENCLAW_NO_AUTO_UPDATE": "1",
        }
        with (self.directory / "gateway.out").open("ab") as output:
            self._process = subprocess.Popen(
                [find_openclaw(), "gateway", "run"],
                cwd=self.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it and all that it started. SIGTERM lets it finish first."""
        if self._process is None:
            return
        if number is not signal.SIGKILL:
            self._process.send_signal(number)
            self._process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(STOP_SECONDS)
        self._process = None

    def _write_config(self) -> Path:
        self.workspace.mkdir(exist_ok=True)
        model = {
            "id": "fake-model",
            "name": "Fake",
            "reasoning": False,
            "input": ["text"],
            "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0},
            "contextWindow": 128_000,
            "maxTokens": 4096,
        }
        provider = {
            "baseUrl": f"http://127.0.0.1:{self.model.getsockname()[1]}/v1",
            "apiKey": "unused",
            "api": "openai-completions",
            "models": [model],
        }
        config = {
            "gateway": {
                "mode": "local",
                "port": self.port,
                "bind": "loopback",
                "auth": {"mode": "token", "token": TOKEN},
                "controlUi": {"enabled": False},
            },
            "update": {"checkOnStart": False},
            "logging": {"file": str(self.directory / "gateway.log")},
            "agents": {
                "defaults": {
                    "model": {"primary": "fake/fake-model"},
                    "workspace": str(self.workspace),
                    "skipBootstrap": True,
                }
            },
            "models": {"mode": "replace", "catalogRefresh": {"enabled": False}, "providers": {"fake": provider}},
        }
        path = self.directory / "openclaw.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        return path


@contextmanager
def running_gateway(directory: Path, *, path: Path | None = None) -> Iterator[GatewayProcess]:
    """A gateway that was started, and nothing of it afterwards. `path` is where its agents find more programs."""
    with socket.create_server(("127.0.0.1", 0)) as model:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        gateway = GatewayProcess(directory, port, model, path)
        gateway.start()
        try:
            yield gateway
        finally:
            gateway.stop()
