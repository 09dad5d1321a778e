"""Turns as runs of an OpenClaw agent: one session per conversation, and no run twice for one turn (runtimes §3.3).

A run is named by us, and its name is on disk before the gateway hears it. So a turn that comes again, after a crash of
the node or a lost connection, first asks what became of the run that it began; only if that failed, or never was, it
begins another. How the gateway is reached is the business of `gateway.py`.
"""

import hashlib
import math
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import trio

from bridge import limits
from bridge.config import AttachmentConfig
from bridge.errors import ConnectionLost, single_error
from bridge.runtime_rules import OPENCLAW_PREFIX
from bridge.runtimes.openclaw.device import FILE_NAME, open_device_key
from bridge.runtimes.openclaw.frames import call_failure
from bridge.runtimes.openclaw.gateway import Gateway, GatewayAccess, GatewayLink, GatewayRefused
from bridge.runtimes.openclaw.history import RunState, last_word, run_state
from bridge.runtimes.runtime import Conversation, Runtime, RuntimeMisconfigured, Turn, TurnFailed
from bridge.runtimes.turn_order import TurnOrder
from bridge.runtimes.turn_process import shorten
from bridge.sessions import SessionStore, SessionStoreError
from moltnet.backoff import backoff_delays
from moltnet.client.address import parse_server_address
from moltnet.client.errors import BadServerAddress, one_line
from moltnet.log import get_logger

log = get_logger("bridge.openclaw")

TOKEN_VARIABLE: Final = "OPENCLAW_GATEWAY_TOKEN"
RUNS_FILE: Final = "openclaw-runs.json"

# What it is told comes from others and not from its owner, and no line of it is a command.
_PROVENANCE: Final = {"kind": "inter_session", "sourceChannel": "moltnet"}
_RUN: Final = "agent"
_WAIT: Final = "agent.wait"
_SEND: Final = "chat.send"
_OVER: Final = " over"


@attrs.define(eq=False)
class Run:
    """One run of the agent. `gateway` is the connection over which it was begun: whoever is there knows it."""

    id: str
    session_key: str
    prompt: str | None
    """None for a run of an earlier life, which is waited for and never begun."""
    sent: bool = False
    gateway: Gateway | None = None
    interrupted_at: float | None = None
    said: str | None = None
    """The agent's last word, once it is over."""


