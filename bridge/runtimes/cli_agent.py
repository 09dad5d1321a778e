"""Agent CLIs that run once per turn and keep sessions by id: which session a turn continues, and when a new one begins.

What differs between the CLIs, their arguments and what their output means, is a `Dialect`: `codex.py`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import attrs
import trio

from bridge.process import Ending
from bridge.runtimes.runtime import Conversation, Turn, TurnFailed
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
        """The session of this run, once the CLI has named it."""
        ...

    def read(self, line: bytes) -> None:
        """Take one line of stdout; anything may come. Raises `SessionUnknown`, which ends the run."""
        ...

    def judge(self, ending: Ending) -> None:
        """Return if the turn was finished. Raises `SessionUnknown`, `TurnFailed` or `RuntimeMisconfigured`."""
        ...


class Dialect(Protocol):
    """What one CLI wants to hear and how it answers."""

    def can_resume(self, session_id: str) -> bool:
        """Whether this text can be a session of this CLI. A stored id that cannot is not passed on."""
        ...

    def argv(self, session_id: str | None) -> tuple[str, ...]:
        """The command that continues a session, or begins one; the prompt comes on stdin."""
        ...

    def open_transcript(self, session_id: str | None) -> Transcript:
        """The reader of a run that continues this session, or begins one."""
        ...


@attrs.define(eq=False)
class CliAgent:
    """A runtime whose conversations are sessions of a CLI. One turn at a time per conversation, others beside it."""

    _dialect: Dialect
    _process: TurnProcess
    _sessions: SessionStore
    _session_prefix: str
    _turns: dict[str, trio.Lock] = attrs.field(factory=dict, init=False)

    async def run_turn(self, turn: Turn) -> None:
        """See `Runtime.run_turn`. The turn limit counts from when the conversation's earlier turn is over."""
        key = session_key(self._session_prefix, turn.conversation)
        async with self._only_turn(key):
            with self._process.time_limit():
                await self._run_in_session(turn, key)

    @asynccontextmanager
    async def _only_turn(self, key: str) -> AsyncIterator[None]:
        """Wait for the session to be free: of two processes in one session the CLI refuses one or forgets one."""
        turns = self._turns.setdefault(key, trio.Lock())
        async with turns:
            try:
                yield
            finally:
                if not turns.statistics().tasks_waiting:
                    del self._turns[key]

    async def _run_in_session(self, turn: Turn, key: str) -> None:
        session_id = await self._find_session(key)
        if session_id is not None:
            try:
                return await self._run_once(turn, key, session_id)
            except SessionUnknown:
                log.warning("session unknown to the runtime, beginning another", session=key, session_id=session_id)
                await self._forget_session(key, session_id)
        await self._run_once(turn, key, None)

    async def _run_once(self, turn: Turn, key: str, session_id: str | None) -> None:
        transcript = self._dialect.open_transcript(session_id)
        remembered = False

        async def read(line: bytes) -> None:
            nonlocal remembered
            transcript.read(line)
            # At once and not at the end: a turn that is cut goes on in its session too.
            if transcript.session_id is not None and not remembered:
                remembered = True
                await self._remember_session(key, transcript.session_id)

        ending = await self._process.run(self._dialect.argv(session_id), turn, on_line=read)
        log.debug("run ended", session=key, session_id=transcript.session_id, exit_code=ending.exit_code)
        transcript.judge(ending)

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


def session_key(prefix: str, conversation: Conversation) -> str:
    """The name of a conversation's session in the store (runtimes §6.1): `<prefix>:<network>:room|dm|thread:<id>`."""
    return f"{prefix}:{conversation.key}"
