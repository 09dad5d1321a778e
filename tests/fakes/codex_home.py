"""A CODEX_HOME for the real Codex CLI with the fake model behind it, and where the installed CLI is.

The settings keep Codex on loopback: no plugin sync, no analytics, no update check, and a model server that is down
ends the turn at once instead of never.
"""

import os
from pathlib import Path

FAKE_KEY_NAME = "FAKE_API_KEY"
"""Codex does not call the provider unless this variable holds something; pass it through the runtime's `env`."""

_RUNTIMES = Path(os.environ.get("MOLTNET_TEST_RUNTIMES") or Path(__file__).parents[2] / ".cache" / "runtimes")


def find_codex() -> Path:
    """The native program that `make runtimes` fetched; npm's wrapper around it would only add Node.

    Raises `FileNotFoundError` if it is not there: a test that needs it fails, it is never passed over.
    """
    codex = _RUNTIMES / "codex" / "bin" / "codex"
    if not codex.exists():
        raise FileNotFoundError(f"the real Codex CLI is missing at {codex}: run `make runtimes`")
    return codex


def temporary_directory(directory: Path) -> dict[str, str]:
    """A `TMPDIR` in `directory`, for the environment of a Codex whose home is beside it.

    Where bubblewrap is installed, Codex runs commands through links in its home, and makes none in a home below the
    temporary directory, which is where tests have theirs.
    """
    temporary = directory / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return {"TMPDIR": str(temporary)}


def write_codex_home(directory: Path, model_base_url: str) -> None:
    """Write `config.toml` into `directory` (made if needed), so that Codex talks to the model at `model_base_url`.

    Sandbox and approval settings are left out on purpose: the adapter has to bring what `moltnet send` needs.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.toml").write_text(
        f"""\
model = "fake-model"
model_provider = "fake"
check_for_update_on_startup = false

[model_providers.fake]
name = "Fake"
base_url = "{model_base_url}"
wire_api = "responses"
env_key = "{FAKE_KEY_NAME}"
request_max_retries = 0
stream_max_retries = 0

[features]
plugins = false
unbounded_connection_retries = false

[analytics]
enabled = false
""",
        encoding="utf-8",
    )