@attrs.define(eq=False)
class OpenClawRuntime:
    """The agent behind one gateway. One turn at a time per conversation, others beside it."""

    _link: GatewayLink
    _runs: SessionStore
    """The last run of each conversation, with a mark if we have seen its end."""
    _agent_id: str
    _prefix: str
    _turn_seconds: float
    _order: TurnOrder = attrs.field(factory=TurnOrder, init=False)

    async def run_turn(self, turn: Turn) -> str | None:
        """See `Runtime.run_turn`. Cut, the gateway is told to abort the run; if it cannot be told, the run goes on
        there, and the next turn of the conversation waits for it."""
        prompt = turn.checked_prompt()
        key = session_key(self._prefix, turn.conversation)
        # There is one place for the last run of a session.
        async with self._order.only_turn(key):
            with trio.move_on_after(self._turn_seconds):
                return await self._run_in_session(turn, key, prompt)
            raise TurnFailed(f"stopped after {self._turn_seconds:g} s", retryable=True)

    async def _run_in_session(self, turn: Turn, key: str, prompt: str) -> str | None:
        stem = f"moltnet:{turn.conversation.network_id}:{self._agent_id}:{turn.message_id}"
        try:
            earlier, is_over = _parse_record(await self._runs.find(key))
            is_ours = bool(turn.message_id) and earlier.rpartition(":")[0] == stem
            if earlier and (is_ours or not is_over):
                run = Run(earlier, key, None, sent=True)
                if await self._was_finished(run) and is_ours:
                    log.info("turn was finished by an earlier run", session=key, run_id=earlier)
                    await self._runs.remember(key, earlier + _OVER)
                    return run.said
            run = Run(f"{stem}:{secrets.token_hex(4)}", key, prompt)
            await self._runs.remember(key, run.id)
            try:
                await self._finish(run)
            except RunFailed:
                await self._runs.forget(key, run.id)
                raise
            # Not forgotten: whoever gave us the turn has yet to write down that it is done.
            await self._runs.remember(key, run.id + _OVER)
        except SessionStoreError as error:
            raise TurnFailed(str(error), retryable=True) from error
        return run.said

    async def _was_finished(self, run: Run) -> bool:
        """Wait for a run that was begun before; whether it went well."""
        log.info("waiting for an earlier run", session=run.session_key, run_id=run.id)
        try:
            await self._finish(run)
        except RunFailed as failure:
            log.info("an earlier run failed", run_id=run.id, reason=failure.reason)
            return False
        return True

    async def _finish(self, run: Run) -> None:
        """Begin a run if the gateway does not have it, and wait until it is over, through losses of the connection.

        Raises:
            RunFailed: it is over, or never was.
            TurnFailed: what becomes of it is not known.
        """
        delays = backoff_delays(
            base_seconds=limits.RECONNECT_BASE_SECONDS, cap_seconds=limits.GATEWAY_RETRY_CAP_SECONDS
        )
        try:
            while True:
                try:
                    gateway = await self._link.gateway()
                except ConnectionLost as loss:
                    raise TurnFailed(f"openclaw: {loss.reason}", retryable=True) from loss
                try:
                    if await self._advance(gateway, run):
                        return
                except ConnectionLost as loss:
                    log.info("gateway lost during a run", run_id=run.id, reason=loss.reason)
                    await trio.sleep(next(delays))
        except trio.Cancelled:
            await self._abort(run)
            raise

    async def _advance(self, gateway: Gateway, run: Run) -> bool:
        """One step towards the end of a run; whether it is there."""
        if not run.sent:
            return await self._begin(gateway, run)
        if _WAIT not in gateway.methods:
            await trio.sleep(limits.GATEWAY_LOOK_SECONDS)
            return await self._look(gateway, run)
        if run.gateway is gateway:
            return await self._wait(gateway, run, limits.GATEWAY_WAIT_SECONDS)
        # It may be another process than the one that began it, which says no more than that nothing is over.
        return await self._wait(gateway, run, limits.GATEWAY_LOOK_SECONDS) or await self._look(gateway, run)

    async def _begin(self, gateway: Gateway, run: Run) -> bool:
        run.sent, run.gateway = True, gateway
        params = {
            "sessionKey": run.session_key,
            "message": run.prompt,
            "idempotencyKey": run.id,
            "deliver": False,
        }
        extras = {"inputProvenance": _PROVENANCE, "timeout": math.ceil(self._turn_seconds)}
        try:
            if _RUN in gateway.methods:
                try:
                    answer = await gateway.call(_RUN, {**params, **extras})
                except GatewayRefused as refused:
                    if refused.refusal.code != "FORBIDDEN" or _SEND not in gateway.methods:
                        raise
                    answer = await gateway.call(_SEND, params)
            else:
                answer = await gateway.call(_SEND, params)
        except GatewayRefused as refused:
            raise _run_failure(refused) from refused
        run.said = _payload_text(answer)
        return answer.get("status") == "ok"

    async def _wait(self, gateway: Gateway, run: Run, seconds: float) -> bool:
        params = {"runId": run.id, "timeoutMs": int(seconds * 1000)}
        try:
            answer = await gateway.call(_WAIT, params, longer_seconds=seconds)
        except GatewayRefused as refused:
            raise call_failure(refused.method, refused.refusal) from refused
        match answer.get("status"):
            case "ok":
                run.said = _reply_text(answer)
                return True
            case "error":
                raise RunFailed(_reason(answer))
            case "timeout" if "endedAt" in answer:
                raise RunFailed(_reason(answer))
            case _:
                return False

    async def _look(self, gateway: Gateway, run: Run) -> bool:
        params = {"sessionKey": run.session_key, "limit": limits.GATEWAY_HISTORY_ENTRIES}
        try:
            history = await gateway.call("chat.history", params)
        except GatewayRefused as refused:
            raise call_failure(refused.method, refused.refusal) from refused
        state = run_state(history, run.id)
        if state is not RunState.INTERRUPTED:
            run.interrupted_at = None
        match state:
            case RunState.FINISHED:
                run.said = last_word(history, run.id)
                return True
            case RunState.FAILED:
                raise RunFailed("openclaw: the run failed")
            case RunState.UNKNOWN if run.prompt is None:
                raise RunFailed("openclaw: the run was never begun")
            case RunState.UNKNOWN:
                return await self._begin(gateway, run)
            case RunState.INTERRUPTED:
                now = trio.current_time()
                run.interrupted_at = now if run.interrupted_at is None else run.interrupted_at
                if now - run.interrupted_at >= limits.GATEWAY_RESUME_SECONDS:
                    raise RunFailed("openclaw: the run was interrupted and not taken up again")
        return False

    async def _abort(self, run: Run) -> None:
        """Tell the gateway, if it is there, that nobody waits for this run. Raises nothing."""
        with trio.move_on_after(limits.GATEWAY_ABORT_SECONDS, shield=True) as limit:
            gateway = self._link.connected
            if not run.sent or gateway is None:
                return
            try:
                await gateway.call("chat.abort", {"sessionKey": run.session_key, "runId": run.id})
            except (ConnectionLost, GatewayRefused) as error:
                log.warning("run not aborted", run_id=run.id, reason=str(error))
        if limit.cancelled_caught:
            log.warning("run not aborted", run_id=run.id, reason="the gateway did not answer")


