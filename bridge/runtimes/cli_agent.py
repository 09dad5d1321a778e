"""Agent CLIs that run once per turn and keep sessions by id: which session a turn continues, and when a new one begins.

What differs between the CLIs, their arguments and what their output means, is a `Dialect`: `codex.py`,
`claude_code.py`, `pi.py`.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import attrs
import orjson

from bridge.config import AttachmentConfig
from bridge.process import Ending
from bridge.runtimes.runtime import Conversation, Turn, TurnFailed
from bridge.runtimes.turn_order import TurnOrder
from bridge.runtimes.turn_process import TurnProcess
from bridge.sessions import SessionStore, SessionStoreError
from moltnet.log import get_logger

log = get_logger("bridge.cli_agent")


class SessionUnknown(Exception):
    """The CLI does not have the session that was to be continued; nothing of the turn was done."""


class Transcript(Protocol):
    """Reads the output of one run."""

    @property
    def session_id(self) -> str | None:
        """The session of this run: from the beginning if its id is ours to choose, else once the CLI has named it."""
        ...

    def read(self, line: bytes) -> None:
        """Take one line of stdout; anything may come. Raises `SessionUnknown`, which ends the run."""
        ...

    def judge(self, ending: Ending) -> str | None:
        """The agent's last word, if the turn was finished. Raises `SessionUnknown`, `TurnFailed` or
        `RuntimeMisconfigured`."""
        ...


@attrs.frozen
class Run:
    """One process of a CLI: its command, which gets the prompt on stdin, and the reader of what it prints."""

    argv: tuple[str, ...]
    transcript: Transcript


class Dialect(Protocol):
    """What one CLI wants to hear and how it answers."""

    def can_resume(self, session_id: str) -> bool:
        """Whether this text can be a session of this CLI. A stored id that cannot is not passed on."""
        ...

    def begin(self) -> Run:
        """A run that begins a session."""
        ...

    def resume(self, session_id: str) -> Run:
        """A run that continues a session."""
        ...


@attrs.define(eq=False)
class CliAgent:
    """A runtime whose conversations are sessions of a CLI. One turn at a time per conversation, others beside it."""

    _dialect: Dialect
    _process: TurnProcess
    _sessions: SessionStore
    _session_prefix: str
    _order: TurnOrder = attrs.field(factory=TurnOrder, init=False)

    @classmethod
    def of(cls, config: AttachmentConfig, dialect: Dialect, process: TurnProcess) -> "CliAgent":
        """The CLI of an attachment, with the sessions where its configuration wants them."""
        sessions = SessionStore(config.runtime.session_store_path or config.state_dir / "sessions.json")
        return cls(dialect, process, sessions, config.runtime.session_prefix or f"agent:{config.agent.id}")

    async def run_turn(self, turn: Turn) -> str | None:
        """See `Runtime.run_turn`. The turn limit counts from when the conversation's earlier turn is over."""
        key = session_key(self._session_prefix, turn.conversation)
        # Of two processes in one session the CLI refuses one or forgets one.
        async with self._order.only_turn(key):
            said: str | None = None
            with self._process.time_limit():
                said = await self._run_in_session(turn, key)
            return said

    async def _run_in_session(self, turn: Turn, key: str) -> str | None:
        session_id = await self._find_session(key)
        if session_id is not None:
            try:
                return await self._run_once(turn, key, self._dialect.resume(session_id))
            except SessionUnknown:
                log.warning("session unknown to the runtime, beginning another", session=key, session_id=session_id)
                await self._forget_session(key, session_id)
        return await self._run_once(turn, key, self._dialect.begin())

    async def _run_once(self, turn: Turn, key: str, run: Run) -> str | None:
        transcript = run.transcript
        remembered: str | None = None

        async def remember() -> None:
            nonlocal remembered
            # At once and not at the end: a turn that is cut goes on in its session too.
            if transcript.session_id is not None and transcript.session_id != remembered:
                remembered = transcript.session_id
                await self._remember_session(key, remembered)

        async def read(line: bytes) -> None:
            transcript.read(line)
            await remember()

        await remember()
        ending = await self._process.run(run.argv, turn, on_line=read)
        log.debug("run ended", session=key, session_id=transcript.session_id, exit_code=ending.exit_code)
        return transcript.judge(ending)

    async def _find_session(self, key: str) -> str | None:
        try:
            session_id = await self._sessions.find(key)
        except SessionStoreError as error:
            # A new session now would put the conversation's memory out of reach for good.
            raise TurnFailed(str(error), retryable=True) from error
        if session_id is None or self._dialect.can_resume(session_id):
            return session_id
        log.warning("stored session id is none of this runtime's, beginning another", session=key)
        return None

    async def _remember_session(self, key: str, session_id: str) -> None:
        try:
            await self._sessions.remember(key, session_id)
        except SessionStoreError as error:
            # The turn is worth more than its memory.
            log.error("session not remembered, the next turn begins another", session=key, reason=str(error))

    async def _forget_session(self, key: str, session_id: str) -> None:
        try:
            await self._sessions.forget(key, session_id)
        except SessionStoreError as error:
            log.warning("session not forgotten", session=key, reason=str(error))


def process_at_home(config: AttachmentConfig, given: Mapping[str, str], settings_variable: str) -> TurnProcess:
    """The processes of a CLI whose settings lie in its home, or where that variable of the node says.

    `given` is what they get unless `runtime.env` names it. Raises `RuntimeMisconfigured`.
    """
    runtime = config.runtime
    given = {name: value for name, value in given.items() if name not in runtime.env}
    if runtime.home_path is None:
        return TurnProcess.of(config, given, passed=(settings_variable,))
    # The node's own variable would send all agents to one home.
    return TurnProcess.of(config, {**given, "HOME": str(runtime.home_path)})


def parse_event(line: bytes) -> Mapping[str, Any]:
    """A line of output as the JSON object that it is; empty for anything else."""
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return event if isinstance(event, dict) else {}


def session_key(prefix: str, conversation: Conversation) -> str:
    """The name of a conversation's session in the store (runtimes §6.1): `<prefix>:<network>:room|dm|thread:<id>`."""
    return f"{prefix}:{conversation.key}"
