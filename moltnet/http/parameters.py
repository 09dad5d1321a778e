"""Query parameters that several of Quart's routes take."""

from moltnet.http.current import current_call
from moltnet.http.paging import CursorProblem, page_asked_for
from moltnet.protocol.ids import id_problem
from moltnet.protocol.pages import PageRequest


def page_request(cursor_problem: CursorProblem = id_problem) -> PageRequest:
    """What the request that Quart is handling asks for. Raises ``Invalid``."""
    return page_asked_for(current_call().args, cursor_problem)
