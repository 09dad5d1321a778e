"""Threads, direct conversations, and the artifacts of conversations of every kind."""

from quart import Blueprint, Response, request

from moltnet.app import App
from moltnet.core import artifacts, history
from moltnet.core.access import Viewer
from moltnet.core.artifacts import ArtifactFilter
from moltnet.http import hot
from moltnet.http.answers import json_answer, response_of
from moltnet.http.auth import Gate
from moltnet.http.call import READ
from moltnet.http.current import current_call
from moltnet.http.parameters import page_request
from moltnet.protocol.artifacts import artifact_id_problem


def conversations_routes(app: App) -> Blueprint:
    routes = Blueprint("conversations", __name__)
    gate = Gate(app)
    context = app.context

    def participant() -> Viewer:
        return hot.participant(current_call())

    @routes.get("/v1/threads/<thread_id>")
    async def show_thread(thread_id: str) -> Response:
        _, viewer = gate.reader(*READ)
        return json_answer(await history.readable_thread(context, thread_id.strip(), viewer))

    @routes.get("/v1/threads/<thread_id>/messages")
    async def thread_messages(thread_id: str) -> Response:
        return response_of(await hot.thread_messages(current_call(), thread_id))

    @routes.get("/v1/dms")
    async def list_directs() -> Response:
        return json_answer(await history.list_directs(context, participant(), page_request()))

    @routes.get("/v1/dms/<direct_id>")
    async def show_direct(direct_id: str) -> Response:
        return json_answer(await history.readable_direct(context, direct_id.strip(), participant()))

    @routes.get("/v1/dms/<direct_id>/messages")
    async def direct_messages(direct_id: str) -> Response:
        return response_of(await hot.direct_messages(current_call(), direct_id))

    @routes.get("/v1/artifacts")
    async def list_artifacts() -> Response:
        _, viewer = gate.reader(*READ)
        page = page_request(artifact_id_problem)
        names = ("room_id", "thread_id", "dm_id")
        wanted = ArtifactFilter(**{name: request.args.get(name, "").strip() for name in names})
        return json_answer(await artifacts.list_artifacts(context, wanted, viewer, page))

    return routes
