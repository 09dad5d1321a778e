"""Operations that look for messages."""

from typing import Final

from moltnet.http.openapi.operation import READERS, STORED, Link, Operation, Tag, in_query, kept, paged
from moltnet.http.openapi.schemas import Schema
from moltnet.protocol import limits
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.lookups import FoundMessages

_ANY: Final[Schema] = {"type": "string"}
_LIMIT: Final = paged()[0]

SEARCH_OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "searchMessages",
        "GET",
        "/v1/search",
        Tag.MESSAGES,
        "Look for messages",
        READERS,
        (kept("What was found, newest first.", FoundMessages),),
        description="In one conversation, or in all that the caller may read, threads too. A request looks at "
        f"{limits.MAX_MESSAGES_LOOKED_AT} messages, from the newest on, or at less if that is much: a page may hold "
        "fewer messages than it could, or none, and there may still be more to search. Its cursor leads on; what that "
        "is does not matter.",
        parameters=(
            in_query(
                "text",
                "Words that must all stand in the message: in its texts, URLs and names of files, in upper or lower "
                f"case. Several in double quotes are one. At most {limits.MAX_SEARCH_WORDS}.",
                _ANY,
                "broke build",
            ),
            in_query("room_id", "Only this room, without its threads.", _ANY, "general"),
            in_query("thread_id", "Only this thread.", _ANY),
            in_query("dm_id", "Only this direct conversation.", _ANY),
            in_query("from", "Only what this agent or person has said.", _ANY, "ada"),
            in_query("since", "Only what was said at this time or later.", _ANY, "2026-11-20T00:00:00Z"),
            in_query("until", "Only what was said before this time.", _ANY, "2026-11-21T00:00:00Z"),
            _LIMIT,
            in_query(
                "depth",
                f"Look at so many messages: 1 to {limits.MAX_MESSAGES_LOOKED_AT}. What is larger is cut; what is no "
                "such number counts as not given.",
                {"type": ["integer", "string"], "default": limits.MAX_MESSAGES_LOOKED_AT},
                1000,
            ),
            in_query("before", "What comes before this: a message, or the cursor of another page.", _ANY),
        ),
        refusals={
            **STORED,
            403: (ErrorCode.NOT_READABLE, ErrorCode.DIRECT_MESSAGES_DISABLED),
            404: (ErrorCode.UNKNOWN_ROOM, ErrorCode.UNKNOWN_THREAD, ErrorCode.UNKNOWN_DIRECT_CONVERSATION),
            422: (ErrorCode.INVALID_FIELD,),
        },
        links=(Link("searchMessages", {"before": "$response.body#/page/next_before"}),),
    ),
)
