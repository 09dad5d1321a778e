"""What PicoClaw's gateway says during one turn: pure (runtimes §4.4).

Frames are JSON objects `{type, id, session_id, timestamp, payload}`. None of them says that a turn is over: the agent
types, says something, perhaps several times and with thoughts in between, and stops typing.
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs
import orjson

from bridge import limits

_INNER_KINDS: Final = ("thought", "tool_calls")


@attrs.define(eq=False)
class PicoTurn:
    """The state of one turn, whose request has the id `request_id`."""

    request_id: str
    failure: str | None = attrs.field(default=None, init=False)
    """What the gateway says is wrong with the request."""
    has_stopped: bool = attrs.field(default=False, init=False)
    """Whether the agent has typed and types no more: if nothing follows, the turn is over."""
    _said: dict[str, str] = attrs.field(factory=dict, init=False)
    _inner: dict[str, None] = attrs.field(factory=dict, init=False)
    """Messages of the agent to itself. Their updates need not say that again."""

    @property
    def said(self) -> str | None:
        """What the agent said to us, not to itself; None for nothing."""
        return "\n\n".join(text for text in self._said.values() if text) or None

    def read(self, data: str | bytes) -> None:
        """Take one frame; anything may come."""
        frame = _object(data)
        payload = frame.get("payload")
        payload = payload if isinstance(payload, dict) else {}
        match frame.get("type"):
            case "typing.start":
                self.has_stopped = False
            case "typing.stop":
                self.has_stopped = True
            case "message.create" | "message.update":
                self._hear(payload, str(frame.get("id", "")))
            case "message.delete":
                self._said.pop(str(payload.get("message_id", "")), None)
            case "error":
                self._fail(payload)

    def _hear(self, payload: Mapping[str, Any], frame_id: str) -> None:
        message_id = str(payload.get("message_id") or frame_id)
        content = payload.get("content")
        if payload.get("thought") or payload.get("kind") in _INNER_KINDS:
            self._inner[message_id] = None
        hidden = message_id in self._inner or payload.get("placeholder")
        text = content.strip() if isinstance(content, str) and not hidden else ""
        # One character more than fits, so that it is seen to be cut.
        self._said[message_id] = text[: limits.MAX_PUBLISHED_BYTES + 1]
        for kept in (self._said, self._inner):
            if len(kept) > limits.MAX_AGENT_MESSAGES:
                del kept[next(iter(kept))]

    def _fail(self, payload: Mapping[str, Any]) -> None:
        about = payload.get("request_id")
        if about and about != self.request_id:
            return
        code, message = (str(payload.get(name) or "") for name in ("code", "message"))
        self.failure = ": ".join(filter(None, [code, message])) or "error without a reason"


def _object(data: str | bytes) -> Mapping[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
