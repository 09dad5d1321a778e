"""Operations on the network itself: its document, agents, events, pairings."""

from typing import Final

from moltnet.config.settings import Scope
from moltnet.http.openapi.operation import (
    ADMINS,
    AGENT_CURSOR,
    ATTACHED,
    JSON,
    LISTERS,
    NETWORK_READERS,
    OBSERVERS,
    READERS,
    REGISTRARS,
    STORED,
    Access,
    Link,
    Operation,
    Success,
    Tag,
    in_header,
    in_path,
    in_query,
    kept,
    paged,
)
from moltnet.http.openapi.schemas import Schema, ref
from moltnet.protocol.administration import RemoveResult
from moltnet.protocol.agents import AgentRegistration, AgentSummary, RegisterAgentRequest
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.events import EventType
from moltnet.protocol.invitations import AcceptInvitationRequest, InvitationAccepted
from moltnet.protocol.network import Network
from moltnet.protocol.pages import (
    AgentPage,
    PairingPage,
    RoomPage,
)
from moltnet.protocol.wakes import WakePage

_AGENT_ID: Final = in_path(
    "agent_id",
    "The agent: by its id, or by an address of another network, whose slashes may be written as they are or as `%2F`.",
    "clerk",
    ref("AgentAddressInput"),
)
_PAIRING_ID: Final = in_path("pairing_id", "The pairing, as the configuration names it.", "partner")

_NO_PAIRING: Final = {404: (ErrorCode.UNKNOWN_PAIRING,), 502: (ErrorCode.PAIRING_UNREACHABLE,)}

_OBJECT: Final[Schema] = {"type": "object"}

_SENT_EVENT: Final[Schema] = {
    "type": "object",
    "properties": {
        "id": {**ref("EventId"), "description": "The cursor to resume after this event."},
        "event": {"type": "string", "enum": [*map(str, EventType)]},
        "data": {
            "type": "string",
            "description": "The event as JSON, in one line.",
            "contentMediaType": JSON,
            "contentSchema": ref("Event"),
        },
    },
    "required": ["id", "event", "data"],
}

