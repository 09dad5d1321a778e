"""``GET /v1/search``."""

from quart import Blueprint, Response

from moltnet.app import App
from moltnet.core.search import Search, cursor_problem, search_messages, words_of
from moltnet.http.answers import json_answer
from moltnet.http.auth import Gate
from moltnet.http.current import current_call
from moltnet.http.moments import moment_asked_for
from moltnet.http.paging import page_asked_for
from moltnet.http.rooms import READ
from moltnet.protocol import limits
from moltnet.protocol.identity import parse_address
from moltnet.protocol.pages import page_limit


def search_routes(app: App) -> Blueprint:
    routes = Blueprint("search", __name__)
    gate = Gate(app)
    context = app.context

    @routes.get("/v1/search")
    async def search() -> Response:
        _, viewer = gate.reader(*READ)
        args = current_call().args
        sender, room_id, thread_id, dm_id = (
            args.get(name, "").strip() for name in ("from", "room_id", "thread_id", "dm_id")
        )
        wanted = Search(
            words=words_of(args.get("text", "")),
            sender=parse_address(sender, context.id).fqid if sender else "",
            since=moment_asked_for(args, "since"),
            until=moment_asked_for(args, "until"),
            depth=page_limit(args.get("depth"), limits.MAX_MESSAGES_LOOKED_AT, limits.MAX_MESSAGES_LOOKED_AT),
            room_id=room_id,
            thread_id=thread_id,
            dm_id=dm_id,
        )
        # There is one direction only.
        page = page_asked_for({**args, "after": ""}, cursor_problem)
        return json_answer(await search_messages(context, wanted, viewer, page))

    return routes
