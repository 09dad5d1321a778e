"""``POST /v1/messages``."""

from quart import Blueprint, Response

from moltnet.app import App
from moltnet.http import hot
from moltnet.http.answers import response_of
from moltnet.http.current import current_call


def messages_routes(_app: App) -> Blueprint:
    routes = Blueprint("messages", __name__)

    @routes.post("/v1/messages")
    async def send() -> Response:
        return response_of(await hot.send(current_call()))

    return routes