class RunFailed(TurnFailed):
    """The run is over and was not finished; another one may be."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, retryable=True)


@asynccontextmanager
async def open_openclaw(config: AttachmentConfig) -> AsyncIterator[Runtime]:
    """The runtime of kind `openclaw`. Connects when the first turn needs it. Raises `RuntimeMisconfigured`."""
    runtime = config.runtime
    try:
        address = parse_server_address(runtime.gateway_url.replace("ws", "http", 1))
    except BadServerAddress as error:
        raise RuntimeMisconfigured(f"runtime.gateway_url: {error}") from error
    device = await trio.to_thread.run_sync(open_device_key, config.state_dir / FILE_NAME)

    def find_token() -> str:
        return runtime.token.reveal().strip() if runtime.token else os.environ.get(TOKEN_VARIABLE, "").strip()

    access = GatewayAccess(address, config.agent.id, device, find_token)
    runs = SessionStore(config.state_dir / RUNS_FILE)
    prefix = runtime.session_prefix or OPENCLAW_PREFIX
    with single_error():
        async with trio.open_nursery() as nursery:
            yield OpenClawRuntime(GatewayLink(access, nursery), runs, config.agent.id, prefix, runtime.turn_seconds)
            nursery.cancel_scope.cancel(reason="the runtime is closed")


def session_key(prefix: str, conversation: Conversation) -> str:
    """The session of a conversation: `<prefix>:moltnet:<network>:room|dm|thread:<id>`, for example with the prefix
    `agent:main`.

    The gateway does not tell capital letters from small ones and takes no longer names, so a name that it would change
    gets a hash.
    """
    key = f"{prefix}:moltnet:{conversation.key}"
    if key == key.lower() and len(key) <= limits.MAX_GATEWAY_SESSION_CHARACTERS:
        return key
    mark = f"~{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    return key.lower()[: limits.MAX_GATEWAY_SESSION_CHARACTERS - len(mark)] + mark


def _run_failure(refused: GatewayRefused) -> Exception:
    if refused.payload.get("status") == "error":  # it knows the run, and that it failed
        return RunFailed(_reason(refused.payload))
    return call_failure(refused.method, refused.refusal)


def _parse_record(record: str | None) -> tuple[str, bool]:
    """The run of a record, and whether it is over."""
    return (record or "").removesuffix(_OVER), (record or "").endswith(_OVER)


def _reply_text(answer: Mapping[str, Any]) -> str | None:
    match answer.get("terminalReply"):
        case {"disposition": "visible", "text": str(text)}:
            return text or None
    return None


def _payload_text(answer: Mapping[str, Any]) -> str | None:
    match answer.get("result"):
        case {"payloads": [*payloads]}:
            texts = [payload.get("text") for payload in payloads if isinstance(payload, dict)]
            return "\n\n".join(text for text in texts if isinstance(text, str) and text) or None
    return None


def _reason(payload: Mapping[str, Any]) -> str:
    for name in ("error", "summary", "stopReason"):
        text = payload.get(name)
        if isinstance(text, str) and text:
            return shorten(f"openclaw: {one_line(text)}")
    return "openclaw: the run failed without a reason"
