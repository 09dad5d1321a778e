"""The status and the headers of every kind of refusal."""

from collections.abc import Iterator

import pytest

from moltnet.core.errors import Conflict, Forbidden, NotFound, RateLimited, Refused, Unauthenticated
from moltnet.http.envelope import STATUS, refusal_headers
from moltnet.protocol.errors import ErrorCode


def kinds(base: type[Refused]) -> Iterator[type[Refused]]:
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


def test_every_kind_of_refusal_has_a_status_of_a_refusal() -> None:
    assert STATUS.keys() == set(kinds(Refused))
    assert all(400 <= status <= 503 and status != 500 for status in STATUS.values())


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (Unauthenticated(ErrorCode.UNAUTHORIZED, "who?"), {"WWW-Authenticate": "Bearer"}),
        (RateLimited("slowly", retry_after_seconds=0.2), {"Retry-After": "1"}),
        (RateLimited("slowly", retry_after_seconds=-3), {"Retry-After": "1"}),
        (RateLimited("slowly", retry_after_seconds=59.01), {"Retry-After": "60"}),
        (Forbidden(ErrorCode.MISSING_SCOPE, "no"), {}),
        (NotFound(ErrorCode.UNKNOWN_ROOM, "no"), {}),
        (Conflict(ErrorCode.ROOM_EXISTS, "no"), {}),
    ],
)
def test_a_refusal_says_what_to_do_about_it(error: Refused, headers: dict[str, str]) -> None:
    assert refusal_headers(error) == headers


def test_asking_too_often_and_holding_too_much_differ_by_their_code_only() -> None:
    often = RateLimited("slowly", retry_after_seconds=2)
    much = RateLimited("one at a time", retry_after_seconds=2, code=ErrorCode.TOO_MANY_STREAMS)
    assert (often.code, much.code) == (ErrorCode.RATE_LIMITED, ErrorCode.TOO_MANY_STREAMS)
    assert STATUS[type(often)] == STATUS[type(much)] == 429
