"""Assembling the HTTP API: every blueprint, the error envelope, and what holds for each request."""

from quart import Response, g, request
from quart.wrappers.response import DataBody
from quart_trio import QuartTrio

from moltnet.app import App
from moltnet.http.agents import agents_routes
from moltnet.http.answers import json_answer, receive_body
from moltnet.http.apply import apply_routes
from moltnet.http.approvals import approvals_routes
from moltnet.http.call import Call, admit, begin
from moltnet.http.checks import check_path
from moltnet.http.console import console_routes
from moltnet.http.conversations import conversations_routes
from moltnet.http.current import current_call
from moltnet.http.discovery import discovery_routes
from moltnet.http.envelope import error_body
from moltnet.http.errors import ApiQuart, register_errors
from moltnet.http.event_log import event_log_routes
from moltnet.http.events import events_routes
from moltnet.http.exchange import exchange_of
from moltnet.http.invitations import invitations_routes
from moltnet.http.messages import messages_routes
from moltnet.http.metrics import metrics_routes, route_name
from moltnet.http.network import network_routes
from moltnet.http.openapi.routes import openapi_routes
from moltnet.http.pairings import pairings_routes
from moltnet.http.relays import relays_routes
from moltnet.http.reload import reload_routes
from moltnet.http.representation import Representation
from moltnet.http.request_headers import RequestHeaders
from moltnet.http.rooms import rooms_routes
from moltnet.http.search import search_routes
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
        event_log_routes,
        search_routes,
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

    representation = Representation()

    @quart.before_request
    async def begin_request() -> None:
        scope, exchange = request.scope, exchange_of(request.scope)
        g.request_id = exchange.request_id
        headers = RequestHeaders.of(scope["headers"])
        path: str = scope["path"]
        g.call = call = Call(app, exchange, request.method, path, scope["query_string"], headers, receive_body)
        check_path(path)
        if request.url_rule is not None:
            exchange.route = route_name(request.method, request.url_rule.rule)
        # What no route answers has no form that a client could exclude.
        await (begin(call) if request.routing_exception is None else admit(call))

    @quart.after_request
    async def finish(answer: Response) -> Response:
        body = answer.response.data if isinstance(answer.response, DataBody) else None
        status, shown = await representation.finish(current_call(), answer.status_code, answer.headers, body)
        if shown is not body:
            answer.set_data(shown or b"")
        if status != answer.status_code:
            answer.status_code = status
            answer.headers.pop("Content-Length", None)
        answer.headers["X-Request-Id"] = g.request_id
        return answer

    return quart