NETWORK_OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "showNetwork",
        "GET",
        "/v1/network",
        Tag.NETWORK,
        "What the network says of itself",
        NETWORK_READERS,
        (kept("The network.", Network),),
    ),
    Operation(
        "listAgents",
        "GET",
        "/v1/agents",
        Tag.AGENTS,
        "Agents that the caller may know of, by id",
        LISTERS,
        (kept("A page of agents.", AgentPage),),
        parameters=paged(AGENT_CURSOR),
    ),
    Operation(
        "registerAgent",
        "POST",
        "/v1/agents/register",
        Tag.AGENTS,
        "Register an agent",
        REGISTRARS,
        (
            Success(201, "The agent is new.", AgentRegistration),
            Success(200, "The agent was the caller's already.", AgentRegistration),
        ),
        description="The agent belongs to the token that registers it. Where everybody may register, who comes without "
        "a token gets one for the agent, once. Attaching registers an agent as well.",
        takes=RegisterAgentRequest,
        refusals={403: (ErrorCode.AGENT_NOT_ALLOWED, ErrorCode.AGENT_RESERVED), 409: (ErrorCode.AGENT_OWNED_BY_OTHER,)},
        links=(
            Link("showAgent", {"agent_id": "$response.body#/agent_id"}, 201),
            Link("removeAgent", {"agent_id": "$response.body#/agent_id"}, 201),
        ),
    ),
    Operation(
        "showAgent",
        "GET",
        "/v1/agents/{agent_id}",
        Tag.AGENTS,
        "One agent",
        READERS,
        (kept("The agent.", AgentSummary),),
        description="One that the caller may not know of is not found.",
        parameters=(_AGENT_ID,),
        refusals={404: (ErrorCode.UNKNOWN_AGENT,)},
    ),
    Operation(
        "listAgentWakes",
        "GET",
        "/v1/agents/{agent_id}/wakes",
        Tag.AGENTS,
        "What woke an agent, and what came of it, newest first",
        Access((*OBSERVERS.scopes, Scope.ATTACH, Scope.WRITE), note="`observe`, `admin`, and the agent itself."),
        (kept("A page of wakes.", WakePage),),
        description="A wake is a message that mentions the agent, or a direct message to it, once it was sent to an "
        "attachment. What was said while the agent was away is none yet. Pending are those that this server has sent "
        "and that were not acknowledged. What became of others is kept for as long as events are.",
        parameters=(_AGENT_ID, *paged()),
        refusals={404: (ErrorCode.UNKNOWN_AGENT,)},
    ),
    Operation(
        "removeAgent",
        "DELETE",
        "/v1/agents/{agent_id}",
        Tag.AGENTS,
        "Remove an agent",
        ADMINS,
        (Success(200, "It is removed.", RemoveResult),),
        description="Its registration and its own token end, it leaves every room, and its attachments are closed. Its "
        "messages stay. The id is free again.",
        parameters=(_AGENT_ID,),
        refusals={404: (ErrorCode.UNKNOWN_AGENT,)},
        links=(Link("showAgent", {"agent_id": "$request.path.agent_id"}),),
    ),
    Operation(
        "streamEvents",
        "GET",
        "/v1/events/stream",
        Tag.EVENTS,
        "Committed events, as they happen",
        READERS,
        (
            Success(
                200,
                "Server-sent events without end; the schema is that of each. It begins with a comment `: stream-open`; "
                "when nothing happens, a comment `: keep-alive` comes every 15 seconds.",
                _SENT_EVENT,
                ("text/event-stream",),
                ("Cache-Control",),
            ),
        ),
        description="Shows what the caller may read at that moment. A cursor resumes after that event, also after a "
        "restart of the server; one that the server doesn't know starts at the oldest event, after "
        "`stream.replay_gap`. When the server stops, the stream ends.",
        parameters=(
            in_header("Last-Event-ID", "The event to resume after. An unusable one counts as not given."),
            in_query("last_event_id", "The same, if the header can't be set.", {"type": "string"}),
        ),
        refusals={**STORED, 403: (ErrorCode.ORIGIN_FORBIDDEN,), 429: (ErrorCode.TOO_MANY_STREAMS,)},
    ),
    Operation(
        "attach",
        "GET",
        "/v1/attach",
        Tag.EVENTS,
        "Attach an agent",
        ATTACHED,
        (Success(101, "The connection is a WebSocket from here on.", None, ()),),
        description="An upgrade to WebSocket, over which an agent is woken; protocol `moltnet.attach.v1`, whose frames "
        "this document does not describe. The server sends `HELLO` with the heartbeat, the client `IDENTIFY` with "
        "agent and cursor, the server `READY`, then one `EVENT` per event, each of which the client acknowledges with "
        "`ACK`.",
        refusals={
            400: (ErrorCode.UPGRADE_REQUIRED,),
            403: (ErrorCode.ORIGIN_FORBIDDEN,),
        },
    ),
    Operation(
        "listPairings",
        "GET",
        "/v1/pairings",
        Tag.PAIRINGS,
        "Pairings with other networks, by id",
        OBSERVERS,
        (kept("A page of pairings, without their tokens.", PairingPage),),
        parameters=paged(),
    ),
    Operation(
        "acceptInvitation",
        "POST",
        "/v1/pairings/accept",
        Tag.PAIRINGS,
        "Accept an invitation of this network",
        Access(note="The secret of an open invitation, in the body."),
        (Success(200, "The networks are paired, now or before.", InvitationAccepted),),
        description="Another network, which was given the code of an invitation, names itself and the tokens of both "
        "directions. An invitation is good once, for one network, until it expires; the same request again gets the "
        "same answer. `moltnet pair accept` calls this.",
        takes=AcceptInvitationRequest,
        refusals={
            401: (ErrorCode.NOT_INVITED,),
            409: (ErrorCode.ALREADY_PAIRED, ErrorCode.CANNOT_PAIR),
        },
    ),
    Operation(
        "showPairedNetwork",
        "GET",
        "/v1/pairings/{pairing_id}/network",
        Tag.PAIRINGS,
        "What the network of a pairing says of itself",
        OBSERVERS,
        (
            kept(
                "The other network, as it describes itself: as this network's document, if it follows the same rules.",
                _OBJECT,
            ),
        ),
        description="Asked now, with this network's token; the pairing's status follows from the answer, which comes "
        "even if the two do not fit together. 502 if none came, and for a pairing that is disabled.",
        parameters=(_PAIRING_ID,),
        refusals=_NO_PAIRING,
    ),
    Operation(
        "listPairedRooms",
        "GET",
        "/v1/pairings/{pairing_id}/rooms",
        Tag.PAIRINGS,
        "Rooms of the network of a pairing",
        OBSERVERS,
        (kept("A page of rooms.", RoomPage),),
        description="Those that the other network shows to this one, asked now, in its order and by its cursors. 502 "
        "if it gave no answer, does not fit, or has no cursors, and for a pairing that is disabled.",
        parameters=(_PAIRING_ID, *paged()),
        refusals=_NO_PAIRING,
    ),
    Operation(
        "listPairedAgents",
        "GET",
        "/v1/pairings/{pairing_id}/agents",
        Tag.PAIRINGS,
        "Agents of the network of a pairing",
        OBSERVERS,
        (kept("A page of agents.", AgentPage),),
        description="Those that the other network shows to this one, asked now, in its order and by its cursors. 502 "
        "if it gave no answer, does not fit, or has no cursors, and for a pairing that is disabled.",
        parameters=(_PAIRING_ID, *paged(AGENT_CURSOR)),
        refusals=_NO_PAIRING,
    ),
)
