"""Claude Code: `claude --print`, one process per turn, one session per conversation (real runtimes §4)."""

import os
import shutil
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from bridge.config import AttachmentConfig
from bridge.process import Ending
from bridge.runtimes.cli_agent import CliAgent, Run, SessionUnknown, parse_event, process_at_home
from bridge.runtimes.runtime import Runtime, RuntimeMisconfigured, Turn, TurnFailed
from bridge.runtimes.turn_process import describe_failure, shorten
from bridge.settings import state_name
from moltnet.log import get_logger

log = get_logger("bridge.claude_code")

CONFIG_DIRECTORY: Final = "CLAUDE_CONFIG_DIR"
"""The variable of the node that is Claude's own. Keys of models are named in the runtime's `env`."""

# Nobody is there to be asked, and without a rule every command is refused, `moltnet send` too. `args` may add others.
_ALLOWED: Final = ("--allowedTools", "Bash(moltnet:*)")
# A program that changes itself under a node is nobody's wish; installing another version is the operator's.
_GIVEN: Final[Mapping[str, str]] = {"DISABLE_AUTOUPDATER": "1"}

_SCRATCH_VARIABLE: Final = "CLAUDE_CODE_TMPDIR"

_UNKNOWN_SESSION: Final = "no conversation found with session id"
_BUSY_SESSION: Final = "is already in use"
# Wrong key, no right to it, no such model: the same request would get the same answer.
_SETTINGS_STATUSES: Final = frozenset({401, 403, 404})
_NOT_LOGGED_IN: Final = "not logged in"
_BAD_SETTINGS: Final = ("error: ", "settings file not found", "root/sudo privileges")
# Told to stop at so many steps or dollars, it would stop there again.
_BUDGET_SPENT: Final = ("error_max_turns", "error_max_budget_usd")  # what came may be anything, also what has no hash


@attrs.frozen
class ClaudeDialect:
    """The arguments of `claude --print`."""

    command: tuple[str, ...]
    args: tuple[str, ...] = ()

    def can_resume(self, session_id: str) -> bool:
        """Whether it is a UUID."""
        try:
            return str(uuid.UUID(session_id)) == session_id.lower()
        except ValueError:
            return False

    def begin(self) -> Run:
        """The id is ours. Claude takes each once: one that was begun, and be it cut, can only be resumed."""
        session_id = str(uuid.uuid4())
        return Run((*self._options(), "--session-id", session_id), ClaudeTranscript(None, session_id))

    def resume(self, session_id: str) -> Run:
        return Run((*self._options(), "--resume", session_id), ClaudeTranscript(session_id, session_id))

    def _options(self) -> tuple[str, ...]:
        # The session comes last: the lists of tools in front of it take every word that is no option.
        return (*self.command, "--print", "--output-format", "stream-json", "--verbose", *_ALLOWED, *self.args)


@attrs.define(eq=False)
class ClaudeTranscript:
    """The events of one run. A turn is done if, and only if, the last `result` line says so: interrupted, Claude
    exits with 0."""

    _resumed: str | None
    session_id: str | None
    _result: Mapping[str, Any] | None = attrs.field(default=None, init=False)

    def read(self, line: bytes) -> None:
        event = parse_event(line)
        match event.get("type"), event.get("subtype"):
            case "system", "init":
                # Another one than was asked for is a fork of it (`--fork-session`), which knows all of it.
                named = event.get("session_id")
                self.session_id = named if isinstance(named, str) and named else self.session_id
            case "result", _:
                self._result = event

    def judge(self, ending: Ending) -> str | None:
        result = self._result or {}
        if result.get("is_error") is False and result.get("subtype") not in _BUDGET_SPENT:
            self._warn(result, ending)
            said = result.get("result")
            return said if isinstance(said, str) else None
        # What the model says is not looked at: only Claude itself knows about sessions and settings.
        errors = "\n".join([*_texts(result.get("errors")), ending.errors]).lower()
        reason = shorten(f"claude: {_failure(result, ending)}")
        if self._resumed is not None and _UNKNOWN_SESSION in errors:
            raise SessionUnknown
        if _BUSY_SESSION in errors:
            raise TurnFailed("claude: another process is using the session", retryable=True)
        if _needs_settings(result) or (not result and any(problem in errors for problem in _BAD_SETTINGS)):
            raise RuntimeMisconfigured(reason)
        raise TurnFailed(reason, retryable=result.get("subtype") not in _BUDGET_SPENT)

    def _warn(self, result: Mapping[str, Any], ending: Ending) -> None:
        denied = sorted({tool for denial in _list(result.get("permission_denials")) if (tool := _tool(denial))})
        if denied:
            log.warning(
                "claude was refused tools; runtime.args allows more of them", session=self.session_id, tools=denied
            )
        if ending.exit_code != 0:
            log.warning("claude finished the turn and failed afterwards", reason=describe_failure(ending))


