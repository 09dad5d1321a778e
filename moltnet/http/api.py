"""Assembling the HTTP API: every blueprint, the error envelope, and one log line per request."""

import time

from quart import Response, g, request
from quart_trio import QuartTrio

from moltnet.app import App
from moltnet.config.settings import AuthMode
from moltnet.core.errors import NotFound
from moltnet.http.agents import agents_routes
from moltnet.http.answers import json_answer
from moltnet.http.apply import apply_routes
from moltnet.http.auth import require_origin
from moltnet.http.console import console_routes
from moltnet.http.conversations import conversations_routes
from moltnet.http.envelope import error_body
from moltnet.http.errors import ApiQuart, register_errors
from moltnet.http.events import events_routes
from moltnet.http.messages import messages_routes
from moltnet.http.network import network_routes
from moltnet.http.pairings import pairings_routes
from moltnet.http.rooms import rooms_routes
from moltnet.log import get_logger
from moltnet.protocol import limits
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.ids import accepted_request_id, new_request_id

log = get_logger("http")
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def make_api(app: App) -> QuartTrio:
    """The Quart application of a running network. It has no lifespan of its own: ``moltnet.app`` owns everything."""
    quart = ApiQuart("moltnet", static_folder=None)
    quart.config["MAX_CONTENT_LENGTH"] = limits.MAX_BODY_BYTES
    quart.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    quart.url_map.merge_slashes = False
    for routes in (
        network_routes,
        pairings_routes,
        rooms_routes,
        conversations_routes,
        messages_routes,
        agents_routes,
        apply_routes,
        events_routes,
        console_routes,
    ):
        quart.register_blueprint(routes(app))
    register_errors(quart)

    @quart.get("/v1/attach")
    async def attach_without_upgrade() -> Response:
        body = error_body(ErrorCode.UPGRADE_REQUIRED, "this route takes WebSocket upgrades only", g.request_id)
        return json_answer(body, 400)

    @quart.before_request
    async def begin() -> None:
        g.started = time.perf_counter()
        g.request_id = accepted_request_id(request.headers.get("X-Request-Id")) or new_request_id()
        if request.scope["path"].startswith("//"):
            # The router takes it for the same path with one slash, which what guards us in front may not.
            raise NotFound(ErrorCode.UNKNOWN_ROUTE, "there is no such route")
        if app.config.auth.mode is AuthMode.NONE and request.method not in _READING:
            # Nobody is asked for a token, so any web page that this machine's browser shows could write (design §3.8).
            require_origin(app, request.headers.get("Origin"))

    @quart.after_request
    async def finish(answer: Response) -> Response:
        answer.headers["X-Request-Id"] = g.request_id
        answer.headers["X-Content-Type-Options"] = "nosniff"
        status = answer.status_code
        write = log.info if status < 400 else log.warning
        write(
            f"{request.method} {request.path}",
            status=status,
            duration_ms=round((time.perf_counter() - g.started) * 1000, 2),
            request_id=g.request_id,
        )
        return answer

    return quart
