"""A language model that answers from a script on loopback, over the protocols in `model_apis`.

Real agent programs run against it: no key, no login, no traffic but 127.0.0.1. The script is a `Brain`, a function
from what the program asked to what the model "says"; it may wait, which is how a test holds a turn open.
"""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import attrs
import h11
import orjson
import trio

from tests.fakes.model_apis import APIS, Item, RunShell, Say

__all__ = ["ModelRequest", "ModelServer", "Refuse", "Reply", "RunShell", "Say", "open_model_server", "say_done"]

MAX_REQUEST_BYTES = 8 * 1024 * 1024
"""Far above what a test's conversation needs; a runaway client ends in a failed request, not in a full memory."""


@attrs.frozen
class Refuse:
    """The model API answers with this HTTP status."""

    status: int


Reply = Say | RunShell | Refuse


@attrs.frozen
class ModelRequest:
    """One request of the program: the whole conversation so far, as it sends it each time."""

    body: Mapping[str, Any]
    items: Sequence[Item]
    """The conversation, oldest first: messages, tool calls and their results."""

    @property
    def history(self) -> str:
        """Every text of the conversation, the program's own preambles included, joined by newlines."""
        return "\n".join(item.text for item in self.items)

    @property
    def prompt(self) -> str:
        """The newest message of the user: the wake."""
        prompts = [item.text for item in self.items if item.role == "user"]
        return prompts[-1] if prompts else ""

    @property
    def shell_output(self) -> str | None:
        """What the last shell command printed, if it ran after the newest prompt."""
        for item in reversed(self.items):
            if item.role == "user":
                return None
            if item.role == "tool":
                return item.text
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

    @property
    def address(self) -> str:
        """The same without `/v1`, as some programs want it."""
        return self.base_url.removesuffix("/v1")

    async def answer(self, request: ModelRequest) -> Reply:
        async with self._arrived:
            self.requests.append(request)
            self._arrived.notify_all()
        return await self.brain(request)


@asynccontextmanager
async def open_model_server(
    brain: Brain = say_done, *, listening: socket.socket | None = None
) -> AsyncIterator[ModelServer]:
    """Serve on a free port of 127.0.0.1 until the block is left; a request still being answered is cut.

    A socket that is `listening` already is served instead, and stays open: a program that outlives a test finds the
    next one's model there.
    """
    if listening is None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    else:
        listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(listening.dup()))]
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


async def _respond(server: ModelServer, request: h11.Request, data: bytes) -> Sequence[h11.Event]:
    api = APIS.get(request.target.decode().partition("?")[0])
    if api is None or request.method != b"POST":
        return _response(404, "application/json", b'{"error":{"message":"not served by the fake"}}')
    body = orjson.loads(data)
    match await server.answer(ModelRequest(body, api.items(body))):
        case Refuse(status):
            return _response(status, "application/json", b'{"error":{"message":"refused by the script"}}')
        case reply:
            return _response(200, "text/event-stream", api.encode(reply, body))


def _response(status: int, content_type: str, body: bytes) -> Sequence[h11.Event]:
    headers = [("Content-Type", content_type), ("Content-Length", str(len(body)))]
    return h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()
