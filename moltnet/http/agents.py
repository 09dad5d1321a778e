"""Agents, their registration, and their tokens."""

from quart import Blueprint, Response

from moltnet.app import App
from moltnet.config.settings import Scope
from moltnet.core import agents, credentials, muting, wakes
from moltnet.core.topology import list_viewer
from moltnet.http.answers import json_answer, read_body, read_optional_body
from moltnet.http.auth import Gate
from moltnet.http.parameters import page_request
from moltnet.http.rooms import LIST, READ
from moltnet.protocol.administration import RemovedKind, RemoveResult
from moltnet.protocol.agents import MuteRequest, RegisterAgentRequest
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

    @routes.post("/v1/agents/<path:agent_id>/mute")
    async def mute(agent_id: str) -> Response:
        claims, viewer = gate.require(Scope.ADMIN), gate.reader(*READ)[1]
        wanted = await read_optional_body(MuteRequest)
        await muting.mute_agent(context, agent_id.strip(), wanted, claims)
        return json_answer(agents.show_agent(context, agent_id.strip(), viewer, connected))

    @routes.delete("/v1/agents/<path:agent_id>/mute")
    async def unmute(agent_id: str) -> Response:
        claims, viewer = gate.require(Scope.ADMIN), gate.reader(*READ)[1]
        await muting.unmute_agent(context, agent_id.strip(), claims)
        return json_answer(agents.show_agent(context, agent_id.strip(), viewer, connected))

    @routes.post("/v1/agents/<path:agent_id>/token")
    async def replace_token(agent_id: str) -> Response:
        return json_answer(await credentials.replace_token(context, agent_id.strip(), gate.claims()))

    @routes.delete("/v1/agents/<path:agent_id>/token")
    async def revoke_token(agent_id: str) -> Response:
        return json_answer(await credentials.revoke_token(context, agent_id.strip(), gate.claims()))

    @routes.get("/v1/credentials")
    async def list_credentials() -> Response:
        return json_answer(credentials.list_credentials(context, gate.claims(), page_request()))

    @routes.get("/v1/tokens")
    async def list_tokens() -> Response:
        gate.require(Scope.ADMIN)
        return json_answer(credentials.list_tokens(context, app.config.auth.tokens, page_request(_token_problem)))

    return routes


def _token_problem(token_id: str) -> str | None:
    """Ids of tokens are free texts."""
    return None if token_id.isprintable() else "is no id of a token"
