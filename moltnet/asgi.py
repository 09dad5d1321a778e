"""The ASGI application: ``hypercorn -k trio moltnet.asgi:app`` serves the network that the environment configures.

The lifespan opens the network and holds it open; HTTP goes to Quart, but for what the front before it answers, and
``/v1/attach`` straight to the gateway.
"""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import attrs
from quart_trio import QuartTrio

from moltnet.app import App, open_app
from moltnet.auth.claims import ANONYMOUS, UNCHECKED
from moltnet.config.problems import ConfigError
from moltnet.config.server import load_server_config
from moltnet.config.settings import AuthMode
from moltnet.core.errors import NotFound, RateLimited, Refused
from moltnet.http.api import make_api
from moltnet.http.attach import refuse, serve_attach
from moltnet.http.exchange import Exchange, Message, Receive, Send
from moltnet.http.floods import flood, refuse_request
from moltnet.http.front import Front
from moltnet.http.request_headers import RequestHeaders
from moltnet.lane import hypercorn_seam
from moltnet.log import configure, describe_error, get_logger
from moltnet.protocol.errors import ErrorCode
from moltnet.storage.store import StorageError

log = get_logger("server")
ATTACH_PATH = "/v1/attach"
_NOWHERE = "/*"
OpenApp = Callable[[], AbstractAsyncContextManager[App]]


@attrs.frozen(eq=False)
class NetworkAsgi:
    """The ASGI application of a network that is running."""

    app: App
    front: Front = attrs.field(init=False)
    _quart: QuartTrio = attrs.field(init=False)

    @front.default
    def _make_front(self) -> Front:
        return Front(self.app)

    @_quart.default
    def _make_quart(self) -> QuartTrio:
        return make_api(self.app)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        with Exchange.of(scope, self.app.metrics.http, self.app.config.server.trusted_proxies) as exchange:
            self.front.unheard.look_at(exchange.client)
            if scope["type"] == "http":
                headers = RequestHeaders.of(scope["headers"])
                receive, send = exchange.receive_from(receive), exchange.send_from(send)
                if await self.front.serve(scope, headers, exchange, receive, send):
                    return
                if (refusal := flood(self.app, scope["path"], headers, exchange)) is not None:
                    await refuse_request(send, refusal, exchange)
                    return
                await self._quart(
                    exchange.within(_with_path(scope)),  # type: ignore[arg-type]  # ASGI messages are plain mappings here
                    receive,  # type: ignore[arg-type]
                    send,
                )
            elif scope["path"] == ATTACH_PATH:
                await serve_attach(self.app, exchange, scope, receive, send)
            else:
                await receive()
                await refuse(send, self._no_such_upgrade(exchange), exchange)

    def _no_such_upgrade(self, exchange: Exchange) -> Refused:
        """Counted like any other request without a token, whose limits this would otherwise get around."""
        claims = UNCHECKED if self.app.config.auth.mode is AuthMode.NONE else ANONYMOUS
        try:
            self.app.admission.admit_request(claims, exchange.client.source)
        except RateLimited as error:
            return error
        return NotFound(ErrorCode.UNKNOWN_ROUTE, "there is no such route")


def _with_path(scope: Message) -> Message:
    """The scope with a path that begins with a slash: Quart crashes on anything else that is not a good URL."""
    target: str = scope["path"]
    if target.startswith("/"):
        return scope
    path = ""
    with suppress(ValueError):
        url = urlsplit(target)  # a request to a proxy names all of it
        path = url.path or "/" if url.scheme in ("http", "https") else ""
    return {**scope, "path": path if path.startswith("/") else _NOWHERE}


@attrs.define(eq=False)
class MoltnetAsgi:
    """An ASGI 3 application. ``open`` makes the network when the lifespan starts."""

    open: OpenApp
    network: NetworkAsgi | None = attrs.field(init=False, default=None)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif self.network is None:
            raise RuntimeError("the server must support the ASGI lifespan protocol, which opens the network")
        else:
            await self.network(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()  # lifespan.startup
        phase, failure = "startup", ""
        try:
            async with self.open() as app:
                self.network = NetworkAsgi(app)
                await send({"type": "lifespan.startup.complete"})
                phase = "shutdown"
                await receive()  # lifespan.shutdown
                app.drain()
        except* (ConfigError, StorageError) as group:
            failure = describe_error(group)
        finally:
            self.network = None
        if failure:
            log.critical(f"{phase} failed", reason=failure)
            await send({"type": f"lifespan.{phase}.failed", "message": failure})
        else:
            await send({"type": "lifespan.shutdown.complete"})


@asynccontextmanager
async def _open_from_environment() -> AsyncIterator[App]:
    configure()  # what is wrong with the settings must show, too
    config = load_server_config(None, os.environ, Path.cwd())
    configure(format=config.log.format.value, level=config.log.level.value)
    for notice in config.notices:
        log.warning(notice)
    async with open_app(config, load=partial(load_server_config, config.source, os.environ, Path.cwd())) as app:
        yield app


def _front_of(application: object) -> Front | None:
    network = application.network if isinstance(application, MoltnetAsgi) else None
    return None if network is None else network.front


app = MoltnetAsgi(_open_from_environment)
hypercorn_seam.install(_front_of, os.environ)
