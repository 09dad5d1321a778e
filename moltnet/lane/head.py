"""The heads of requests that the fast lane takes: a grammar so narrow that nobody can read one of them in another way.

``read_head`` is pure. What does not match is no mistake: it is handed over to the full parser, untouched, which may
take it, refuse it, or wait for more. What is handed over:

- every other route, and of ours every target with an escape, a fragment, a host, or other characters than the few below
- every version but HTTP/1.1, and every method but GET and POST
- a line that ends in a bare LF or is continued by a fold; a name or value with other characters than the usual ones; an
  empty value, a blank before the colon, none or two after it, one at the end
- a header that comes twice, whichever it is; no Host
- ``Transfer-Encoding``, ``Expect``, ``TE``, ``Trailer``, ``Cookie``, a ``Content-Encoding``
- a body without its length, a GET with one, a length that is no plain number or more than ``FREE_BODY_BYTES``
- a ``Connection`` that says anything but ``keep-alive`` or ``close``; an ``Upgrade``, but for that to a WebSocket on
  the one route that has it, with version 13, a proper key and no subprotocol
- a head of more than ``MAX_LANE_HEAD_BYTES``
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Final

import attrs

from moltnet.http.hot import HotRoute, hot_route, is_plain
from moltnet.http.request_headers import RequestHeaders
from moltnet.protocol import limits


class Verdict(Enum):
    """What is said of bytes that are no head of ours, or none yet."""

    MORE = "more"
    HAND_OVER = "hand over"


class Raw(Enum):
    """Routes whose answer has no end, which have a way of their own over the socket. The value names the route."""

    ATTACH = "GET /v1/attach"
    STREAM = "GET /v1/events/stream"


@attrs.define(eq=False)  # not frozen: that takes twice as long to make
class Head:
    """A canonical request without its body, which takes ``body_bytes``. ``wanted`` is the id in the path.

    Never changed once it is made.
    """

    method: str
    path: str
    query: bytes
    headers: RequestHeaders
    route: HotRoute | Raw
    wanted: str
    size_bytes: int
    body_bytes: int
    is_last: bool
    """The client takes no other answer over this connection."""


_BEGINNINGS: Final = (b"POST /v1/messages HTTP/1.1\r\n", b"GET /v1/")
_LONGEST_BEGINNING: Final = max(map(len, _BEGINNINGS))
_LINE: Final = re.compile(
    rb"(POST|GET) (/v1/[A-Za-z0-9/._:-]*+)(?:\?([A-Za-z0-9._:~=&-]*+))? HTTP/1\.1\r\n"
    # Possessive, so that no input makes it try anything twice.
    rb"((?:[A-Za-z][A-Za-z0-9-]*+: [\x21-\x7e][\x20-\x7e]*+\r\n)++)\r\n"
)
_END: Final = b"\r\n\r\n"
_RAW: Final = {"/v1/attach": Raw.ATTACH, "/v1/events/stream": Raw.STREAM}

_CONNECTION: Final = b"connection"
_LAST: Final = {None: False, b"keep-alive": False, b"close": True}
# Beside those that no hot route takes without a framework (``moltnet.http.hot``).
_HANDED_OVER: Final = (b"te", b"trailer", b"content-encoding")
_UPGRADES: Final = (b"upgrade", b"keep-alive, upgrade", b"upgrade, keep-alive")
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")


def read_head(data: bytes | bytearray) -> Head | Verdict:
    """What the bytes of a connection begin with. ``data`` is left alone."""
    end = data.find(_END, 0, limits.MAX_LANE_HEAD_BYTES)
    if end < 0:
        return _verdict_on(bytes(data[:_LONGEST_BEGINNING]), len(data))
    match = _LINE.fullmatch(data, 0, end + len(_END))
    if match is None:
        return Verdict.HAND_OVER
    verb, target, query, block = match.groups()
    lines = bytes(block).split(b"\r\n")
    lines.pop()
    first: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b": ")
        first[name.lower()] = value
    if len(first) < len(lines) or b"host" not in first or b" \r\n" in block:
        return Verdict.HAND_OVER
    method, path, headers = verb.decode(), target.decode(), RequestHeaders(first)
    raw = _RAW.get(path) if method == "GET" else None
    if raw is Raw.ATTACH:
        return _attach(path, bytes(query or b""), headers, match.end())
    found = (raw, "") if raw is not None else hot_route(method, path)
    connection = first.get(_CONNECTION)
    is_last = _LAST.get(connection if connection is None else connection.lower())
    if found is None or is_last is None or not is_plain(method, headers) or _has_any(first, _HANDED_OVER):
        return Verdict.HAND_OVER
    route, wanted = found
    body_bytes = int(first[b"content-length"]) if method == "POST" else 0
    return Head(method, path, bytes(query or b""), headers, route, wanted, match.end(), body_bytes, is_last)


def _verdict_on(beginning: bytes, size_bytes: int) -> Verdict:
    """Whether it may become a head of ours."""
    may_be = any(each.startswith(beginning[: len(each)]) for each in _BEGINNINGS)
    return Verdict.MORE if may_be and size_bytes < limits.MAX_LANE_HEAD_BYTES else Verdict.HAND_OVER


def _attach(path: str, query: bytes, headers: RequestHeaders, size_bytes: int) -> Head | Verdict:
    first = headers.first
    is_ours = (
        first.get(b"upgrade", b"").lower() == b"websocket"
        and first.get(_CONNECTION, b"").lower() in _UPGRADES
        and first.get(b"sec-websocket-version") == b"13"
        and _KEY.fullmatch(first.get(b"sec-websocket-key", b"")) is not None
        and not _has_any(first, (b"sec-websocket-protocol", b"content-length", b"transfer-encoding", b"expect"))
        and not _has_any(first, _HANDED_OVER)
    )
    if not is_ours:
        return Verdict.HAND_OVER
    return Head("GET", path, query, headers, Raw.ATTACH, "", size_bytes, 0, is_last=True)


def _has_any(first: Mapping[bytes, bytes], names: tuple[bytes, ...]) -> bool:
    return any(name in first for name in names)
