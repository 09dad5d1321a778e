"""Messages on their way to paired networks: how many wait, and what an operator does about those that were refused."""

from quart import Blueprint, Response

from moltnet.app import App
from moltnet.config.settings import Scope
from moltnet.core import relaying
from moltnet.http.answers import json_answer
from moltnet.http.auth import Gate
from moltnet.http.parameters import page_request
from moltnet.http.rooms import READ


def relays_routes(app: App) -> Blueprint:
    routes = Blueprint("relays", __name__)
    gate = Gate(app)
    context = app.context

    @routes.get("/v1/outbox")
    async def list_queues() -> Response:
        gate.require(*READ)
        return json_answer(await relaying.list_queues(context))

    @routes.get("/v1/pairings/<pairing_id>/dead-letters")
    async def list_dead_letters(pairing_id: str) -> Response:
        gate.require(*READ)
        return json_answer(await relaying.list_dead_letters(context, pairing_id.strip(), page_request()))

    @routes.post("/v1/pairings/<pairing_id>/dead-letters/<message_id>/retry")
    async def retry_dead_letter(pairing_id: str, message_id: str) -> Response:
        gate.require(Scope.ADMIN)
        return json_answer(await relaying.retry_dead_letter(context, pairing_id.strip(), message_id.strip()))

    @routes.delete("/v1/pairings/<pairing_id>/dead-letters/<message_id>")
    async def drop_dead_letter(pairing_id: str, message_id: str) -> Response:
        gate.require(Scope.ADMIN)
        return json_answer(await relaying.drop_dead_letter(context, pairing_id.strip(), message_id.strip()))

    return routes
