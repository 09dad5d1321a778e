"""Refusals: why a request that was understood is not carried out. One class per meaning, a code per reason.

The HTTP status of each class stands in ``moltnet.http.errors``, the close code for attachments in
``moltnet.attach.endpoint``.
"""

from collections.abc import Iterable

from moltnet.protocol.codec import Problem
from moltnet.protocol.errors import ErrorCode


class Refused(Exception):
    """Base of all refusals. The text is for the caller and holds no secret."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Unauthenticated(Refused):
    """No credential where one is needed, or a bad one."""


class Forbidden(Refused):
    """The caller is known and may not do this."""


class NotFound(Refused):
    pass


class Conflict(Refused):
    """What is stored contradicts the request."""


class Unreachable(Refused):
    """Another network, which the answer depends on, can't be asked."""


class Unavailable(Refused):
    """Nobody can tell at this moment whether the caller may; another try is answered."""


class TooLarge(Refused):
    pass


class RateLimited(Refused):
    """The caller asks too often, or holds too much open at once; ``code`` says which.

    ``retry_after_seconds`` is when another try makes sense.
    """

    def __init__(self, message: str, *, retry_after_seconds: float, code: ErrorCode = ErrorCode.RATE_LIMITED) -> None:
        super().__init__(code, message)
        self.retry_after_seconds = retry_after_seconds


class Invalid(Refused):
    """The request makes no sense. ``problems`` names every field that is wrong."""

    def __init__(
        self, message: str, problems: Iterable[Problem] = (), code: ErrorCode = ErrorCode.INVALID_FIELD
    ) -> None:
        super().__init__(code, message)
        self.problems = tuple(problems)

    @classmethod
    def from_problems(cls, problems: Iterable[Problem]) -> "Invalid":
        problems = tuple(problems)
        return cls("; ".join(str(problem) for problem in problems), problems)
