"""The protocols that agent programs speak to language models: how a request is read, and how an answer is written.

The server behind them, and what a test scripts, is `model_server`.
"""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, Protocol

import attrs
import orjson


@attrs.frozen
class Say:
    """The model ends its turn with this text."""

    text: str


@attrs.frozen
class RunShell:
    """The model asks the program to run one shell command; the result comes back in the next request."""

    command: str


@attrs.frozen
class Item:
    """One entry of the conversation that a request carries: who speaks, and what."""

    role: str
    """`user`, `assistant`, `tool` for the output of a shell command, or something else that the program adds."""
    text: str


class Api(Protocol):
    """One protocol."""

    def items(self, body: Mapping[str, Any]) -> Sequence[Item]:
        """The conversation of a request, oldest first."""
        ...

    def encode(self, reply: Say | RunShell, body: Mapping[str, Any]) -> bytes:
        """The answer as a stream of server-sent events."""
        ...


_numbers = count(1)


class Responses:
    """OpenAI Responses (Codex)."""

    def items(self, body: Mapping[str, Any]) -> Sequence[Item]:
        return [self._item(item) for item in body["input"]]

    def _item(self, item: Mapping[str, Any]) -> Item:
        match item.get("type"):
            case "function_call_output":
                return Item("tool", str(item["output"]))
            case "function_call":
                return Item("assistant", str(item["arguments"]))
            case _:
                return Item(str(item.get("role", "")), "\n".join(_texts(item.get("content"))))

    def encode(self, reply: Say | RunShell, body: Mapping[str, Any]) -> bytes:
        number = next(_numbers)
        match reply:
            case Say(text):
                content = [{"type": "output_text", "text": text}]
                item = {"type": "message", "role": "assistant", "id": f"msg_{number}", "content": content}
            case RunShell(command):
                arguments = orjson.dumps({"cmd": command}).decode()
                item = {"type": "function_call", "call_id": f"call_{number}", "name": "exec_command"}
                item["arguments"] = arguments
        usage = {
            "input_tokens": 1,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 1,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 2,
        }
        response = {"id": f"resp_{number}"}
        return _named_events(
            {"type": "response.created", "response": response},
            {"type": "response.output_item.done", "item": item},
            {"type": "response.completed", "response": {**response, "usage": usage}},
        )


class Messages:
    """Anthropic Messages (Claude Code)."""

    def items(self, body: Mapping[str, Any]) -> Sequence[Item]:
        return [item for message in body["messages"] for item in self._items(message)]

    def _items(self, message: Mapping[str, Any]) -> Sequence[Item]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        results = [block for block in blocks if block["type"] == "tool_result"]
        items = [Item("tool", "\n".join(_texts(block.get("content")))) for block in results]
        # The program puts its own remarks beside what it was told.
        spoken = [text for text in _texts(blocks) if not text.startswith("<system-reminder>")]
        spoken += [orjson.dumps(block["input"]).decode() for block in blocks if block["type"] == "tool_use"]
        return [*items, Item(message["role"], "\n".join(spoken))] if spoken or not items else items

    def encode(self, reply: Say | RunShell, body: Mapping[str, Any]) -> bytes:
        number = next(_numbers)
        match reply:
            case Say(text):
                block: dict[str, Any] = {"type": "text", "text": ""}
                stop = "end_turn"
                delta = {"type": "text_delta", "text": text}
            case RunShell(command):
                block = {"type": "tool_use", "id": f"toolu_{number}", "name": "Bash", "input": {}}
                stop = "tool_use"
                arguments = orjson.dumps({"command": command, "description": "as scripted"}).decode()
                delta = {"type": "input_json_delta", "partial_json": arguments}
        message = {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "model": body.get("model", ""),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
        return _named_events(
            {"type": "message_start", "message": message},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": stop, "stop_sequence": None},
                "usage": {"output_tokens": 1},
            },
            {"type": "message_stop"},
        )


class Completions:
    """OpenAI Chat Completions (pi, OpenClaw). The shell is whichever of the offered tools is one."""

    SHELLS = ("bash", "exec")
    REMARKS = "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>"

    def items(self, body: Mapping[str, Any]) -> Sequence[Item]:
        return [self._item(message) for message in body["messages"]]

    def _item(self, message: Mapping[str, Any]) -> Item:
        calls = [str(call["function"]["arguments"]) for call in message.get("tool_calls") or ()]
        text = "\n".join([*_texts(message.get("content")), *calls])
        # OpenClaw puts its own remarks behind what it was told.
        return Item("remark" if text.startswith(self.REMARKS) else message["role"], text)

    def encode(self, reply: Say | RunShell, body: Mapping[str, Any]) -> bytes:
        number = next(_numbers)
        match reply:
            case Say(text):
                delta: dict[str, Any] = {"role": "assistant", "content": text}
                finish = "stop"
            case RunShell(command):
                offered = {tool["function"]["name"] for tool in body.get("tools") or ()}
                name = next(shell for shell in self.SHELLS if shell in offered)
                call = {"name": name, "arguments": orjson.dumps({"command": command}).decode()}
                calls = [{"index": 0, "id": f"call_{number}", "type": "function", "function": call}]
                delta, finish = {"role": "assistant", "tool_calls": calls}, "tool_calls"
        head = {"id": f"chatcmpl_{number}", "object": "chat.completion.chunk", "created": 1, "model": "fake-model"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        chunks = (
            {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
            {**head, "choices": [], "usage": usage},
        )
        return b"".join(b"data: %b\n\n" % orjson.dumps(chunk) for chunk in chunks) + b"data: [DONE]\n\n"


APIS: Mapping[str, Api] = {
    "/v1/responses": Responses(),
    "/v1/messages": Messages(),
    "/v1/chat/completions": Completions(),
}


def _named_events(*events: Mapping[str, Any]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event)) for event in events)


def _texts(content: Any) -> list[str]:
    """The texts in what every one of these protocols calls `content`."""
    if isinstance(content, str):
        return [content]
    return [part["text"] for part in content or () if "text" in part]
