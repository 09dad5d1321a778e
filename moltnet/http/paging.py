"""Which page of a list a call asks for. No framework in here."""

from collections.abc import Callable, Mapping

from moltnet.core.errors import Invalid
from moltnet.protocol.codec import Problem
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.ids import id_problem
from moltnet.protocol.pages import PageRequest, page_limit

CursorProblem = Callable[[str], str | None]


def page_asked_for(args: Mapping[str, str], cursor_problem: CursorProblem = id_problem) -> PageRequest:
    """``limit``, ``before`` and ``after`` (message model §11). ``cursor_problem`` says what is wrong with a cursor.

    Raises ``Invalid``.
    """
    before, after = (args.get(name, "").strip() for name in ("before", "after"))
    if before and after:
        raise Invalid("before and after cannot both be set", code=ErrorCode.INVALID_CURSOR)
    for name, cursor in (("before", before), ("after", after)):
        problem = cursor_problem(cursor) if cursor else None
        if problem is not None:
            raise Invalid(f"{name} {problem}", [Problem(f"$.{name}", problem)], ErrorCode.INVALID_CURSOR)
    return PageRequest(page_limit(args.get("limit")), before, after)
