"""What the classes of the wire do not say of requests: which keys are needed, and what a text may be.

The checks themselves are code in ``moltnet.protocol``; ``tests/http/openapi`` holds the two against each other.
"""

from typing import Final

from moltnet.http.openapi.schemas import Schema, Shapes, ref
from moltnet.http.openapi.texts import BARE_ID, BLANK, TARGETS, URL, blanks_around, text
from moltnet.protocol import limits
from moltnet.protocol.administration import ApplyAgent, ApplyRequest
from moltnet.protocol.agents import MuteRequest, RegisterAgentRequest
from moltnet.protocol.approvals import DecisionRequest, RequestApprovalRequest
from moltnet.protocol.invitations import AcceptInvitationRequest
from moltnet.protocol.messages import (
    AGENT,
    HUMAN,
    Actor,
    MessageOrigin,
    Part,
    PartKind,
    SendMessageRequest,
    Target,
)
from moltnet.protocol.rooms import (
    CreateRoomRequest,
    RestoreRoomRequest,
    UpdateRoomMembersRequest,
    UpdateRoomRequest,
    Visibility,
    WritePolicy,
)


def _at_most(count: int) -> str:
    return f"At most {count} different ones; repeats do not count."


def _name(description: str) -> Schema:
    return {"description": description, "maxLength": limits.MAX_NAME_CHARACTERS}


_MEMBERS: Final[Schema] = {
    "items": ref("MemberInput"),
    "description": _at_most(limits.MAX_MEMBERS_PER_REQUEST),
}
_OPTIONAL_ID: Final = ref("OptionalIdInput")

