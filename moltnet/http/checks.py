"""What is refused before any route looks at it: paths that are not clean, and clients that do not take our answer."""

from typing import Final

from werkzeug.exceptions import NotAcceptable, UnsupportedMediaType

from moltnet.core.errors import NotFound
from moltnet.http.negotiation import body_problem, excludes
from moltnet.http.request_headers import RequestHeaders
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.identity import FQID_PREFIX

_API: Final = "/v1/"
_CONSOLE: Final = "/console/"
_AGENT_BY_FQID: Final = f"/v1/agents/{FQID_PREFIX}"
_STREAM: Final = "/v1/events/stream"
_UNCLEAN: Final = frozenset({"", ".", ".."})


def check_path(path: str) -> None:
    """Refuse what the router, or a proxy in front of us, may take for another path. Never answered by a redirect.

    Raises ``NotFound``.
    """
    # An agent's FQID has two slashes of its own; views of the console are told apart by its page.
    rest = path.removeprefix(_AGENT_BY_FQID) if path.startswith(_AGENT_BY_FQID) else path[1:]
    if path.startswith(_CONSOLE) or path == "/":
        return
    if not _UNCLEAN.isdisjoint(rest.split("/")):
        raise NotFound(ErrorCode.UNKNOWN_ROUTE, "there is no such route")


def check_accept(headers: RequestHeaders, path: str) -> None:
    """Refuse a client that says outright that it does not take what the route answers. Raises ``NotAcceptable``."""
    accept = headers.all_of(b"accept")
    if not accept or not path.startswith(_API):
        return
    answered = "text/event-stream" if path == _STREAM else "application/json"
    if excludes(accept, answered):
        raise NotAcceptable(f"this route answers with {answered}, which the Accept header excludes")


def check_body(headers: RequestHeaders) -> None:
    """Refuse a body that can't be meant as JSON in UTF-8. Raises ``UnsupportedMediaType``."""
    problem = body_problem(headers.get(b"content-type") or "", headers.all_of(b"content-encoding"))
    if problem is not None:
        raise UnsupportedMediaType(problem)
