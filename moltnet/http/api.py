"""Assembling the HTTP API: every blueprint, the error envelope, and what holds for each request."""

from quart import Response, g, request
from quart_trio import QuartTrio

from moltnet.app import App
from moltnet.config.settings import AuthMode
from moltnet.http.agents import agents_routes
from moltnet.http.answers import json_answer
from moltnet.http.apply import apply_routes
from moltnet.http.approvals import approvals_routes
from moltnet.http.auth import READING, Gate, require_host, require_origin
from moltnet.http.checks import check_accept, check_path
from moltnet.http.console import console_routes
from moltnet.http.conversations import conversations_routes
from moltnet.http.discovery import discovery_routes
from moltnet.http.envelope import error_body
from moltnet.http.errors import ApiQuart, register_errors
from moltnet.http.events import events_routes
from moltnet.http.exchange import exchange_of
from moltnet.http.floods import ALIVE_PATH
from moltnet.http.invitations import invitations_routes
from moltnet.http.messages import messages_routes
from moltnet.http.metrics import metrics_routes, route_name
from moltnet.http.network import network_routes
from moltnet.http.openapi.routes import openapi_routes
from moltnet.http.pairings import pairings_routes
from moltnet.http.relays import relays_routes
from moltnet.http.reload import reload_routes
from moltnet.http.representation import finishing
from moltnet.http.rooms import rooms_routes
from moltnet.http.sessions import sessions_routes
from moltnet.protocol import limits
from moltnet.protocol.errors import ErrorCode


def make_api(app: App) -> QuartTrio:
    """The Quart application of a running network. It has no lifespan of its own: ``moltnet.app`` owns everything."""
    quart = ApiQuart("moltnet", static_folder=None)
    quart.config["MAX_CONTENT_LENGTH"] = limits.MAX_BODY_BYTES
    quart.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    quart.url_map.merge_slashes = False
    for routes in (
        network_routes,
        metrics_routes,
        pairings_routes,
        relays_routes,
        invitations_routes,
        rooms_routes,
        conversations_routes,
        messages_routes,
        agents_routes,
        approvals_routes,
        apply_routes,
        reload_routes,
        sessions_routes,
        events_routes,
        openapi_routes,
        discovery_routes,
        console_routes,
    ):
        quart.register_blueprint(routes(app))
    register_errors(quart)

    @quart.get("/v1/attach")
    async def attach_without_upgrade() -> Response:
        body = error_body(ErrorCode.UPGRADE_REQUIRED, "this route takes WebSocket upgrades only", g.request_id)
        answer = json_answer(body, 400)
        answer.headers["Sec-WebSocket-Version"] = "13"
        return answer

    gate = Gate(app)

    @quart.before_request
    async def begin() -> None:
        exchange = exchange_of(request.scope)
        g.request_id, g.gate = exchange.request_id, gate
        check_path()
        if request.url_rule is not None:
            exchange.route = route_name(request.method, request.url_rule.rule)
        check_accept()
        require_host(app, exchange.client)
        if request.path != ALIVE_PATH:
            await gate.admit()
        if app.config.auth.mode is AuthMode.NONE and request.method not in READING:
            # Nobody is asked for a token, so any web page that this machine's browser shows could write (design §3.8).
            require_origin(app, request.headers.get("Origin"), exchange.client)

    @quart.after_request
    async def finish(answer: Response) -> Response:
        answer.headers["X-Request-Id"] = g.request_id
        return answer

    quart.after_request(finishing())  # the last one runs first
    return quart
