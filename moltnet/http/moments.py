"""Query parameters that name a time, and the part of a conversation that is wanted. No framework in here."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import attrs

from moltnet.core.errors import Invalid
from moltnet.http.paging import page_asked_for
from moltnet.protocol.codec import Problem
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.ids import id_problem
from moltnet.protocol.pages import PageRequest

_BAD_TIME: Final = "must be a time with its zone, as 2026-11-20T07:53:37Z"


def moment_asked_for(args: Mapping[str, str], name: str) -> datetime | None:
    """A time (RFC 3339), if it is given. Raises ``Invalid``."""
    text = args.get(name, "").strip()
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise Invalid.from_problems([Problem(f"$.{name}", _BAD_TIME)])


def messages_asked_for(args: Mapping[str, str]) -> PageRequest:
    """``limit``, and one of ``before``, ``after``, ``around`` (a message) and ``at`` (a time). Raises ``Invalid``."""
    page = page_asked_for(args)
    around, at = args.get("around", "").strip(), moment_asked_for(args, "at")
    if not around and at is None:
        return page
    if sum(map(bool, (page.before, page.after, around, at))) > 1:
        raise Invalid("only one of before, after, around and at can be set", code=ErrorCode.INVALID_CURSOR)
    if around and (problem := id_problem(around)) is not None:
        raise Invalid(f"around {problem}", [Problem("$.around", problem)], ErrorCode.INVALID_CURSOR)
    return attrs.evolve(page, around=around, at=at)