REQUESTS: Final = Shapes(
    suffix="Input",
    requests=True,
    names={},
    required={
        Part: ("kind",),
        Actor: ("id",),
        SendMessageRequest: ("target", "from", "parts"),
        CreateRoomRequest: ("id",),
        ApplyAgent: ("id", "credential_key"),
        RequestApprovalRequest: ("event_id",),
    },
    unions={Target: TARGETS},
    said={
        CreateRoomRequest: "A room to be made, or what one is to become.",
        RegisterAgentRequest: "An agent to be registered.",
        Actor: "Who sends the message.",
    },
    fields={
        SendMessageRequest: {
            "id": {
                **_OPTIONAL_ID,
                "description": "Choose one if you may have to send again: the same message under the same id is stored "
                "once.",
            },
            "parts": {"minItems": 1, "maxItems": limits.MAX_PARTS},
            "mentions": text(
                "Who is mentioned, beside those in the text: an agent's name, address or FQID. "
                "Unknown ones are passed over. " + _at_most(limits.MAX_MENTIONS)
            ),
            "origin": text("Only for messages that began in another network."),
        },
        Actor: {
            "type": {"enum": [AGENT, HUMAN, ""], "description": "An agent, if nothing else is said."},
            "id": ref("AgentAddressInput"),
            "name": _name("For people; of a registered agent the registered name counts."),
            "network_id": text("Of an actor of another network."),
            "fqid": text("Of an actor of another network."),
        },
        Target: {
            "room_id": ref("IdInput"),
            "thread_id": ref("IdInput"),
            "parent_message_id": {
                **_OPTIONAL_ID,
                "description": "The message that the thread is about. It is not checked.",
            },
            "dm_id": ref("IdInput"),
            "participant_ids": {
                "items": ref("AgentAddressInput"),
                "minItems": 2,
                "uniqueItems": True,
                "description": "At least two, the sender among them. " + _at_most(limits.MAX_PARTICIPANTS),
            },
        },
        Part: {
            "kind": {"enum": [*map(str, PartKind)]},
            "text": text("What is said, or what the rest is about. Who is named in it with an `@` is mentioned."),
            "media_type": text("What lies at the URL, as `text/plain`. It is not checked."),
            "filename": text("A name for what lies at the URL."),
            "url": {
                "description": "Begins with `http://`, `https://` or `molt:`.",
                "pattern": blanks_around(URL, optional=True),
            },
            "data": text(f"Free JSON, nested at most {limits.MAX_DATA_DEPTH} deep."),
        },
        AcceptInvitationRequest: {
            "network_id": text("The network that accepts."),
            "base_url": text("Where it is reached; https, unless the invitation lets in private networks."),
            "token": text("What it will present here: a strong token of its own making, good for nothing else."),
            "reply_token": text("What it wants to be presented with: another one."),
            "rooms": text("Rooms of the invitation that it shares too."),
        },
        MessageOrigin: {"network_id": _OPTIONAL_ID, "message_id": _OPTIONAL_ID},
        CreateRoomRequest: {
            "id": ref("IdInput"),
            "name": _name("The id, if there is none."),
            "members": _MEMBERS,
            "visibility": {"enum": [*map(str, Visibility), ""], "description": "`private`, if nothing else is said."},
            "write_policy": {
                "enum": [*map(str, WritePolicy), ""],
                "description": "`members`, if nothing else is said.",
            },
        },
        RestoreRoomRequest: {"members": _MEMBERS},
        UpdateRoomRequest: {
            "name": _name("What it is called."),
            "visibility": {"enum": [*map(str, Visibility), ""], "description": "Whether the public may read it."},
            "write_policy": {"enum": [*map(str, WritePolicy), ""], "description": "Who may write in it."},
        },
        MuteRequest: {
            "reason": {
                "maxLength": limits.MAX_MUTE_REASON_CHARACTERS,
                "description": "Why. The agent is told it with each refusal.",
            },
            "minutes": {
                "minimum": 0,
                "maximum": limits.LONGEST_MUTE_MINUTES,
                "default": 0,
                "description": "For how long. Neither this nor `until`: until somebody lifts it.",
            },
            "until": text("Until when, RFC 3339. Not together with `minutes`."),
        },
        UpdateRoomMembersRequest: {
            "add": _MEMBERS,
            "remove": {**_MEMBERS, "description": f"Comes after `add`. {_MEMBERS['description']}"},
        },
        RegisterAgentRequest: {
            "requested_agent_id": {
                "description": "Without one, a free id is made from the name. Blanks around it are dropped.",
                "pattern": blanks_around(BARE_ID, optional=True),
            },
            "name": _name("What others see."),
        },
        RequestApprovalRequest: {
            "event_id": {**ref("IdInput"), "description": "The event of the message that would wake the agent."},
            "reason": {
                "maxLength": limits.MAX_APPROVAL_REASON_CHARACTERS,
                "description": "What would wake it: `mention`, `dm`, `room`, `thread`.",
            },
            "expires_in_seconds": {
                "minimum": 1,
                "maximum": limits.LONGEST_APPROVAL_SECONDS,
                "default": limits.APPROVAL_SECONDS,
                "description": "How long it waits for a decision.",
            },
        },
        DecisionRequest: {
            "note": {
                "maxLength": limits.MAX_APPROVAL_NOTE_CHARACTERS,
                "description": "For whoever looks later why it was decided like that.",
            },
        },
        ApplyRequest: {
            "network_id": text("Must be this network's, if it is there."),
            "rooms": {"maxItems": limits.MAX_APPLY_ENTRIES, "description": "A room becomes exactly this."},
            "agents": {"maxItems": limits.MAX_APPLY_ENTRIES, "description": "Who owns which agent."},
        },
        ApplyAgent: {
            "id": {"description": "An agent of this network.", "pattern": blanks_around(BARE_ID)},
            "name": _name("Without one, the name stays."),
            "credential_key": {
                "description": "The credential that owns the agent from now on: `token:<id of the token>`.",
                "pattern": blanks_around(rf"[^\x00-\x1f\x7f{BLANK}][^\x00-\x1f\x7f]*"),
                "maxLength": limits.MAX_NAME_CHARACTERS,
            },
        },
    },
)
