"""The JSON envelope of every error, and the status of each kind of refusal. No framework in here."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from moltnet.core.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Refused,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unreachable,
)
from moltnet.protocol.codec import Problem, encode
from moltnet.protocol.errors import ErrorCode

STATUS: Final[dict[type[Refused], int]] = {
    Invalid: 422,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    RateLimited: 429,
    Unreachable: 502,
    Unavailable: 503,
}


def refusal_headers(error: Refused) -> Mapping[str, str]:
    """What the caller of a refused request is told beside the envelope."""
    match error:
        case Unauthenticated():
            return {"WWW-Authenticate": "Bearer"}
        case Unavailable():
            return {"Retry-After": "1"}
        case RateLimited(retry_after_seconds=seconds):
            # Whole seconds, and never "at once".
            return {"Retry-After": str(max(1, math.ceil(seconds)))}
    return {}


def error_body(code: ErrorCode, message: str, request_id: str, problems: Sequence[Problem] = ()) -> bytes:
    """``{"code", "error", "request_id"}`` and, where fields are wrong, ``problems`` with a path each."""
    body: dict[str, object] = {"code": code, "error": message, "request_id": request_id}
    if problems:
        body["problems"] = [{"path": problem.path, "message": problem.message} for problem in problems]
    return encode(body)
