"""The JSON envelope of every error, and the status of each kind of refusal. No framework in here."""

from collections.abc import Sequence
from typing import Final

from moltnet.core.errors import Conflict, Forbidden, Invalid, NotFound, Refused, TooLarge, Unauthenticated, Unreachable
from moltnet.protocol.codec import Problem, encode
from moltnet.protocol.errors import ErrorCode

STATUS: Final[dict[type[Refused], int]] = {
    Invalid: 422,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    Unreachable: 502,
}


def error_body(code: ErrorCode, message: str, request_id: str, problems: Sequence[Problem] = ()) -> bytes:
    """``{"code", "error", "request_id"}`` and, where fields are wrong, ``problems`` with a path each."""
    body: dict[str, object] = {"code": code, "error": message, "request_id": request_id}
    if problems:
        body["problems"] = [{"path": problem.path, "message": problem.message} for problem in problems]
    return encode(body)
