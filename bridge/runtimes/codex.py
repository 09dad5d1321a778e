"""Codex: `codex exec --json`, one process per turn, one thread per conversation (real runtimes §3)."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs

from bridge.config import AttachmentConfig
from bridge.process import Ending
from bridge.runtimes.cli_agent import CliAgent, Run, SessionUnknown, parse_event
from bridge.runtimes.runtime import Runtime, RuntimeMisconfigured, TurnFailed
from bridge.runtimes.turn_process import TurnProcess, describe_failure, shorten
from moltnet.log import get_logger

log = get_logger("bridge.codex")

PASSED_NAMES: Final = ("CODEX_HOME", "CODEX_API_KEY")
"""Variables of the node that are Codex's own. Keys of other model providers are named in the runtime's `env`."""

DEFAULT_SETTINGS: Final = (
    'sandbox_mode="workspace-write"',  # the default, read-only, cannot reach the network at all
    "sandbox_workspace_write.network_access=true",  # or `moltnet send` does not reach its server
    'approval_policy="never"',  # nobody is there to be asked
    "allow_login_shell=false",  # a login shell resets PATH, and `moltnet` is not found
)
"""What an agent needs to answer. A thread does not remember them, so every run gets them; `args` come later and win."""

# Anything else is taken for a thread's name by Codex, which then begins a new thread without a word.
_THREAD_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# `thread_id` is what Codex says today, the others are its older names for it.
_THREAD_ID_NAMES: Final = ("thread_id", "session_id", "conversation_id")

_USAGE_EXIT_CODE: Final = 2
_UNKNOWN_THREAD: Final = "no rollout found"
_BUSY_THREAD: Final = "already has an active writer"
_BAD_SETTINGS: Final = ("error loading config", "error finding codex home")


@attrs.frozen
class CodexDialect:
    """The arguments of `codex exec`."""

    command: tuple[str, ...]
    args: tuple[str, ...] = ()

    def can_resume(self, session_id: str) -> bool:
        """Whether it is a UUID."""
        return _THREAD_ID.fullmatch(session_id) is not None

    def argv(self, session_id: str | None) -> tuple[str, ...]:
        """Options stand before `resume`, which takes few of them itself and none of `--sandbox`."""
        settings = (word for setting in DEFAULT_SETTINGS for word in ("-c", setting))
        resume = () if session_id is None else ("resume", session_id)
        return (*self.command, "exec", "--json", "--skip-git-repo-check", *settings, *self.args, *resume, "-")

    def begin(self) -> Run:
        """Codex chooses the thread."""
        return Run(self.argv(None), CodexTranscript(None))

    def resume(self, session_id: str) -> Run:
        return Run(self.argv(session_id), CodexTranscript(session_id))


@attrs.define(eq=False)
class CodexTranscript:
    """The events of one run. A turn is done if, and only if, Codex says `turn.completed`.

    An `error` item is none: Codex reports its own small troubles so and goes on.
    """

    _resumed: str | None
    session_id: str | None = attrs.field(default=None, init=False)
    _completed: bool = attrs.field(default=False, init=False)
    _failure: str = attrs.field(default="", init=False)
    _said: str | None = attrs.field(default=None, init=False)

    def read(self, line: bytes) -> None:
        event = parse_event(line)
        if self.session_id is None and (thread_id := _thread_id(event)) is not None:
            if self._resumed is not None and thread_id.lower() != self._resumed.lower():
                # Its first event, before the model is asked, so stopping it now leaves no trace in a room.
                raise SessionUnknown
            self.session_id = thread_id
        match event.get("type"):
            case "turn.completed":
                self._completed = True
            case "item.completed":
                self._said = _agent_message(event.get("item")) or self._said
            case "turn.failed":
                self._failure = _message(event.get("error"))
            case "error":
                self._failure = self._failure or _message(event)

    def judge(self, ending: Ending) -> str | None:
        if self._completed:
            if ending.exit_code != 0:
                log.warning("codex completed the turn and failed afterwards", reason=describe_failure(ending))
            return self._said
        errors = f"{self._failure}\n{ending.errors}".lower()
        reason = f"codex: {self._failure or describe_failure(ending)}"
        if self._resumed is not None and _UNKNOWN_THREAD in errors:
            raise SessionUnknown
        if _BUSY_THREAD in errors:
            raise TurnFailed("codex: another process is using the thread", retryable=True)
        if self.session_id is None and (
            ending.exit_code == _USAGE_EXIT_CODE or any(problem in errors for problem in _BAD_SETTINGS)
        ):
            raise RuntimeMisconfigured(shorten(reason))
        raise TurnFailed(shorten(reason), retryable=True)


@asynccontextmanager
async def open_codex(config: AttachmentConfig) -> AsyncIterator[Runtime]:
    """The runtime of kind `codex`. Raises `RuntimeMisconfigured`."""
    runtime = config.runtime
    command = runtime.command or ("codex",)
    given: dict[str, str] = {}
    if runtime.home_path is not None:
        given = {"HOME": str(runtime.home_path), "CODEX_HOME": str(runtime.home_path / ".codex")}
    process = TurnProcess.of(config, given, passed=PASSED_NAMES)
    process.require(command[0])
    yield CliAgent.of(config, CodexDialect(command, runtime.args), process)


def _thread_id(event: Mapping[str, Any]) -> str | None:
    for name in _THREAD_ID_NAMES:
        value = event.get(name)
        if isinstance(value, str) and value:
            return value
    return None


def _agent_message(item: Any) -> str | None:
    text = item.get("text") if isinstance(item, dict) and item.get("type") == "agent_message" else None
    return text if isinstance(text, str) else None


def _message(error: Any) -> str:
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else "failed without a reason"
