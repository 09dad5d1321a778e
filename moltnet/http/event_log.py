"""``GET /v1/events``: the log of events, page by page. As it goes on: ``moltnet.http.events``."""

from quart import Blueprint, Response

from moltnet.app import App
from moltnet.core.event_log import EventFilter, list_events
from moltnet.http.answers import json_answer
from moltnet.http.auth import Gate
from moltnet.http.current import current_call
from moltnet.http.parameters import page_request
from moltnet.http.rooms import READ
from moltnet.protocol.identity import parse_address


def event_log_routes(app: App) -> Blueprint:
    routes = Blueprint("event_log", __name__)
    gate = Gate(app)
    context = app.context

    @routes.get("/v1/events")
    async def events() -> Response:
        _, viewer = gate.reader(*READ)
        args = current_call().args
        kind, agent_id, room_id = (args.get(name, "").strip() for name in ("type", "agent_id", "room_id"))
        agent = parse_address(agent_id, context.id).fqid if agent_id else ""
        wanted = EventFilter(kind, agent, room_id)
        page = page_request()
        return json_answer(await list_events(context, viewer, wanted, page, published_seq=app.broker.newest_seq))

    return routes
