"""TinyClaw: a queue over HTTP; each turn is put into it, and is over when its response is there (runtimes §5).

The queue is shared: by all agents of one TinyClaw, and by whoever uses the same channel. So each message has an id of
ours, `<message id>~<agent id>`, and of the responses only those to such ids are taken out, as theirs belong to others.
TinyClaw itself knows an id again: a turn that comes again, after a lost answer or a crash of the node, is not done
twice but waited for.

The other way to reach it, `runtime.control_url`, is `control.py`.
"""

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote

import attrs
import trio

from bridge import limits
from bridge.config import AttachmentConfig
from bridge.runtimes.agent_http import AgentAddress, open_agent
from bridge.runtimes.control import open_control
from bridge.runtimes.runtime import Conversation, Runtime, RuntimeMisconfigured, Turn, TurnFailed
from moltnet.log import get_logger
from moltnet.protocol.messages import TargetKind

log = get_logger("bridge.tinyclaw")

_DUPLICATE: Final = 409
# In no id of Moltnet: of two agents, the id of one may end like that of the other.
_MARK: Final = "~"


@attrs.define(eq=False)
class TinyClawRuntime:
    """One agent of a TinyClaw. It works on one message at a time, however many are in its queue."""

    _inbound: AgentAddress
    _outbound: AgentAddress
    _acks: AgentAddress
    _agent_id: str
    _channel: str
    turn_seconds: float
    _awaited: set[str] = attrs.field(factory=set, init=False)
    _overdue: dict[str, None] = attrs.field(factory=dict, init=False)
    """Messages whose response did not come in time: those are certainly not done yet."""

    async def run_turn(self, turn: Turn) -> str | None:
        """See `Runtime.run_turn`. Cut, the message stays in TinyClaw's queue and the turn goes on there."""
        message_id = f"{turn.message_id}{_MARK}{self._agent_id}"
        prompt = turn.checked_prompt()
        self._awaited.add(message_id)
        try:
            with trio.move_on_after(self.turn_seconds) as limit:
                if await self._put(turn, prompt, message_id):
                    return await self._wait_response(message_id)
                # Put there before. Its response may have been taken then, too.
                patience_seconds = math.inf if message_id in self._overdue else limits.TINYCLAW_REPEATED_SECONDS
                with trio.move_on_after(patience_seconds):
                    return await self._wait_response(message_id)
                log.info("turn was done before", conversation=turn.conversation.key, message_id=turn.message_id)
                return None
            assert limit.cancelled_caught
            self._note_overdue(message_id)
            raise TurnFailed(f"no response within {self.turn_seconds:g} s", retryable=True)
        finally:
            self._awaited.discard(message_id)

    def _note_overdue(self, message_id: str) -> None:
        self._overdue[message_id] = None
        if len(self._overdue) > limits.MAX_WAITING_WAKES:
            del self._overdue[next(iter(self._overdue))]

    async def _put(self, turn: Turn, prompt: str, message_id: str) -> bool:
        """Put the turn into the queue; whether it is new there."""
        answer = await self._inbound.post(
            {
                "message": prompt,
                "agent": self._agent_id,
                "sender": turn.sender,
                "senderId": sender_id(turn.conversation),
                "channel": self._channel,
                "messageId": message_id,
            }
        )
        if answer.status == _DUPLICATE:
            return False
        self._inbound.check(answer)
        return True

    async def _wait_response(self, message_id: str) -> str:
        """The response to our message, taken out of the queue."""
        while True:
            found: str | None = None
            for response in _responses(await self._outbound.get()):
                answered = str(response.get("messageId", ""))
                if answered == message_id:
                    found = _text(response, self._agent_id)
                    self._overdue.pop(message_id, None)
                elif not self._is_stale(answered):
                    continue
                await self._take_out(response)
            if found is not None:
                return found
            await trio.sleep(limits.TINYCLAW_POLL_SECONDS)

    def _is_stale(self, message_id: str) -> bool:
        """Whether a response is to a turn of this agent that nobody waits for any more."""
        return message_id.endswith(f"{_MARK}{self._agent_id}") and message_id not in self._awaited

    async def _take_out(self, response: Mapping[str, Any]) -> None:
        number = response.get("id")
        if not isinstance(number, int | str) or isinstance(number, bool):
            return
        answer = await self._acks.beside(f"{quote(str(number), safe='')}/ack").post({})
        if answer.status >= 300:
            # It stays in the list, and the next turn tries again.
            log.warning("a response could not be taken out of the queue", status=answer.status)


def sender_id(conversation: Conversation) -> str:
    """How TinyClaw tells conversations apart: `room:<id>`, `dm:<id>` or `thread:<room>:<thread>`, each part quoted."""
    parts = [conversation.id]
    if conversation.kind is TargetKind.THREAD:
        parts.insert(0, conversation.room_id)
    return ":".join([str(conversation.kind), *(quote(part, safe="") for part in parts)])


def _responses(value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise TurnFailed("the list of responses is no list; is runtime.outbound_url right?", retryable=True)
    return [response for response in value if isinstance(response, dict)]


def _text(response: Mapping[str, Any], agent_id: str) -> str:
    """What the agent said, without the signature that TinyClaw puts under it."""
    text = response.get("message")
    return text.strip().removesuffix(f"- [{agent_id}]").strip() if isinstance(text, str) else ""


@asynccontextmanager
async def open_tinyclaw(config: AttachmentConfig) -> AsyncIterator[Runtime]:
    """The runtime of kind `tinyclaw`: by its control URL if it has one, else by its queue.

    Raises:
        RuntimeMisconfigured: an address or the token is unusable.
    """
    runtime = config.runtime
    if runtime.control_url:
        async with open_control(config) as control:
            yield control
        return
    if not (runtime.inbound_url and runtime.outbound_url and runtime.ack_url):
        raise RuntimeMisconfigured("tinyclaw needs runtime.inbound_url, outbound_url and ack_url, or control_url")
    async with (
        open_agent(runtime.inbound_url, runtime.token) as inbound,
        open_agent(runtime.outbound_url, runtime.token) as outbound,
        open_agent(runtime.ack_url, runtime.token) as acks,
    ):
        yield TinyClawRuntime(inbound, outbound, acks, config.agent.id, runtime.channel, runtime.turn_seconds)
