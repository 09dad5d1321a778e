"""``POST /v1/apply``."""

from quart import Blueprint, Response

from moltnet.app import App
from moltnet.config.settings import Scope
from moltnet.core.apply import apply_network
from moltnet.http.answers import json_answer, read_body
from moltnet.http.auth import Gate
from moltnet.protocol.administration import ApplyRequest


def apply_routes(app: App) -> Blueprint:
    routes = Blueprint("apply", __name__)
    gate = Gate(app)

    @routes.post("/v1/apply")
    async def apply() -> Response:
        gate.require(Scope.ADMIN)
        return json_answer(await apply_network(app.context, await read_body(ApplyRequest)))

    return routes
