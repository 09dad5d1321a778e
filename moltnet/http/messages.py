"""``POST /v1/messages``."""

from quart import Blueprint, Response

from moltnet.app import App
from moltnet.config.settings import Scope
from moltnet.core.messaging import send_message
from moltnet.http.answers import json_answer, read_body
from moltnet.http.auth import Gate
from moltnet.protocol.messages import SendMessageRequest


def messages_routes(app: App) -> Blueprint:
    routes = Blueprint("messages", __name__)
    gate = Gate(app)

    @routes.post("/v1/messages")
    async def send() -> Response:
        claims = gate.require(Scope.WRITE, Scope.PAIR)
        app.admission.admit_message(claims, gate.client.source)
        accepted = await send_message(app.context, await read_body(SendMessageRequest), claims)
        return json_answer(accepted, 202)

    return routes
