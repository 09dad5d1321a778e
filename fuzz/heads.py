"""Invariant: a head that the fast lane takes, the full parser reads in just the same way, wherever it is cut.

Method, target and headers are the same, and so is the place where the next request begins, which is what smuggling is
about. Whatever else comes is left to the full parser, and what is incomplete was never said to be anything.
"""

import sys
from collections.abc import Hashable
from typing import Final

import h11

from fuzz.campaign import Target, main
from moltnet.lane.head import Head, Raw, Verdict, read_head
from moltnet.protocol.limits import MAX_LANE_HEAD_BYTES

NEXT: Final = b"NEXT"
MAX_BODY_BYTES: Final = 1024 * 1024
TOKENS: Final = (
    *(
        f"{method} {path} HTTP/1.1\r\n".encode()
        for method in ("GET", "POST")
        for path in ("/v1/messages", "/v1/attach")
    ),
    *(
        token.encode()
        for token in (
            *(
                "GET /v1/rooms/general/messages?limit=3 HTTP/1.1\r\n",
                "GET /v1/events/stream HTTP/1.1\r\n",
                "/v1/dms/d1",
            ),
            *("Host: lab.test\r\n", "Content-Length: 3\r\n", "Content-Type: application/json\r\n", "\r\n\r\n", "\r\n"),
            *("Transfer-Encoding: chunked\r\n", "Connection: close\r\n", "Connection: keep-alive\r\n", "Expect: x\r\n"),
            *(
                "Authorization: Bearer x\r\n",
                "Upgrade: websocket\r\n",
                "Sec-WebSocket-Version: 13\r\n",
                "Cookie: a=b\r\n",
            ),
            *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "Content-Length: 03\r\n", "Content-Length: +3\r\n"),
            *(" ", "\t", ":", "\n", "\r", "\0", "%2e", "//", "?", "#", "HTTP/1.0", "host", "abc"),
        )
    ),
)


def check(data: bytes) -> Hashable:
    """Raises if a head breaks the invariant; otherwise says what it was taken for."""
    head = read_head(data)
    if not isinstance(head, Head):
        if head is Verdict.HAND_OVER:
            return "handed over"
        if len(data) > MAX_LANE_HEAD_BYTES + MAX_BODY_BYTES:
            raise AssertionError("more is waited for than any head has")
        return head.name
    if not 0 < head.size_bytes <= min(len(data), MAX_LANE_HEAD_BYTES) or not 0 <= head.body_bytes <= MAX_BODY_BYTES:
        raise AssertionError(f"a head of {head.size_bytes} bytes with a body of {head.body_bytes}")
    _check_pieces(data[: head.size_bytes])
    _check_against_the_full_parser(head, data[: head.size_bytes])
    return head.method, head.route.name, head.body_bytes > 0, head.is_last, len(head.headers.first)


def _check_pieces(data: bytes) -> None:
    for end in range(0, len(data), 1 + len(data) // 16):
        if isinstance(read_head(data[:end]), Head):
            raise AssertionError(f"its first {end} bytes were taken for all of it")


def _check_against_the_full_parser(head: Head, data: bytes) -> None:
    full = h11.Connection(h11.SERVER)
    try:
        full.receive_data(data)
        request = full.next_event()
    except h11.RemoteProtocolError as error:
        raise AssertionError("the full parser refuses it") from error
    if not isinstance(request, h11.Request):
        raise AssertionError(f"the full parser sees {request!r}")
    target = head.path.encode() + (b"?" + head.query if head.query else b"")
    if (request.method.decode(), request.target.rstrip(b"?")) != (head.method, target):
        raise AssertionError(f"{head.method} {target!r} is {request.method!r} {request.target!r}")
    if dict(request.headers) != dict(head.headers.first):
        raise AssertionError(f"{head.headers.first} are {list(request.headers)}")
    if isinstance(head.route, Raw):
        return  # what follows is no request
    full.receive_data(b"x" * head.body_bytes + NEXT)
    while not isinstance(event := full.next_event(), h11.EndOfMessage):
        if not isinstance(event, h11.Data):
            raise AssertionError(f"the full parser sees {event!r}")
    if full.trailing_data[0] != NEXT:
        raise AssertionError(f"the next request begins elsewhere: {full.trailing_data[0][:20]!r}")


TARGET: Final = Target("heads", check, TOKENS)

if __name__ == "__main__":
    sys.exit(main([TARGET]))
