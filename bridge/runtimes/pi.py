"""pi: `pi --print`, one process per turn, one session file per conversation (real runtimes §6); or a control URL.

The words of its print mode are few and its exit code says how it went. Its JSON mode repeats the whole answer with each
piece of it, and its exit code is 0 for a model that is down.
"""

import re
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs

from bridge.config import AttachmentConfig
from bridge.process import Ending
from bridge.runtimes.cli_agent import CliAgent, Run, process_at_home
from bridge.runtimes.control import open_control
from bridge.runtimes.runtime import Runtime, RuntimeMisconfigured, TurnFailed
from bridge.runtimes.turn_process import describe_failure, shorten

CONFIG_DIRECTORY: Final = "PI_CODING_AGENT_DIR"
"""The variable of the node that is pi's own. Keys of models are named in the runtime's `env`."""

# It looks for updates of itself and counts installations when it starts.
_GIVEN: Final[Mapping[str, str]] = {"PI_OFFLINE": "1", "PI_TELEMETRY": "0"}

_WARNING: Final = "warning"
_BAD_SETTINGS: Final = re.compile(
    r"(error: )?(unknown option|model \"|no (api key|models?) )|40[134]\b|error: no (api key|models?) ", re.IGNORECASE
)


@attrs.frozen
class PiDialect:
    """The arguments of `pi --print`. A session is a file in `sessions`; pi makes one that is not there yet."""

    command: tuple[str, ...]
    sessions: Path
    args: tuple[str, ...] = ()

    def can_resume(self, session_id: str) -> bool:
        """Whether it is a UUID, so a name of ours for a file."""
        try:
            return str(uuid.UUID(session_id)) == session_id
        except ValueError:
            return False

    def begin(self) -> Run:
        return self.resume(str(uuid.uuid4()))

    def resume(self, session_id: str) -> Run:
        """A file that is gone, or was never written because the model never answered, is begun anew by pi."""
        file = self.sessions / f"{session_id}.jsonl"
        return Run((*self.command, "--print", *self.args, "--session", str(file)), PiTranscript(session_id))


@attrs.frozen
class PiTranscript:
    """One run. Its output is the answer and holds no events."""

    session_id: str

    def read(self, line: bytes) -> None:
        """Nothing in it is for us."""

    def judge(self, ending: Ending) -> str | None:
        if ending.exit_code == 0:
            return ending.output.strip()
        said = _first_error(ending.errors)
        reason = shorten(f"pi: {said or describe_failure(ending)}")
        if _BAD_SETTINGS.match(said):
            raise RuntimeMisconfigured(reason)
        raise TurnFailed(reason, retryable=True)


@asynccontextmanager
async def open_pi(config: AttachmentConfig) -> AsyncIterator[Runtime]:
    """The runtime of kind `pi`. Raises `RuntimeMisconfigured`."""
    runtime = config.runtime
    if runtime.control_url:
        async with open_control(config) as control:
            yield control
        return
    if runtime.workspace_path is None:
        raise RuntimeMisconfigured("pi needs runtime.workspace_path or runtime.control_url")
    command = runtime.command or ("pi",)
    process = process_at_home(config, _GIVEN, CONFIG_DIRECTORY)
    process.require(command[0])
    # In the workspace, which a sandbox has too.
    files = runtime.workspace_path / ".moltnet" / "pi-sessions"
    yield CliAgent.of(config, PiDialect(command, files, runtime.args), process)


def _first_error(errors: str) -> str:
    """The first line that is no warning: what comes after it is advice."""
    lines = (line.strip() for line in errors.splitlines())
    return next((line for line in lines if line and not line.lower().startswith(_WARNING)), "")
