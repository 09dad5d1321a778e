"""PicoClaw: its command line, a process per turn, or its gateway, a WebSocket per turn (runtimes §4).

Of `runtime.command`, `runtime.events_url` and `runtime.control_url` the first that is set decides. What the gateway
says is read by `picoclaw_events.py`; a control URL is `control.py`'s.
"""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import quote, urlsplit

import attrs
import orjson
import trio

from bridge import limits
from bridge.config import AttachmentConfig
from bridge.errors import AttachRefused, ConnectionLost
from bridge.runtimes.agent_http import header_text
from bridge.runtimes.cli_agent import session_key
from bridge.runtimes.control import open_control
from bridge.runtimes.picoclaw_events import PicoTurn
from bridge.runtimes.runtime import Runtime, RuntimeMisconfigured, Turn, TurnFailed
from bridge.runtimes.turn_process import TurnProcess, describe_failure, shorten
from moltnet.client.address import ServerAddress, parse_server_address
from moltnet.client.errors import BadServerAddress
from moltnet.client.websocket import WebSocket, open_websocket
from moltnet.config.secrets import Secret
from moltnet.log import get_logger
from moltnet.protocol.times import utc_now

log = get_logger("bridge.picoclaw")

_MARK: Final = "\N{LOBSTER}"
_CUT: Final = "\n(cut here: the rest is too long for a command line; `moltnet read` shows it)\n"


# The command line -----------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class PicoClawCommand:
    """`picoclaw agent`, which keeps a session under any key that begins with `agent:`."""

    _command: tuple[str, ...]
    _args: tuple[str, ...]
    _session_prefix: str
    _process: TurnProcess

    async def run_turn(self, turn: Turn) -> str | None:
        """See `Runtime.run_turn`. It takes the prompt as an argument only, where its length is bounded."""
        session = session_key(self._session_prefix, turn.conversation)
        argv = (*self._command, "agent", *self._args, "--session", session, "--message", as_argument(turn.prompt))
        with self._process.time_limit():
            ending = await self._process.run(argv, turn)
        log.debug("picoclaw ended", session=session, exit_code=ending.exit_code, output=ending.output)
        if ending.exit_code != 0:
            raise TurnFailed(f"picoclaw: {describe_failure(ending)}", retryable=True)
        return answer_in(ending.output)


def as_argument(prompt: str) -> str:
    """The prompt as one argument: without nulls, and cut where the system would refuse it."""
    text = prompt.replace("\0", "\N{REPLACEMENT CHARACTER}")
    data = text.encode(errors="replace")
    if len(data) <= limits.MAX_ARGUMENT_BYTES:
        return data.decode()
    whole = data[: limits.MAX_ARGUMENT_BYTES - len(_CUT.encode())].decode(errors="ignore")
    return whole.rpartition("\n")[0] + _CUT


def answer_in(output: str) -> str | None:
    """What the agent said: what stands behind the mark."""
    _, mark, said = output.partition(_MARK)
    return said.strip() if mark else None


# The gateway ----------------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class PicoClawEvents:
    """The channel `pico` of a gateway. Each turn has a connection of its own, or its answer would be lost there."""

    _server: ServerAddress
    _path: str
    _token: Secret | None
    _session_prefix: str
    _turn_seconds: float

    async def run_turn(self, turn: Turn) -> str | None:
        """See `Runtime.run_turn`. There is no way to stop a turn: cut, it goes on in the gateway."""
        prompt = turn.checked_prompt()
        session = session_key(self._session_prefix, turn.conversation)
        joint = "&" if "?" in self._path else "?"
        path = f"{self._path}{joint}session_id={quote(session, safe='')}"
        token = None if self._token is None else header_text(self._token)
        with trio.move_on_after(self._turn_seconds) as limit:
            try:
                async with open_websocket(
                    self._server, token, os.environ, path=path, max_message_bytes=limits.MAX_AGENT_ANSWER_BYTES
                ) as websocket:
                    return await _converse(websocket, session, prompt)
            except ConnectionLost as lost:
                raise TurnFailed(f"picoclaw: {shorten(lost.reason)}", retryable=True) from lost
            except AttachRefused as refusal:
                said = refusal.reason.partition("; ")[0]
                raise RuntimeMisconfigured(
                    f"picoclaw: {said}; look at runtime.events_url, and at runtime.token, that of its channel pico"
                ) from refusal
        assert limit.cancelled_caught
        raise TurnFailed(f"picoclaw: stopped after {self._turn_seconds:g} s", retryable=True)


async def _converse(websocket: WebSocket, session: str, prompt: str) -> str | None:
    """Say it, and listen until the agent has stopped typing and nothing more comes. Raises `ConnectionLost`."""
    state = PicoTurn(uuid.uuid4().hex)
    frame = {
        "type": "message.send",
        "id": state.request_id,
        "session_id": session,
        "timestamp": int(utc_now().timestamp() * 1000),
        "payload": {"content": prompt},
    }
    await websocket.send(orjson.dumps(frame).decode())
    while True:
        with trio.move_on_after(limits.PICOCLAW_QUIET_SECONDS if state.has_stopped else float("inf")) as quiet:
            state.read(await websocket.receive())
        if state.failure is not None:
            raise TurnFailed(f"picoclaw: {shorten(state.failure)}", retryable=True)
        if quiet.cancelled_caught:
            return state.said


# Either ---------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def open_picoclaw(config: AttachmentConfig) -> AsyncIterator[Runtime]:
    """The runtime of kind `picoclaw`. Raises `RuntimeMisconfigured`."""
    runtime = config.runtime
    prefix = runtime.session_prefix or f"agent:{config.agent.id}"
    if runtime.command:
        process = TurnProcess.of(config, _variables(config))
        process.require(runtime.command[0])
        yield PicoClawCommand(runtime.command, runtime.args, prefix, process)
    elif runtime.events_url:
        server, path = _address(runtime.events_url)
        yield PicoClawEvents(server, path, runtime.token, prefix, runtime.turn_seconds)
    elif runtime.control_url:
        async with open_control(config) as control:
            yield control
    else:
        raise RuntimeMisconfigured("picoclaw needs runtime.command, runtime.events_url or runtime.control_url")


def _variables(config: AttachmentConfig) -> dict[str, str]:
    runtime = config.runtime
    given: dict[str, str] = {}
    if runtime.config_path is not None:
        given["PICOCLAW_CONFIG"] = str(runtime.config_path)
    if runtime.home_path is not None:
        home = str(runtime.home_path)
        given |= {"HOME": home, "PICOCLAW_HOME": home, "CODEX_HOME": str(runtime.home_path / ".codex")}
    return given


def _address(url: str) -> tuple[ServerAddress, str]:
    """The server of a `ws` URL, and the path with its query."""
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    try:
        server = parse_server_address(f"{scheme}://{parts.netloc}")
    except BadServerAddress as error:
        raise RuntimeMisconfigured(f"runtime.events_url: {error}") from error
    return server, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
