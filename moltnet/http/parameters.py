"""Query parameters that several routes take."""

from collections.abc import Callable

from quart import request

from moltnet.core.errors import Invalid
from moltnet.protocol.codec import Problem
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.ids import id_problem
from moltnet.protocol.pages import PageRequest, page_limit


def page_request(cursor_problem: Callable[[str], str | None] = id_problem) -> PageRequest:
    """``limit``, ``before`` and ``after`` (message model §11). ``cursor_problem`` says what is wrong with a cursor.

    Raises ``Invalid``.
    """
    before, after = (request.args.get(name, "").strip() for name in ("before", "after"))
    if before and after:
        raise Invalid("before and after cannot both be set", code=ErrorCode.INVALID_CURSOR)
    for name, cursor in (("before", before), ("after", after)):
        problem = cursor_problem(cursor) if cursor else None
        if problem is not None:
            raise Invalid(f"{name} {problem}", [Problem(f"$.{name}", problem)], ErrorCode.INVALID_CURSOR)
    return PageRequest(page_limit(request.args.get("limit")), before, after)
