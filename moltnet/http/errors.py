"""What Quart does with everything that a route can raise: the answers of ``moltnet.http.failures``."""

from typing import Any

from quart import Response, g, has_request_context, request
from quart.wrappers.base import BaseRequestWebsocket
from quart_trio import QuartTrio
from werkzeug.exceptions import BadHost, HTTPException
from werkzeug.routing import MapAdapter

from moltnet.http.answers import response_of
from moltnet.http.failures import EXPECTED, failure


def answer_error(error: BaseException) -> Response:
    """The answer to anything that a handler can raise."""
    asked_for_room = has_request_context() and request.method not in ("GET", "HEAD")
    return response_of(failure(error, g.get("request_id", ""), asked_for_room=asked_for_room))


async def _handle(error: Exception) -> Response:
    return answer_error(error)


class ApiQuart(QuartTrio):
    """A Quart application that answers for everything that went wrong, not for the first thing it finds.

    Of an exception group quart-trio takes the first leaf that has a handler and drops the others unlogged, so a bug
    beside a refusal would be answered as the refusal.
    """

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> MapAdapter | None:
        """Which route a request is for. Quart crashes on a ``Host`` that is no name, which no route asks for."""
        try:
            return super().create_url_adapter(request)
        except BadHost:
            assert request is not None
            query = request.query_string.decode("latin-1")
            return self.url_map.bind(
                "localhost", request.root_path, "", request.scheme, request.method, request.path, query
            )

    async def handle_user_exception(self, error: Exception | BaseExceptionGroup[BaseException]) -> Any:
        if isinstance(error, ExceptionGroup):
            return answer_error(error)
        return await super().handle_user_exception(error)


def register_errors(quart: QuartTrio) -> None:
    """Answer everything in the envelope: refusals, bad routes, bugs."""
    for kind in (*EXPECTED, HTTPException, Exception):
        quart.register_error_handler(kind, _handle)