@attrs.frozen
class ClaudeCode:
    """The sessions of one attachment, each with a place for what Claude leaves behind in temporary directories."""

    _agent: CliAgent
    _workspace: Path
    _places: tuple[str, ...]
    """The directory of all places, part by part, below the workspace: a sandbox has it too."""

    async def run_turn(self, turn: Turn) -> str | None:
        """See `Runtime.run_turn`."""
        place = (*self._places, state_name(turn.conversation.key))
        given = {_SCRATCH_VARIABLE: str(self._workspace.joinpath(*place))}
        try:
            return await self._agent.run_turn(attrs.evolve(turn, environment={**turn.environment, **given}))
        finally:
            await self._drop(place)

    async def tidy(self) -> None:
        """Drop what turns have left that were cut."""
        await self._drop(self._places)

    async def _drop(self, place: tuple[str, ...]) -> None:
        await trio.to_thread.run_sync(remove_below, self._workspace, place, abandon_on_cancel=True)


def remove_below(directory: Path, place: tuple[str, ...]) -> None:
    """Remove the tree at `place`, part by part below `directory`, if it is there.

    No link is followed on the way. An agent that runs meanwhile may put one anywhere, and what it may not delete in its
    sandbox we would delete for it.
    """
    *way, name = place
    with ExitStack() as opened, suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        opened.callback(os.close, descriptor)
        for part in way:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(part, flags, dir_fd=descriptor)
            opened.callback(os.close, descriptor)
        shutil.rmtree(name, ignore_errors=True, dir_fd=descriptor)


@asynccontextmanager
async def open_claude_code(config: AttachmentConfig) -> AsyncIterator[Runtime]:
    """The runtime of kind `claude-code`. Raises `RuntimeMisconfigured`."""
    runtime = config.runtime
    if runtime.workspace_path is None:
        raise RuntimeMisconfigured("claude-code needs runtime.workspace_path")
    command = runtime.command or ("claude",)
    process = process_at_home(config, _GIVEN, CONFIG_DIRECTORY)
    process.require(command[0])
    agent = CliAgent.of(config, ClaudeDialect(command, runtime.args), process)
    if _SCRATCH_VARIABLE in runtime.env:
        yield agent
        return
    claude = ClaudeCode(agent, runtime.workspace_path, (".moltnet", "tmp", state_name(config.agent.id)))
    await claude.tidy()
    yield claude


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [text for text in _list(value) if isinstance(text, str)]


def _tool(denial: Any) -> str:
    name = denial.get("tool_name") if isinstance(denial, dict) else None
    return name if isinstance(name, str) else ""


def _needs_settings(result: Mapping[str, Any]) -> bool:
    """Whether the model's service wants another key, or another model to be asked for."""
    said = result.get("result")
    not_logged_in = isinstance(said, str) and said.lower().startswith(_NOT_LOGGED_IN)
    status = result.get("api_error_status")
    return not_logged_in or (isinstance(status, int) and status in _SETTINGS_STATUSES)


def _failure(result: Mapping[str, Any], ending: Ending) -> str:
    """Why, in Claude's own words if it has any."""
    said = result.get("result")
    words = [*_texts(result.get("errors")), *([said] if isinstance(said, str) else [])]
    text = next((word.strip() for word in words if word.strip()), "")
    if text:
        return " ".join(text.split())
    subtype = result.get("subtype")
    if isinstance(subtype, str) and subtype:
        return subtype
    return f"ended without a result: {describe_failure(ending)}"
