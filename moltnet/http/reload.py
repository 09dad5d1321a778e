"""``POST /v1/admin/reload``."""

from quart import Blueprint, Response

from moltnet.app import App
from moltnet.config.settings import Scope
from moltnet.http.answers import json_answer
from moltnet.http.auth import Gate
from moltnet.reload import reload


def reload_routes(app: App) -> Blueprint:
    routes = Blueprint("reload", __name__)
    gate = Gate(app)

    @routes.post("/v1/admin/reload")
    async def take_over() -> Response:
        gate.require(Scope.ADMIN)
        result = await reload(app)
        if app.peers is not None:
            app.peers.reload()
        return json_answer(result)

    return routes
