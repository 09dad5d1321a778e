"""The console under test: a network that is really served, and pages of it that are watched.

Tests here are synchronous, because the library that drives the browser is; the network runs in a thread beside them.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import trio
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect

from moltnet.app import App
from moltnet.client.address import parse_server_address
from moltnet.client.attachment import Attacher, Attachment, open_attachment
from moltnet.config.settings import AuthMode, MoltnetConfig
from moltnet.config.urls import ListenAddress
from moltnet.protocol.agents import About
from moltnet.protocol.messages import SendMessageRequest
from moltnet.storage.memory import MemoryStore
from tests.fakes.attach_client import AttachClient, attach, open_websocket_wire
from tests.fakes.network import (
    NETWORK,
    TestServer,
    network_config,
    open_test_server,
    post,
    room,
    room_message,
    secret_of,
    token,
)
from tests.fakes.paired import OPS
from tests.fakes.ports import free_port
from tests.fakes.trio_thread import HeldOpen, TrioThread

AXE: Final = Path(__file__).parent / "vendor" / "axe.min.js"
WIDE: Final = {"width": 1280, "height": 800}
PHONE: Final = {"width": 390, "height": 780}
TOKENS: Final = (
    token("ops", "observe write admin"),
    token("watcher", "observe"),
    token("alpha", "attach write", "alpha"),
    token("beta", "attach write", "beta"),
)
Answer = TypeVar("Answer")

expect.set_options(timeout=15_000)


@attrs.define(eq=False)
class Served:
    """A network that is served, and can be stopped and served again at the same address, with what it has stored."""

    _thread: TrioThread
    config: MoltnetConfig
    _store: MemoryStore = attrs.field(factory=lambda: MemoryStore(NETWORK))
    _held: HeldOpen[TestServer] | None = None

    @property
    def url(self) -> str:
        address = self.config.server.listen_addr
        return f"http://{address.host}:{address.port}"

    @property
    def app(self) -> App:
        assert self._held is not None
        return self._held.resource.app

    def start(self) -> None:
        opening = partial(open_test_server, self.config, store=self._store)
        self._held = HeldOpen(self._thread, opening)

    def stop(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            held.close()

    def begin_again(self, store: MemoryStore) -> None:
        """Serve the network at its address with nothing of what it had."""
        self._store = store
        self.start()

    def while_down(self, write: Callable[[MemoryStore], Awaitable[None]]) -> None:
        """Write into the store past the server: fast, and without its rules."""
        self.stop()
        self._thread.run(lambda: write(self._store))
        self.start()

    def run(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """Call something in the network's own loop."""
        return self._thread.run(call)

    @contextmanager
    def attached(self, agent_id: str) -> Iterator[AttachClient]:
        """An agent that is attached and answers nothing by itself."""

        @asynccontextmanager
        async def attaching() -> AsyncIterator[AttachClient]:
            token_id = "" if self.config.auth.mode is AuthMode.NONE else agent_id
            async with open_websocket_wire(self.url, token_id) as wire:
                yield await attach(wire, agent_id)

        held = HeldOpen(self._thread, attaching)
        try:
            yield held.resource
        finally:
            held.close()

    @contextmanager
    def living(self, agent_id: str, about: About = About()) -> Iterator[None]:  # noqa: B008 - a frozen value
        """An agent that is attached by the real client and takes its turns."""

        async def take_turns(attachment: Attachment) -> None:
            async for delivery in attachment:
                await attachment.ack(delivery.cursor)

        @asynccontextmanager
        async def attaching() -> AsyncIterator[None]:
            address, attacher = parse_server_address(self.url), Attacher(NETWORK, agent_id, about=about)
            async with (
                open_attachment(address, secret_of(agent_id), attacher, {}) as attachment,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(take_turns, attachment)
                yield
                nursery.cancel_scope.cancel()

        held = HeldOpen(self._thread, attaching)
        try:
            yield
        finally:
            held.close()

    def post(self, request: SendMessageRequest) -> None:
        claims = () if self.config.auth.mode is AuthMode.NONE else (OPS,)
        self.run(lambda: post(self.app, request, *claims))

    def say(self, *texts: str, sender: str = "alpha", room: str = "general") -> None:
        for text in texts:
            self.post(room_message(text, sender=sender, room=room))


@contextmanager
def serve(config: MoltnetConfig | None = None) -> Iterator[Served]:
    config = config or network_config(rooms=[room("general", "alpha", "beta"), room("ops", "alpha")])
    port = free_port()
    server = attrs.evolve(
        config.server,
        listen_addr=ListenAddress("127.0.0.1", port),
        allowed_origins=(f"http://127.0.0.1:{port}",),
    )
    thread = TrioThread()
    served = Served(thread, attrs.evolve(config, server=server))
    try:
        served.start()
        yield served
    finally:
        served.stop()
        thread.close()


def with_tokens(**settings: Any) -> MoltnetConfig:
    """A network that asks for tokens, of which there is one for each kind of person."""
    rooms = settings.pop("rooms", [room("general", "alpha", "beta"), room("ops", "alpha")])
    return network_config(mode=AuthMode.BEARER, tokens=TOKENS, rooms=rooms, **settings)


@attrs.define(eq=False)
class Visitor:
    """Somebody with a browser profile. What goes wrong in his pages is kept, and fails the test in the end."""

    context: BrowserContext
    url: str
    wrong: list[str] = attrs.field(factory=list)

    def open(self, path: str = "/console/", wait: bool = True) -> Page:
        page = self.context.new_page()
        page.on("console", lambda message: self._on_console(message))
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("request", lambda request: self._on_request(request))
        page.on("websocket", lambda web_socket: self.wrong.append(f"web socket: {web_socket.url}"))
        page.goto(self.url + path)
        if wait:
            expect(page.locator(".stream")).to_have_text("live")
            expect(page.locator(".frame")).to_have_attribute("data-phase", "ready")
        return page

    def sign_in(self, token_id: str) -> "Visitor":
        """Past the page: the cookie is the browser's."""
        answer = self.context.request.post(
            f"{self.url}/v1/session", data={"token": secret_of(token_id)}, headers={"Origin": self.url}
        )
        assert answer.ok, answer.text()
        return self

    def _on_console(self, message: ConsoleMessage) -> None:
        # A refusal of the server is an answer; the page shows what it means.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.wrong.append(f"{message.type}: {message.text}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.url}/", "blob:", "data:")):
            self.wrong.append(f"request to {request.url}")


_WATCH_POLICY: Final = """
addEventListener("securitypolicyviolation", (violation) =>
  console.error(`policy: ${violation.violatedDirective} ${violation.blockedURI} ${violation.sample}`));
"""


@contextmanager
def visit(browser: Browser, served: Served, **options: Any) -> Iterator[Visitor]:
    """A profile of its own, without history or cookies. Leaving the block asserts that nothing went wrong in it."""
    context = browser.new_context(
        **{"viewport": WIDE, "reduced_motion": "reduce", "timezone_id": "UTC", "locale": "en-US", **options}
    )
    context.set_default_timeout(15_000)
    context.add_init_script(_WATCH_POLICY)
    visitor = Visitor(context, served.url)
    try:
        yield visitor
    finally:
        context.close()
    assert visitor.wrong == [], visitor.wrong


def serious_problems(page: Page, rules: list[str] | None = None) -> list[str]:
    """What axe-core finds that is serious or worse, as lines to read; by all of its rules, or some."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    found = page.evaluate(
        "(rules) => axe.run(document, {resultTypes: ['violations'], ...(rules && {runOnly: rules})})", rules
    )
    return [
        f"{violation['id']}: {violation['help']}: {node['html'][:200]} ({node.get('failureSummary', '')[:300]})"
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"][:3]
    ]
