"""Approvals of wakes: asking, listing, deciding."""

from quart import Blueprint, Response, request

from moltnet.app import App
from moltnet.core import approvals
from moltnet.http.answers import json_answer, read_body, read_optional_body
from moltnet.http.auth import Gate
from moltnet.http.parameters import page_request
from moltnet.protocol.approvals import ApprovalState, DecisionRequest, RequestApprovalRequest


def approvals_routes(app: App) -> Blueprint:
    routes = Blueprint("approvals", __name__)
    gate = Gate(app)
    context = app.context

    @routes.post("/v1/agents/<path:agent_id>/approvals")
    async def request_approval(agent_id: str) -> Response:
        claims = gate.claims()
        wanted = await read_body(RequestApprovalRequest)
        approval, created = await approvals.request_approval(context, agent_id.strip(), wanted, claims)
        return json_answer(approval, 201 if created else 200)

    @routes.get("/v1/approvals")
    async def list_approvals() -> Response:
        state, agent_id = (request.args.get(name, "").strip() for name in ("state", "agent"))
        return json_answer(await approvals.list_approvals(context, state, agent_id, gate.claims(), page_request()))

    @routes.get("/v1/approvals/<approval_id>")
    async def show_approval(approval_id: str) -> Response:
        return json_answer(await approvals.show_approval(context, approval_id.strip(), gate.claims()))

    @routes.post("/v1/approvals/<approval_id>/approve")
    async def approve(approval_id: str) -> Response:
        return await decide(approval_id, ApprovalState.APPROVED)

    @routes.post("/v1/approvals/<approval_id>/deny")
    async def deny(approval_id: str) -> Response:
        return await decide(approval_id, ApprovalState.DENIED)

    async def decide(approval_id: str, state: ApprovalState) -> Response:
        claims = gate.claims()
        said = await read_optional_body(DecisionRequest)
        return json_answer(await approvals.decide_approval(context, approval_id.strip(), state, said, claims))

    return routes
