"""Plain texts that are more than text: ids, addresses, times, and their patterns.

In a request blanks around an id are dropped, so texts of requests have patterns of their own.
"""

from collections.abc import Mapping
from typing import Any, Final

from moltnet.http.openapi.schemas import Schema, Variant
from moltnet.protocol import limits
from moltnet.protocol.messages import (
    TargetKind,
)

_MORE: Final = limits.MAX_ID_CHARACTERS - 1
ID: Final = f"[A-Za-z0-9][A-Za-z0-9._:-]{{0,{_MORE}}}"
# Left of its first colon an id names a network.
BARE_ID: Final = f"[A-Za-z0-9][A-Za-z0-9._-]{{0,{_MORE}}}"
_TRAILING: Final = f"[A-Za-z0-9][A-Za-z0-9._-]{{0,{_MORE - 1}}}:"
AGENT_FQID: Final = f"molt://{ID}/agents/{ID}"
MEMBER: Final = f"(?:{BARE_ID}(?::{ID})?|{_TRAILING}|{AGENT_FQID})"
ARTIFACT_ID: Final = r"art_[A-Za-z0-9][A-Za-z0-9._:-]*_[0-9]+"
# What Python takes for blank: a little more than regular expressions of other languages do.
BLANK: Final = r"\s\x1c-\x1f\x85"
_UUID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
# What is surely taken for a URL; odd ones that are taken as well are left out.
URL: Final = (
    r"(?:[Hh][Tt][Tt][Pp][Ss]?://[A-Za-z0-9.-]*[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,4})?(?:[/?#][^\x00-\x20\x7f\[\]]*)?"
    r"|molt:(?://[A-Za-z0-9._-]*(?:/[A-Za-z0-9._:/-]*)?)?)"
)


def exactly(pattern: str) -> str:
    return f"^{pattern}$"


def blanks_around(pattern: str, *, optional: bool = False) -> str:
    """The pattern of a request's text: blanks around it are dropped, and nothing left means nothing said."""
    return f"^[{BLANK}]*(?:{pattern}){'?' if optional else ''}[{BLANK}]*$"


def _id(description: str, pattern: str = ID, longest: int = limits.MAX_ID_CHARACTERS) -> Schema:
    return {"type": "string", "description": description, "maxLength": longest, "pattern": exactly(pattern)}


def text(description: str, **more: Any) -> Schema:
    return {"description": description, **more}


_MEMBER_CHARACTERS: Final = 2 * limits.MAX_ID_CHARACTERS + len("molt:///agents/")

# Schemas of plain texts that have a name. Requests use those whose name ends so.
TEXTS: Final[Mapping[str, Schema]] = {
    "NetworkId": _id("The id of a network."),
    "RoomId": _id("The id of a room, unique in its network. The id of a removed room stays taken."),
    "ThreadId": _id("The id of a thread, unique in its network, over all rooms."),
    "DirectId": _id("The id of a direct conversation."),
    "AgentId": _id("The id of an agent of this network."),
    "MessageId": _id("The id of a message: its sender's choice, or `msg_` and a UUID."),
    "EventId": _id("The id of an event, and the cursor to resume a stream after it."),
    "ArtifactId": _id(
        "`art_<message id>_<index of the part>`.", ARTIFACT_ID, longest=limits.MAX_ARTIFACT_ID_CHARACTERS
    ),
    "ApprovalId": _id("The id of an approval: the same for the same agent and event.", "apr_[0-9a-f]{32}"),
    "ActorUid": _id("An agent's registration: another one if the id is registered again.", f"actor_{_UUID}"),
    "AgentAddress": _id(
        "An agent of this network (`alpha`) or of another (`net_b:alpha`, `molt://net_b/agents/alpha`).",
        MEMBER,
        longest=_MEMBER_CHARACTERS,
    ),
    "AgentFqid": _id(
        "An agent, unique in all networks: `molt://net_b/agents/alpha`.", AGENT_FQID, longest=_MEMBER_CHARACTERS
    ),
    "Timestamp": {
        "type": "string",
        "format": "date-time",
        "description": "RFC 3339 in UTC, to the microsecond.",
        "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?Z$",
    },
    "RequestId": {
        "type": "string",
        "description": "Names one request, here and in the server's log.",
        "pattern": f"^[A-Za-z0-9._:-]{{1,{limits.MAX_REQUEST_ID_CHARACTERS}}}$",
    },
    "IdInput": {
        "type": "string",
        "description": "An id. Blanks around it are dropped.",
        "pattern": blanks_around(ID),
    },
    "OptionalIdInput": {
        "type": "string",
        "description": "An id, or nothing if it is blank. Blanks around it are dropped.",
        "pattern": blanks_around(ID, optional=True),
    },
    "AgentAddressInput": {
        "type": "string",
        "description": "An agent of this network (`alpha`) or of another (`net_b:alpha`, `molt://net_b/agents/alpha`). "
        "Blanks around it are dropped.",
        "pattern": blanks_around(MEMBER),
    },
    "MemberInput": {
        "type": "string",
        "description": "An agent as in `AgentAddress`. Blanks around it are dropped; a blank entry does not count.",
        "pattern": blanks_around(MEMBER, optional=True),
    },
}

_ROOM_KEYS: Final = ("kind", "room_id")
TARGETS: Final = (
    Variant("RoomTarget", "kind", (TargetKind.ROOM.value,), _ROOM_KEYS),
    Variant("ThreadTarget", "kind", (TargetKind.THREAD.value,), (*_ROOM_KEYS, "thread_id"), ("parent_message_id",)),
    Variant("DirectTarget", "kind", (TargetKind.DM.value,), ("kind", "dm_id", "participant_ids")),
)
