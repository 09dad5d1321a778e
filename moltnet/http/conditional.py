"""Entity tags: a client that has an answer already is told so instead of getting it again (RFC 9110 §8.8.3, §13.1.2).

A tag is made from the finished body, so it changes with whatever the answer depends on: what is stored, and what its
caller may see of it. It is weak: the compressed and the plain form of an answer share it.
"""

import hashlib
import re
from typing import Final

_TAG: Final = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_TAGS: Final = re.compile(rf"[\s,]*{_TAG.pattern}\s*(?=,|$)")


def entity_tag(body: bytes) -> str:
    """The tag of an answer with this body."""
    return f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'


def is_current(if_none_match: str, tag: str) -> bool:
    """Whether a request's ``If-None-Match`` names ``tag``, by weak comparison, or ``*``, which any answer matches.

    A header that is not a list of tags matches nothing.
    """
    if if_none_match.strip() == "*":
        return True
    named, end = set[str](), 0
    while found := _TAGS.match(if_none_match, end):
        named.add(found[1])
        end = found.end()
    return tag.removeprefix("W/") in named and not if_none_match[end:].strip(" \t,")
