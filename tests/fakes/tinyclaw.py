"""An emulation of TinyClaw (TinyAGI 0.0.20), from the facts about its HTTP interface: a queue and its responses.

What it does wrong in reality it does here too: an unknown agent's work goes to another one, anybody may take anybody's
responses, and a failure of the model is a response like any other.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import attrs
import orjson
import trio

from tests.fakes.http_server import SeenRequest, answer, read_request

APOLOGY = "Sorry, I encountered an error processing your request."


@attrs.define(eq=False)
class FakeTinyClaw:
    """`respond` is the model: from a message to what the agent says. Held by `hold`, it works after `release`."""

    url: str = ""
    agents: tuple[str, ...] = ("agent-1",)
    respond: Callable[[dict[str, Any]], str] = attrs.field(default=lambda message: "done")
    broken: int = 0
    """The status that the next requests for messages are answered with."""
    lose_next_answer: bool = False
    """Do the next message, and end the connection instead of answering."""
    messages: list[dict[str, Any]] = attrs.field(factory=list)
    worked: list[str] = attrs.field(factory=list)
    """The ids of the messages that reached the model."""
    pending: list[dict[str, Any]] = attrs.field(factory=list)
    acked: list[int] = attrs.field(factory=list)
    requests: list[SeenRequest] = attrs.field(factory=list)
    _seen: set[str] = attrs.field(factory=set)
    _responses: int = 0
    _held: bool = False
    _changed: trio.Event = attrs.field(factory=trio.Event)

    def hold(self) -> None:
        self._held = True

    def release(self) -> None:
        self._held = False
        for message in self.messages:
            if message["messageId"] not in self.worked:
                self._work(message)

    async def wait_until(self, condition: Callable[["FakeTinyClaw"], bool]) -> None:
        while not condition(self):
            await self._changed.wait()

    def add_response(self, message_id: str, text: str, channel: str = "moltnet", agent: str = "agent-1") -> None:
        """A response that is there, whoever asked for it."""
        self._responses += 1
        self.pending.append(
            {
                "id": self._responses,
                "channel": channel,
                "message": f"{text}\n\n- [{agent}]",
                "messageId": message_id,
                "agent": agent,
                "files": [],
            }
        )
        self._note_change()

    def _work(self, message: dict[str, Any]) -> None:
        agent = message["agent"] if message["agent"] in self.agents else self.agents[0]
        self.worked.append(message["messageId"])
        try:
            said = self.respond(message)
        except Exception:
            said = APOLOGY
        self.add_response(message["messageId"], said, message["channel"], agent)

    async def serve(self, stream: trio.SocketStream) -> None:
        try:
            number = 0
            while (request := await read_request(stream, number)) is not None:
                self.requests.append(request)
                self._note_change()
                status, body = self._route(request)
                if status == 0:
                    break
                await answer(status, body)(stream, request)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    def _route(self, request: SeenRequest) -> tuple[int, Any]:
        url = urlsplit(request.target)
        match request.method, url.path.strip("/").split("/"):
            case "POST", ["api", "message"]:
                return self._take_message(orjson.loads(request.body))
            case "GET", ["api", "responses", "pending"]:
                channel = parse_qs(url.query).get("channel")
                if not channel:
                    return 400, {"error": "channel is required"}
                return 200, [response for response in self.pending if response["channel"] == channel[0]]
            case "POST", ["api", "responses", number, "ack"]:
                self.acked.append(int(number))
                self.pending = [response for response in self.pending if response["id"] != int(number)]
                self._note_change()
                return 200, {"ok": True}
            case _:
                return 404, {"error": "Not found"}

    def _take_message(self, message: dict[str, Any]) -> tuple[int, Any]:
        if self.broken:
            return self.broken, {"error": "queue is unwell"}
        if not message.get("message"):
            return 400, {"error": "message is required"}
        if message["messageId"] in self._seen:
            return 409, {"error": "duplicate messageId"}
        self._seen.add(message["messageId"])
        self.messages.append(message)
        if not self._held:
            self._work(message)
        self._note_change()
        if self.lose_next_answer:
            self.lose_next_answer = False
            return 0, None
        return 200, {"ok": True, "messageId": message["messageId"]}

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def open_fake_tinyclaw() -> AsyncIterator[FakeTinyClaw]:
    """TinyClaw on a free port of 127.0.0.1."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    fake = FakeTinyClaw(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}")
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(trio.serve_listeners, fake.serve, listeners))
        yield fake
        nursery.cancel_scope.cancel(reason="the test is over")
