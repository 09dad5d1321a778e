"""Timestamps on the wire: RFC 3339, UTC, ``Z``, fraction without trailing zeros (message model §1)."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NewType

Timestamp = NewType("Timestamp", str)
WallClock = Callable[[], datetime]


def utc_now() -> datetime:
    """The wall clock. Rules take a ``WallClock`` as an argument so that tests can set it."""
    return datetime.now(UTC)


def format_timestamp(moment: datetime) -> Timestamp:
    """``moment`` must be aware; precision is microseconds."""
    moment = moment.astimezone(UTC)
    # ``strftime`` does not pad years below 1000.
    text = moment.replace(tzinfo=None).isoformat(timespec="seconds")
    if moment.microsecond:
        text += f".{moment.microsecond:06d}".rstrip("0")
    return Timestamp(text + "Z")


def parse_timestamp(text: Timestamp) -> datetime:
    """The moment that ``format_timestamp`` wrote. Raises ``ValueError`` for anything else."""
    return datetime.fromisoformat(text)
