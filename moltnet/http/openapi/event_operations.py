"""Operations on events: the log as a list. As it goes on, ``streamEvents`` stands with the network's operations."""

from typing import Final

from moltnet.http.openapi.operation import READERS, STORED, Link, Operation, Tag, in_query, kept, paged
from moltnet.protocol import limits
from moltnet.protocol.lookups import EventPage

EVENT_OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "listEvents",
        "GET",
        "/v1/events",
        Tag.EVENTS,
        "Events that have happened, oldest first",
        READERS,
        (kept("A page of events; without a cursor the newest.", EventPage),),
        description="What `streamEvents` would have shown the caller, as far as the log is kept. A request looks at "
        f"{limits.MAX_EVENTS_LOOKED_AT} events or a few more: where many of them are not for the caller, or not "
        "wanted, a page may hold fewer than it could, or none, and still has more. Its cursor leads on.",
        parameters=(
            in_query(
                "type",
                "Only those of this type, or of types that begin with this and a dot.",
                {"type": "string"},
                "message.created",
            ),
            in_query(
                "agent_id",
                "Only those about this agent, of messages that it sent, and of messages that address it.",
                {"type": "string"},
                "clerk",
            ),
            in_query("room_id", "Only those of this room and its threads.", {"type": "string"}, "general"),
            *paged(),
        ),
        refusals=STORED,
        links=(Link("listEvents", {"before": "$response.body#/page/next_before"}),),
    ),
)
