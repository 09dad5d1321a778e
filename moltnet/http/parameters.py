"""Query parameters that several routes take."""

from quart import request

from moltnet.core.errors import Invalid
from moltnet.protocol.codec import Problem
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.identity import member_problem
from moltnet.protocol.ids import id_problem
from moltnet.protocol.pages import PageRequest, page_limit


def page_request(*, members: bool = False) -> PageRequest:
    """``limit``, ``before`` and ``after`` (message model §11). Cursors are ids, or member ids if ``members``.

    Raises ``Invalid``.
    """
    before, after = (request.args.get(name, "").strip() for name in ("before", "after"))
    if before and after:
        raise Invalid("before and after cannot both be set", code=ErrorCode.INVALID_CURSOR)
    for name, cursor in (("before", before), ("after", after)):
        problem = (member_problem if members else id_problem)(cursor) if cursor else None
        if problem is not None:
            raise Invalid(f"{name} {problem}", [Problem(f"$.{name}", problem)], ErrorCode.INVALID_CURSOR)
    return PageRequest(page_limit(request.args.get("limit")), before, after)
