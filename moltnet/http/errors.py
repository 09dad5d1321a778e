"""Which HTTP status each failure gets, and the JSON envelope around it (HTTP API §1; design §3.8)."""

from typing import Any

from quart import Response, g
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from moltnet.core.errors import Invalid, Refused
from moltnet.http.answers import json_answer
from moltnet.http.envelope import STATUS, error_body
from moltnet.journal import JournalClosed
from moltnet.log import get_logger, leaves_of
from moltnet.protocol import limits
from moltnet.protocol.codec import DecodeError, Problem
from moltnet.protocol.errors import ErrorCode
from moltnet.storage.store import StorageError

log = get_logger("http")

_EXPECTED = (Refused, DecodeError, StorageError, JournalClosed)
_HTTP_CODES: dict[int, tuple[ErrorCode, str]] = {
    404: (ErrorCode.UNKNOWN_ROUTE, "there is no such route"),
    405: (ErrorCode.METHOD_NOT_ALLOWED, "this route does not take that method; see the Allow header"),
    413: (ErrorCode.BODY_TOO_LARGE, f"the request body is larger than {limits.MAX_BODY_BYTES} bytes"),
}


def answer_error(error: BaseException) -> Response:
    """The answer to anything that a handler can raise. Bugs are logged here and nowhere else."""
    match error:
        case Invalid(problems=problems):
            return _envelope(STATUS[Invalid], error.code, error.message, problems)
        case Refused():
            return _envelope(STATUS[type(error)], error.code, error.message)
        case DecodeError():
            only_json = len(error.problems) == 1 and error.problems[0].path == "$"
            code = ErrorCode.INVALID_JSON if only_json else ErrorCode.INVALID_FIELD
            return _envelope(400, code, str(error), error.problems)
        case StorageError():
            # The text may name paths of this host.
            log.warning("storage unavailable", reason=str(error))
            return _retry_later(ErrorCode.STORAGE_UNAVAILABLE, "the storage is unavailable; try again")
        case JournalClosed():
            return _retry_later(ErrorCode.SHUTTING_DOWN, "the server is shutting down; try again")
        case HTTPException(code=status):
            return _http_error(error, status or 500)
        case ExceptionGroup():
            expected, bugs = error.split(_EXPECTED)
            if bugs is None and expected is not None:
                return answer_error(next(leaves_of(expected)))
    log.error("request crashed", exc_info=error, request_id=g.get("request_id", ""))
    return _envelope(500, ErrorCode.INTERNAL_ERROR, "internal server error")


def _http_error(error: HTTPException, status: int) -> Response:
    code, message = _HTTP_CODES.get(status, (ErrorCode.BAD_REQUEST, error.description or "bad request"))
    if status >= 500:
        log.error("request crashed", exc_info=error, request_id=g.get("request_id", ""))
        code, message = ErrorCode.INTERNAL_ERROR, "internal server error"
    answer = _envelope(status, code, message)
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        answer.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return answer


def _retry_later(code: ErrorCode, message: str) -> Response:
    answer = _envelope(503, code, message)
    answer.headers["Retry-After"] = "1"
    return answer


def _envelope(status: int, code: ErrorCode, message: str, problems: tuple[Problem, ...] = ()) -> Response:
    answer = json_answer(error_body(code, message, g.get("request_id", ""), problems), status)
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


async def _handle(error: Exception) -> Response:
    return answer_error(error)


class ApiQuart(QuartTrio):
    """A Quart application that answers for everything that went wrong, not for the first thing it finds.

    Of an exception group quart-trio takes the first leaf that has a handler and drops the others unlogged, so a bug
    beside a refusal would be answered as the refusal.
    """

    async def handle_user_exception(self, error: Exception | BaseExceptionGroup[BaseException]) -> Any:
        if isinstance(error, ExceptionGroup):
            return answer_error(error)
        return await super().handle_user_exception(error)


def register_errors(quart: QuartTrio) -> None:
    """Answer everything in the envelope: refusals, bad routes, bugs."""
    for kind in (*_EXPECTED, HTTPException, Exception):
        quart.register_error_handler(kind, _handle)
