"""An agent behind one URL: a POST per turn, answered when the turn is over (runtimes §4.3).

    POST control_url    {"context_id": "moltnet:lab:room:general", "from": …, "message": <the prompt>, "to": <agent id>}
    200                 {"from": …, "message": <what the agent says>}

The kinds `picoclaw`, `tinyclaw` and `pi` can be reached so.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import orjson
import trio

from bridge.config import AttachmentConfig
from bridge.runtimes.agent_http import AgentAddress, open_agent
from bridge.runtimes.runtime import Runtime, RuntimeMisconfigured, Turn, TurnFailed
from moltnet.log import get_logger

log = get_logger("bridge.control")


@attrs.define(eq=False)
class ControlRuntime:
    """The agent behind a control URL. Turns of different conversations are asked for side by side."""

    _agent: AgentAddress
    _agent_id: str
    _turn_seconds: float

    async def run_turn(self, turn: Turn) -> str | None:
        """See `Runtime.run_turn`. The agent has the whole turn limit; cut, it may go on by itself."""
        asked = {
            "context_id": f"moltnet:{turn.conversation.key}",
            "from": turn.sender,
            "message": turn.checked_prompt(),
            "to": self._agent_id,
        }
        with trio.move_on_after(self._turn_seconds) as limit:
            answer = await self._agent.post(asked)
        if limit.cancelled_caught:
            raise TurnFailed(f"no answer within {self._turn_seconds:g} s", retryable=True)
        self._agent.check(answer)
        said = _message(answer.body)
        if said is None:
            # The turn is over all the same, and asking again would only do it twice.
            log.warning("the answer of a control URL has no message", conversation=turn.conversation.key)
        return said


def _message(body: bytes) -> str | None:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    message = value.get("message") if isinstance(value, dict) else None
    return message if isinstance(message, str) else None


@asynccontextmanager
async def open_control(config: AttachmentConfig) -> AsyncIterator[Runtime]:
    """The runtime behind `runtime.control_url`. Raises `RuntimeMisconfigured`."""
    runtime = config.runtime
    if not runtime.control_url:
        raise RuntimeMisconfigured(f"{runtime.kind} needs runtime.control_url")
    async with open_agent(runtime.control_url, runtime.token) as agent:
        yield ControlRuntime(agent, config.agent.id, runtime.turn_seconds)
