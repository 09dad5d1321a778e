"""Agents, their registration, and their tokens."""

from quart import Blueprint, Response

from moltnet.app import App
from moltnet.config.settings import Scope
from moltnet.core import agents, credentials, wakes
from moltnet.core.topology import list_viewer
from moltnet.http.answers import json_answer, read_body
from moltnet.http.auth import Gate
from moltnet.http.parameters import page_request
from moltnet.http.rooms import LIST, READ
from moltnet.protocol.administration import RemovedKind, RemoveResult
from moltnet.protocol.agents import RegisterAgentRequest
from moltnet.protocol.identity import member_problem


def agents_routes(app: App) -> Blueprint:
    routes = Blueprint("agents", __name__)
    gate = Gate(app)
    context, connected = app.context, app.gateway.registry.is_connected
    pending_wakes = app.gateway.registry.pending_wakes

    @routes.get("/v1/agents")
    async def list_agents() -> Response:
        claims, viewer = gate.reader(*LIST)
        viewer = list_viewer(context, claims, viewer)
        return json_answer(agents.list_agents(context, viewer, page_request(member_problem), connected))

    @routes.get("/v1/agents/<path:agent_id>")
    async def show_agent(agent_id: str) -> Response:
        _, viewer = gate.reader(*READ)
        return json_answer(agents.show_agent(context, agent_id.strip(), viewer, connected))

    @routes.get("/v1/agents/<path:agent_id>/wakes")
    async def list_wakes(agent_id: str) -> Response:
        _, viewer = gate.reader(*READ)
        return json_answer(
            await wakes.list_wakes(context, agent_id.strip(), viewer, page_request(), connected, pending_wakes)
        )

    @routes.delete("/v1/agents/<path:agent_id>")
    async def remove_agent(agent_id: str) -> Response:
        gate.require(Scope.ADMIN)
        return json_answer(RemoveResult(RemovedKind.AGENT, await agents.remove_agent(context, agent_id.strip())))

    @routes.post("/v1/agents/register")
    async def register() -> Response:
        claims = gate.claims()
        app.admission.admit_registration(claims, gate.client.source)
        await app.admission.confirm_registration(claims, gate.client.source)
        registration, created = await agents.register_agent(context, await read_body(RegisterAgentRequest), claims)
        return json_answer(registration, 201 if created else 200)

    @routes.post("/v1/agents/<path:agent_id>/token")
    async def replace_token(agent_id: str) -> Response:
        return json_answer(await credentials.replace_token(context, agent_id.strip(), gate.claims()))

    @routes.delete("/v1/agents/<path:agent_id>/token")
    async def revoke_token(agent_id: str) -> Response:
        return json_answer(await credentials.revoke_token(context, agent_id.strip(), gate.claims()))

    @routes.get("/v1/credentials")
    async def list_credentials() -> Response:
        return json_answer(credentials.list_credentials(context, gate.claims(), page_request()))

    return routes
