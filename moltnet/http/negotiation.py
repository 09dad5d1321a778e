"""What a client is willing to take, and what we take from it: pure readings of request headers (RFC 9110 §8.3, §12.5).

In doubt a header says nothing: a client that sends nonsense gets what it would get without it.
"""

import re
from collections.abc import Iterator
from typing import Final

_PARAMETER: Final = re.compile(r';\s*([^\s=;,]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,]*)')
_QUALITY: Final = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
# ASCII is UTF-8, too.
_READABLE_CHARSETS: Final = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an answer may be compressed: gzip is wanted, and at least as much as the plain answer is."""
    qualities = dict(_members(accept_encoding))
    wildcard = qualities.get("*", 0.0)
    gzip = max(qualities.get("gzip", wildcard), qualities.get("x-gzip", 0.0))
    return gzip > 0 and gzip >= qualities.get("identity", 0.0)


def excludes(accept: str, media_type: str) -> bool:
    """Whether a client says outright, by a weight of zero, that it does not take this type.

    One that only names other types gets ours all the same, as RFC 9110 §12.5.1 allows: many programs send an ``Accept``
    that nobody thought about.
    """
    qualities = dict(_members(accept))
    family = f"{media_type.partition('/')[0]}/*"
    named = (qualities[name] for name in (media_type, family, "*/*") if name in qualities)
    return next(named, 1.0) == 0.0


def body_problem(content_type: str, content_encoding: str) -> str | None:
    """Why a request's body can't be meant as plain JSON in UTF-8; ``None`` if it may be.

    Other types are taken: the reference ignores the type, and ``curl -d`` calls everything a form.
    """
    if content_encoding.strip().lower() not in ("", "identity"):
        return "the body must not be compressed"
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type.startswith("multipart/"):
        return "the body must be JSON, not a form in several parts"
    charset = _parameters(content_type).get("charset", "utf-8").lower()
    if charset not in _READABLE_CHARSETS:
        return "the body must be encoded as UTF-8"
    return None


def _members(header: str) -> Iterator[tuple[str, float]]:
    """Each member of a list with its weight; members whose weight is no number are passed over."""
    for member in header.split(","):
        name = member.partition(";")[0].strip().lower()
        quality = _parameters(member).get("q", "1")
        if name and _QUALITY.fullmatch(quality):
            yield name, float(quality)


def _parameters(text: str) -> dict[str, str]:
    return {name.lower(): value.strip('"') for name, value in _PARAMETER.findall(text)}
