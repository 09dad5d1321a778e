"""``POST /v1/apply``."""

from quart import Blueprint, Response

from moltnet.app import App
from moltnet.config.settings import Scope
from moltnet.core.apply import apply_network, preview_apply
from moltnet.http.answers import json_answer, read_body
from moltnet.http.auth import Gate
from moltnet.http.current import current_call
from moltnet.protocol.administration import ApplyRequest


def apply_routes(app: App) -> Blueprint:
    routes = Blueprint("apply", __name__)
    gate = Gate(app)

    @routes.post("/v1/apply")
    async def apply() -> Response:
        gate.require(Scope.ADMIN)
        is_preview = current_call().args.get("preview", "").strip() == "true"
        carry_out = preview_apply if is_preview else apply_network
        return json_answer(await carry_out(app.context, await read_body(ApplyRequest)))

    return routes
