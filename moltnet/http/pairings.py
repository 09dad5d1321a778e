"""Pairings, and what their networks say of themselves."""

from quart import Blueprint, Response

from moltnet.app import App
from moltnet.core import pairings
from moltnet.http.answers import json_answer
from moltnet.http.auth import Gate
from moltnet.http.parameters import page_request
from moltnet.http.rooms import READ
from moltnet.protocol.identity import member_problem


def pairings_routes(app: App) -> Blueprint:
    routes = Blueprint("pairings", __name__)
    gate = Gate(app)
    context = app.context

    @routes.get("/v1/pairings")
    async def list_pairings() -> Response:
        gate.require(*READ)
        return json_answer(pairings.list_pairings(context, page_request()))

    @routes.get("/v1/pairings/<pairing_id>/network")
    async def remote_network(pairing_id: str) -> Response:
        gate.require(*READ)
        pairings.refuse_remote(context, pairing_id.strip())

    @routes.get("/v1/pairings/<pairing_id>/rooms")
    async def remote_rooms(pairing_id: str) -> Response:
        gate.require(*READ)
        page_request()
        pairings.refuse_remote(context, pairing_id.strip())

    @routes.get("/v1/pairings/<pairing_id>/agents")
    async def remote_agents(pairing_id: str) -> Response:
        gate.require(*READ)
        page_request(member_problem)
        pairings.refuse_remote(context, pairing_id.strip())

    return routes
