"""Which HTTP status each failure gets, and the JSON envelope around it (HTTP API §1; design §3.8)."""

from collections.abc import Mapping
from typing import Any, Final

from quart import Response, g, has_request_context, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed, UnsupportedMediaType

from moltnet.core.errors import Invalid, Refused
from moltnet.http.answers import json_answer
from moltnet.http.envelope import STATUS, error_body, refusal_headers
from moltnet.journal import JournalClosed
from moltnet.log import get_logger, leaves_of
from moltnet.protocol import limits
from moltnet.protocol.codec import DecodeError, Problem
from moltnet.protocol.errors import ErrorCode
from moltnet.storage.store import StorageError, StorageFull

log = get_logger("http")

_EXPECTED = (Refused, DecodeError, StorageError, JournalClosed)
_READING: Final = frozenset({"GET", "HEAD"})
# A message where the error's own is not for the caller.
_HTTP_CODES: Final[Mapping[int, tuple[ErrorCode, str]]] = {
    404: (ErrorCode.UNKNOWN_ROUTE, "there is no such route"),
    405: (ErrorCode.METHOD_NOT_ALLOWED, "this route does not take that method; see the Allow header"),
    406: (ErrorCode.NOT_ACCEPTABLE, ""),
    413: (ErrorCode.BODY_TOO_LARGE, f"the request body is larger than {limits.MAX_BODY_BYTES} bytes"),
    415: (ErrorCode.UNSUPPORTED_MEDIA_TYPE, ""),
}


def answer_error(error: BaseException) -> Response:
    """The answer to anything that a handler can raise. Bugs are logged here and nowhere else."""
    match error:
        case Invalid(problems=problems):
            return _envelope(STATUS[Invalid], error.code, error.message, problems)
        case Refused():
            answer = _envelope(STATUS[type(error)], error.code, error.message)
            answer.headers.update(refusal_headers(error))
            return answer
        case DecodeError():
            only_json = len(error.problems) == 1 and error.problems[0].path == "$"
            code = ErrorCode.INVALID_JSON if only_json else ErrorCode.INVALID_FIELD
            return _envelope(400, code, str(error), error.problems)
        case StorageFull():
            log.warning("storage full", reason=str(error))
            # A probe, and whoever reads, did not ask for room.
            reads = not has_request_context() or request.method in _READING
            return _retry_later(
                ErrorCode.STORAGE_FULL, "the storage takes no writes now; try again", status=503 if reads else 507
            )
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
    code, message = _HTTP_CODES.get(status, (ErrorCode.BAD_REQUEST, ""))
    if status >= 500:
        log.error("request crashed", exc_info=error, request_id=g.get("request_id", ""))
        code, message = ErrorCode.INTERNAL_ERROR, "internal server error"
    answer = _envelope(status, code, message or error.description or "bad request")
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        answer.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    if isinstance(error, UnsupportedMediaType):
        answer.headers["Accept-Encoding"] = "identity"  # RFC 9110 §15.5.16
    return answer


def _retry_later(code: ErrorCode, message: str, status: int = 503) -> Response:
    answer = _envelope(status, code, message)
    answer.headers["Retry-After"] = "1"
    return answer


def _envelope(status: int, code: ErrorCode, message: str, problems: tuple[Problem, ...] = ()) -> Response:
    return json_answer(error_body(code, message, g.get("request_id", ""), problems), status)


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
