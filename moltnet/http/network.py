"""What the network says of itself, and whether it is well."""

from quart import Blueprint, Response

from moltnet.app import App
from moltnet.core.network import describe_network
from moltnet.http.answers import json_answer, plain_json_answer
from moltnet.http.auth import Gate
from moltnet.storage.store import StorageError


def network_routes(app: App) -> Blueprint:
    routes = Blueprint("network", __name__)
    gate = Gate(app)

    @routes.get("/v1/network")
    async def show_network() -> Response:
        return json_answer(describe_network(app.context, gate.network_reader()))

    @routes.get("/healthz")
    async def alive() -> Response:
        return plain_json_answer({"status": "ok"})

    @routes.get("/readyz")
    async def ready() -> Response:
        """Proves a durable write; a full disk is not ready (design §3.17)."""
        health = app.metrics.journal.health
        try:
            await app.context.store.check_writable()
        except StorageError:
            health.set(0)
            raise
        health.set(1)
        return plain_json_answer({"status": "ready"})

    return routes
