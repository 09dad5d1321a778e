"""Identifier types, their pattern, and how new ones are made (message model §2).

Addresses that combine a network and an agent live in ``identity``.
"""

import hashlib
import os
import re
from collections import deque
from typing import Final, NewType

from moltnet.protocol.limits import MAX_ID_CHARACTERS, MAX_REQUEST_ID_CHARACTERS

NetworkId = NewType("NetworkId", str)
RoomId = NewType("RoomId", str)
ThreadId = NewType("ThreadId", str)
DirectId = NewType("DirectId", str)
AgentId = NewType("AgentId", str)
MessageId = NewType("MessageId", str)
EventId = NewType("EventId", str)
ActorUid = NewType("ActorUid", str)
ArtifactId = NewType("ArtifactId", str)
ApprovalId = NewType("ApprovalId", str)

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
_REQUEST_ID: Final = re.compile(rf"[A-Za-z0-9._:-]{{1,{MAX_REQUEST_ID_CHARACTERS}}}")
GAP_PREFIX: Final = "evt_gap_"


def id_problem(text: str) -> str | None:
    """Why ``text`` is not a valid identifier, as a phrase that follows the field's name; ``None`` if it is one."""
    if len(text) > MAX_ID_CHARACTERS:
        return f"must be {MAX_ID_CHARACTERS} characters or fewer"
    if not _ID.fullmatch(text):
        return "must start with a letter or digit and hold only letters, digits and the characters . _ : -"
    return None


def is_id(text: str) -> bool:
    """Whether ``text`` is a valid identifier."""
    return id_problem(text) is None


class _RandomPool:
    """Random hex digits from one system call per 4 KiB: a call per id is a measurable share of a message's cost.

    The event loop and the store's writer thread both take from it: a deque gives each piece away once, without a lock.
    """

    def __init__(self, size_bytes: int = 4096) -> None:
        self._size_bytes = size_bytes
        self._pieces: deque[str] = deque()
        # After a fork both processes would hand out the same digits.
        os.register_at_fork(after_in_child=self._pieces.clear)

    def take(self, digits: int) -> str:
        """At most 32 digits, never handed out before."""
        try:
            piece = self._pieces.popleft()
        except IndexError:
            drawn = os.urandom(self._size_bytes).hex()
            piece, *others = (drawn[start : start + 32] for start in range(0, len(drawn), 32))
            self._pieces.extend(others)
        return piece[:digits]


_random = _RandomPool()


def new_uuid() -> str:
    """A random version-4 UUID, hyphenated, lower case."""
    return _as_uuid(_random.take(32))


def _as_uuid(digits: str) -> str:
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def new_message_id() -> MessageId:
    """``msg_`` and a random UUID."""
    return MessageId(f"msg_{new_uuid()}")


def new_event_id() -> EventId:
    """``evt_`` and a random UUID, for every event but ``message.created``."""
    return EventId(f"evt_{new_uuid()}")


def new_actor_uid() -> ActorUid:
    """``actor_`` and a random UUID."""
    return ActorUid(f"actor_{new_uuid()}")


def new_request_id() -> str:
    """``req_`` and 16 hex digits."""
    return f"req_{_random.take(16)}"


def event_id_of_message(message_id: str) -> EventId:
    """The id of a message's ``message.created`` event: a UUID made from the SHA-256 of the message id."""
    return EventId(f"evt_{_as_uuid(hashlib.sha256(message_id.encode()).hexdigest()[:32])}")


def gap_event_id(cursor: str) -> EventId:
    """The id of the ``stream.replay_gap`` event that answers the unknown ``cursor``."""
    return EventId(GAP_PREFIX + hashlib.sha256(cursor.encode()).hexdigest())


def accepted_request_id(text: str | None) -> str | None:
    """A client's ``X-Request-Id``, trimmed, if it may be echoed (HTTP API §1)."""
    if text is None:
        return None
    trimmed = text.strip()
    return trimmed if _REQUEST_ID.fullmatch(trimmed) else None
