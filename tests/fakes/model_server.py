"""A language model that answers from a script, over the OpenAI Responses protocol on loopback.

Real agent CLIs run against it: no key, no login, no traffic but 127.0.0.1. The script is a `Brain`, a function from
what the CLI asked to what the model "says"; it may wait, which is how a test holds a turn open. Other protocols of
other CLIs get their own module beside this one.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any

import attrs
import h11
import orjson
import trio

MAX_REQUEST_BYTES = 8 * 1024 * 1024
"""Far above what a test's conversation needs; a runaway client ends in a failed request, not in a full memory."""


@attrs.frozen
class Say:
    """The model ends its turn with this text."""

    text: str


@attrs.frozen
class RunShell:
    """The model asks the CLI to run one shell command; the result comes back in the next request."""

    command: str


@attrs.frozen
class Refuse:
    """The model API answers with this HTTP status."""

    status: int


Reply = Say | RunShell | Refuse


@attrs.frozen
class ModelRequest:
    """One request of the CLI: the whole conversation so far, as Codex sends it each time."""

    body: Mapping[str, Any]

    @property
    def items(self) -> Sequence[Mapping[str, Any]]:
        """The conversation, oldest first: messages, tool calls and their results."""
        items: Sequence[Mapping[str, Any]] = self.body["input"]
        return items

    @property
    def history(self) -> str:
        """Every text of the conversation, the CLI's own preambles included, joined by newlines."""
        return "\n".join(text for item in self.items for text in _texts(item))

    @property
    def prompt(self) -> str:
        """The newest message of the user: the wake."""
        prompts = [_texts(item) for item in self.items if item.get("role") == "user"]
        return "\n".join(prompts[-1]) if prompts else ""

    @property
    def shell_output(self) -> str | None:
        """What the last shell command printed, if it ran after the newest prompt."""
        for item in reversed(self.items):
            if item.get("role") == "user":
                return None
            if item.get("type") == "function_call_output":
                return str(item["output"])
        return None


Brain = Callable[[ModelRequest], Awaitable[Reply]]


async def say_done(request: ModelRequest) -> Reply:
    """A brain that ends every turn at once."""
    return Say("done")


@attrs.define(eq=False)
class ModelServer:
    """The running fake: where it listens, what it was asked, and the brain, which a test may replace at any time."""

    base_url: str
    brain: Brain
    requests: list[ModelRequest] = attrs.field(factory=list)
    _arrived: trio.Condition = attrs.field(factory=trio.Condition)

    async def wait_requests(self, number: int) -> ModelRequest:
        """Wait until so many requests came in all; the newest of them."""
        async with self._arrived:
            while len(self.requests) < number:
                await self._arrived.wait()
        return self.requests[number - 1]

    async def _answer(self, body: bytes) -> Reply:
        request = ModelRequest(orjson.loads(body))
        async with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
        return await self.brain(request)


@asynccontextmanager
async def open_model_server(brain: Brain = say_done) -> AsyncIterator[ModelServer]:
    """Serve on a free port of 127.0.0.1 until the block is left; a request still being answered is cut."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    server = ModelServer(f"http://127.0.0.1:{port}/v1", brain)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, partial(_serve_connection, server), listeners)
        yield server
        nursery.cancel_scope.cancel(reason="the test is over")


async def _serve_connection(server: ModelServer, stream: trio.SocketStream) -> None:
    """Requests of one client, one after another, until it hangs up (a killed CLI does so in the middle of an
    answer)."""
    connection = h11.Connection(h11.SERVER)
    try:
        async with stream:
            while connection.states[h11.CLIENT] is h11.IDLE:
                if (request := await _receive_request(connection, stream)) is None:
                    return
                for event in await _respond(server, *request):
                    if data := connection.send(event):
                        await stream.send_all(data)
                if connection.our_state is h11.MUST_CLOSE:
                    return
                connection.start_next_cycle()
    except (trio.BrokenResourceError, h11.RemoteProtocolError):
        return


async def _receive_request(connection: h11.Connection, stream: trio.SocketStream) -> tuple[h11.Request, bytes] | None:
    head: h11.Request | None = None
    body = bytearray()
    while True:
        match connection.next_event():
            case h11.NEED_DATA:
                connection.receive_data(await stream.receive_some())
            case h11.Request() as head:
                pass
            case h11.Data(data=data):
                body += data
                if len(body) > MAX_REQUEST_BYTES:
                    return None
            case h11.EndOfMessage():
                assert head is not None
                return head, bytes(body)
            case _:
                return None


async def _respond(server: ModelServer, request: h11.Request, body: bytes) -> Sequence[h11.Event]:
    if request.target != b"/v1/responses":
        return _response(404, "application/json", b'{"error":{"message":"not served by the fake"}}')
    match await server._answer(body):
        case Refuse(status):
            return _response(status, "application/json", b'{"error":{"message":"refused by the script"}}')
        case reply:
            return _response(200, "text/event-stream", b"".join(_encode_event(event) for event in _events(reply)))


def _response(status: int, content_type: str, body: bytes) -> Sequence[h11.Event]:
    headers = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    return h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()


_numbers = count(1)


def _events(reply: Say | RunShell) -> Sequence[Mapping[str, Any]]:
    number = next(_numbers)
    match reply:
        case Say(text):
            content = [{"type": "output_text", "text": text}]
            item = {"type": "message", "role": "assistant", "id": f"msg_{number}", "content": content}
        case RunShell(command):
            arguments = orjson.dumps({"cmd": command}).decode()
            item = {
                "type": "function_call",
                "call_id": f"call_{number}",
                "name": "exec_command",
                "arguments": arguments,
            }
    usage = {
        "input_tokens": 1,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 1,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 2,
    }
    response = {"id": f"resp_{number}"}
    return (
        {"type": "response.created", "response": response},
        {"type": "response.output_item.done", "item": item},
        {"type": "response.completed", "response": {**response, "usage": usage}},
    )


def _encode_event(event: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event))


def _texts(item: Mapping[str, Any]) -> list[str]:
    content = item.get("content")
    if isinstance(content, str):
        return [content]
    return [part["text"] for part in content or () if "text" in part]
