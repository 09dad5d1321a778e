"""Which HTTP status each failure gets, and the JSON envelope around it (HTTP API §1; design §3.8).

No framework in here: Werkzeug's exceptions are values that name a status, whoever raises them.
"""

from collections.abc import Mapping
from typing import Final

from werkzeug.exceptions import HTTPException, MethodNotAllowed, UnsupportedMediaType

from moltnet.core.errors import Invalid, Refused
from moltnet.http.answer import Answer, json_reply
from moltnet.http.envelope import STATUS, error_body, refusal_headers
from moltnet.journal import JournalClosed
from moltnet.log import get_logger, leaves_of
from moltnet.protocol import limits
from moltnet.protocol.codec import DecodeError, Problem
from moltnet.protocol.errors import ErrorCode
from moltnet.storage.store import StorageError, StorageFull

log = get_logger("http")

EXPECTED: Final = (Refused, DecodeError, StorageError, JournalClosed)
# A message where the error's own is not for the caller.
_HTTP_CODES: Final[Mapping[int, tuple[ErrorCode, str]]] = {
    404: (ErrorCode.UNKNOWN_ROUTE, "there is no such route"),
    405: (ErrorCode.METHOD_NOT_ALLOWED, "this route does not take that method; see the Allow header"),
    406: (ErrorCode.NOT_ACCEPTABLE, ""),
    413: (ErrorCode.BODY_TOO_LARGE, f"the request body is larger than {limits.MAX_BODY_BYTES} bytes"),
    415: (ErrorCode.UNSUPPORTED_MEDIA_TYPE, ""),
}


def failure(error: BaseException, request_id: str, *, asked_for_room: bool) -> Answer:
    """The answer to anything that a handler can raise. Bugs are logged here and nowhere else.

    ``asked_for_room`` says that the request would have stored something.
    """
    match error:
        case Invalid(problems=problems):
            return _envelope(request_id, STATUS[Invalid], error.code, error.message, problems)
        case Refused():
            answer = _envelope(request_id, STATUS[type(error)], error.code, error.message)
            answer.headers.update(refusal_headers(error))
            return answer
        case DecodeError():
            only_json = len(error.problems) == 1 and error.problems[0].path == "$"
            code = ErrorCode.INVALID_JSON if only_json else ErrorCode.INVALID_FIELD
            return _envelope(request_id, 400, code, str(error), error.problems)
        case StorageFull():
            log.warning("storage full", reason=str(error))
            # A probe, and whoever reads, did not ask for room.
            text = "the storage takes no writes now; try again"
            return _retry_later(request_id, ErrorCode.STORAGE_FULL, text, status=507 if asked_for_room else 503)
        case StorageError():
            # The text may name paths of this host.
            log.warning("storage unavailable", reason=str(error))
            return _retry_later(request_id, ErrorCode.STORAGE_UNAVAILABLE, "the storage is unavailable; try again")
        case JournalClosed():
            return _retry_later(request_id, ErrorCode.SHUTTING_DOWN, "the server is shutting down; try again")
        case HTTPException(code=status):
            return _http_error(request_id, error, status or 500)
        case ExceptionGroup():
            expected, bugs = error.split(EXPECTED)
            if bugs is None and expected is not None:
                return failure(next(leaves_of(expected)), request_id, asked_for_room=asked_for_room)
    return _crash(request_id, error)


def _http_error(request_id: str, error: HTTPException, status: int) -> Answer:
    if status >= 500:
        return _crash(request_id, error, status)
    code, message = _HTTP_CODES.get(status, (ErrorCode.BAD_REQUEST, ""))
    answer = _envelope(request_id, status, code, message or error.description or "bad request")
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        answer.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    if isinstance(error, UnsupportedMediaType):
        answer.headers["Accept-Encoding"] = "identity"  # RFC 9110 §15.5.16
    return answer


def _crash(request_id: str, error: BaseException, status: int = 500) -> Answer:
    log.error("request crashed", exc_info=error, request_id=request_id)
    return _envelope(request_id, status, ErrorCode.INTERNAL_ERROR, "internal server error")


def _retry_later(request_id: str, code: ErrorCode, message: str, status: int = 503) -> Answer:
    answer = _envelope(request_id, status, code, message)
    answer.headers["Retry-After"] = "1"
    return answer


def _envelope(
    request_id: str, status: int, code: ErrorCode, message: str, problems: tuple[Problem, ...] = ()
) -> Answer:
    return json_reply(error_body(code, message, request_id, problems), status)
