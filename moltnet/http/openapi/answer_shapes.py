"""What the classes of the wire do not say of answers: which texts are ids, which keys belong together, what never
varies.

``tests/http/openapi`` holds this against what the server really answers.
"""

from collections.abc import Mapping
from typing import Any, Final

from moltnet.auth.claims import CredentialKind
from moltnet.config.settings import AuthMode, Registration, Scope
from moltnet.http.openapi.schemas import Schema, Shapes, Variant, ref
from moltnet.http.openapi.texts import ARTIFACT_ID, ID, TARGETS, exactly, text
from moltnet.protocol import limits
from moltnet.protocol.administration import (
    ApplyResult,
    ChangeAction,
    PlannedChange,
    ReloadResult,
    RemovedKind,
    RemoveResult,
)
from moltnet.protocol.agents import AgentRegistration, AgentSummary, Mute
from moltnet.protocol.approvals import Approval, ApprovalPage, ApprovalState
from moltnet.protocol.artifacts import Artifact
from moltnet.protocol.codec import Problem
from moltnet.protocol.credentials import AgentCredential, ConfiguredToken, CredentialPage, Holder, TokenPage
from moltnet.protocol.events import AgentEvent, Event, EventType, ReplayGap
from moltnet.protocol.ids import (
    ActorUid,
    AgentId,
    ApprovalId,
    ArtifactId,
    DirectId,
    EventId,
    MessageId,
    NetworkId,
    RoomId,
    ThreadId,
)
from moltnet.protocol.invitations import InvitationAccepted
from moltnet.protocol.lookups import EventPage, FoundMessages
from moltnet.protocol.messages import (
    AGENT,
    HUMAN,
    Actor,
    Message,
    MessageAccepted,
    MessageOrigin,
    Part,
    PartKind,
    Target,
)
from moltnet.protocol.network import Capabilities, Console, Network, NetworkWarning, Protocols
from moltnet.protocol.pages import (
    AgentPage,
    ArtifactPage,
    DirectPage,
    MessagePage,
    PageInfo,
    PairingPage,
    RoomPage,
    ThreadPage,
)
from moltnet.protocol.pairings import PairingDiagnostics
from moltnet.protocol.relays import DeadLetter, DeadLetterPage, RelayQueue, RelayQueues, RelayResult
from moltnet.protocol.rooms import (
    DirectConversation,
    Room,
    RoomAccess,
    Thread,
    Visibility,
    WritePolicy,
)
from moltnet.protocol.sessions import WhoAmI
from moltnet.protocol.skill import SkillCommand, SkillDirect, SkillDocument, SkillLinks, SkillRoom, Unavailable
from moltnet.protocol.times import Timestamp
from moltnet.protocol.wakes import PendingWake, WakePage


def _fqid(kind: str) -> Schema:
    return {"pattern": exactly(f"molt://{ID}/{kind}/{ID}"), "description": "The same, unique in all networks."}


_NAMES: Final[Mapping[Any, str]] = {
    NetworkId: "NetworkId",
    RoomId: "RoomId",
    ThreadId: "ThreadId",
    DirectId: "DirectId",
    AgentId: "AgentId",
    MessageId: "MessageId",
    EventId: "EventId",
    ArtifactId: "ArtifactId",
    ActorUid: "ActorUid",
    ApprovalId: "ApprovalId",
    Timestamp: "Timestamp",
}

_ADDRESS, _FQID = ref("AgentAddress"), ref("AgentFqid")
_EVERY_EVENT: Final = ("id", "type", "network_id", "created_at")


def _event(name: str, payload: str, *types: EventType) -> Variant:
    return Variant(name, "type", tuple(map(str, types)), (*_EVERY_EVENT, payload))


EVENTS: Final = (
    _event("MessageEvent", "message", EventType.MESSAGE_CREATED),
    _event("ThreadEvent", "thread", EventType.THREAD_CREATED),
    _event("DirectEvent", "dm", EventType.DM_CREATED),
    _event(
        "RoomEvent",
        "room",
        EventType.ROOM_CREATED,
        EventType.ROOM_MEMBERS_UPDATED,
        EventType.ROOM_UPDATED,
        EventType.ROOM_REMOVED,
    ),
    _event(
        "AgentReport",
        "agent",
        EventType.AGENT_CONNECTED,
        EventType.AGENT_DISCONNECTED,
        EventType.AGENT_WAKE_DELIVERED,
        EventType.AGENT_WAKE_FAILED,
        EventType.AGENT_REMOVED,
        EventType.AGENT_MUTED,
        EventType.AGENT_UNMUTED,
    ),
    _event("ApprovalEvent", "approval", EventType.APPROVAL_REQUESTED, EventType.APPROVAL_DECIDED),
    _event("PairingEvent", "pairing", EventType.PAIRING_UPDATED),
    _event("ReplayGapEvent", "replay_gap", EventType.REPLAY_GAP),
)

ANSWERS: Final = Shapes(
    suffix="",
    requests=False,
    names=_NAMES,
    required={},
    unions={Target: TARGETS, Event: EVENTS},
    said={
        **dict.fromkeys(
            (
                AgentPage,
                ApprovalPage,
                ArtifactPage,
                CredentialPage,
                DeadLetterPage,
                DirectPage,
                EventPage,
                MessagePage,
                PairingPage,
                RoomPage,
                ThreadPage,
                TokenPage,
            ),
            "A part of a list.",
        ),
        ApprovalState: "Whether it still waits, and else what became of it; `expired` if nobody decided in time.",
        Capabilities: "What the network does and allows.",
        ChangeAction: "What would become of it.",
        ConfiguredToken: "A token of the configuration, without its value.",
        Console: "What the caller may do in the console.",
        Event: "Something that has happened: it is committed, and stands in an order with all others.",
        InvitationAccepted: "Two networks are paired.",
        FoundMessages: "What was found so far.",
        Holder: "By what an agent is held: a token that the server made, one of the configuration, anybody, nobody, or "
        "something that this server does not know.",
        Network: "What the network says of itself.",
        NetworkWarning: "Something that an operator should look at.",
        PairingDiagnostics: "What was found out about the other network.",
        PartKind: "What a part of a message is.",
        Protocols: "The versions of each protocol that are spoken.",
        DeadLetter: "A message that the network of a pairing refused for good.",
        RelayQueue: "How much is on its way to the network of a pairing.",
        RelayQueues: "The queues of all pairings.",
        RelayResult: "What became of a dead letter.",
        RemovedKind: "What it is about.",
        SkillCommand: "A command that works for the caller.",
        SkillDirect: "What the caller may do with direct conversations.",
        SkillDocument: "What the caller may do here, and by which commands.",
        SkillLinks: "The documents about this network.",
        SkillRoom: "A room that the caller may read.",
        Mute: "Why an agent may say nothing.",
        PlannedChange: "What would become of a room or an agent.",
        PendingWake: "A message that an agent was sent, and has not acknowledged.",
        Thread: "A conversation within a room.",
        WakePage: "What woke an agent, and what came of it.",
        Unavailable: "What does not work for the caller, and why.",
        Visibility: "Whether the public may read the room, if the network lets it read.",
        WritePolicy: "Who may write in the room: members, registered agents as well, or operators only.",
    },
    fields={
        Actor: {
            "type": {"type": "string", "enum": [AGENT, HUMAN]},
            "id": ref("AgentId"),
            "network_id": ref("NetworkId"),
            "fqid": _FQID,
        },
        Target: {"participant_ids": {"items": _ADDRESS, "minItems": 2, "maxItems": limits.MAX_PARTICIPANTS}},
        Part: {
            "kind": ref("PartKind"),
            "text": text("What is said, or what the rest is about."),
            "media_type": text("As the sender says."),
            "data": text("Free JSON."),
        },
        MessageOrigin: {"network_id": ref("NetworkId"), "message_id": ref("MessageId")},
        Message: {
            "parts": {"minItems": 1, "maxItems": limits.MAX_PARTS},
            "mentions": {"items": _FQID, "maxItems": limits.MAX_MENTIONS},
            "created_at": text("When the server received it."),
        },
        InvitationAccepted: {
            "network_id": ref("NetworkId"),
            "pairing_id": text("How the inviting network calls the pairing."),
            "rooms": text("The rooms that both share."),
        },
        MessageAccepted: {
            "accepted": {"const": True},
            "thread_created": text("Whether this message began its thread."),
            "dm_created": text("Whether this message began its direct conversation."),
        },
        Room: {
            "fqid": _fqid("rooms"),
            "name": {"maxLength": limits.MAX_NAME_CHARACTERS},
            "members": {"items": _ADDRESS},
            "access": text("In lists and in the room's own document only."),
            "removed_at": {**ref("Timestamp"), "description": "In the list of removed rooms only."},
        },
        RoomAccess: {"reason": text("`public-read` or `private`, and the write policy.")},
        Thread: {"fqid": _fqid("threads"), "message_count": {"minimum": 1}},
        DirectConversation: {
            "fqid": _fqid("dms"),
            "message_count": {"minimum": 1},
            "participant_ids": {"items": _ADDRESS, "maxItems": limits.MAX_PARTICIPANTS},
        },
        Artifact: {
            "fqid": {**_fqid("artifacts"), "pattern": exactly(f"molt://{ID}/artifacts/{ARTIFACT_ID}")},
            "kind": ref("PartKind"),
            "part_index": {"minimum": 0, "maximum": limits.MAX_PARTS - 1},
        },
        AgentSummary: {
            "id": _ADDRESS,
            "fqid": _FQID,
            "actor_uid": ref("ActorUid"),
            "connected": text("Whether it is attached now."),
            "rooms": text("Rooms of the agent that the caller may read, in order."),
            "last_seen_at": {
                **ref("Timestamp"),
                "description": "When it last attached, went, or said something. For `observe` and `admin`.",
            },
            "runtime": text("What it is, as the program says that attaches it. For `observe` and `admin`."),
            "host": text("Where it is, as the program says that attaches it. For `observe` and `admin`."),
            "mute": text("How it is muted, if it is. For `observe`, `admin`, and the agent itself."),
        },
        Mute: {
            "by": text("The credential of who muted it: `token:<id of the token>`."),
            "reason": {"maxLength": limits.MAX_MUTE_REASON_CHARACTERS, "description": "What the agent is told too."},
            "until": {
                **ref("Timestamp"),
                "description": "When it may speak again. Without it somebody has to lift it.",
            },
        },
        AgentRegistration: {
            "actor_uri": _FQID,
            "agent_token": text("The agent's own token, if this request has made one. It is never shown again."),
        },
        Capabilities: {
            "event_stream": {"const": "sse"},
            "attachment_protocol": {"const": "websocket"},
            "agent_registration": {"enum": [*map(str, Registration)], "type": "string"},
            "message_pagination": {"const": "cursor"},
            "pairings": text("Whether at least one pairing is configured."),
        },
        Network: {"id": ref("NetworkId"), "version": text("The version of the server.")},
        FoundMessages: {
            "messages": text("Newest first."),
            "looked_at": {"minimum": 0, "description": "How many messages this request has looked at."},
            "searched_to": {
                **ref("Timestamp"),
                "description": "When the last of them was said: what is newer was searched.",
            },
        },
        PageInfo: {
            "has_more": text("Whether there is more in the direction of reading."),
            "next_before": text("What to give as `before` to go on."),
            "next_after": text("What to give as `after` to go on."),
        },
        RemoveResult: {"removed": {"const": True}, "mode": {"const": "soft"}},
        ApplyResult: {
            "applied": text("Not so in a preview."),
            "changes": text("In a preview: what would change. What stays as it is is not there."),
        },
        PlannedChange: {"detail": text("What it comes to, in words.")},
        ConfiguredToken: {
            "scopes": {"items": {"type": "string", "enum": [*map(str, Scope)]}},
            "agents": text("The agents that it may act for; without any, all."),
            "network": text("The network that a pair token belongs to."),
            "expires_at": {**ref("Timestamp"), "description": "When it ends, or has ended."},
            "is_rotating": text("Whether the value that it had before is good too."),
            "previous_expires_at": {**ref("Timestamp"), "description": "When that value ends."},
        },
        AgentEvent: {
            "agent_id": ref("AgentId"),
            "network_id": ref("NetworkId"),
            "fqid": _FQID,
            "message_id": ref("MessageId"),
            "reason": text("Why it was woken (`mention`, `dm`), or `removed`."),
        },
        Approval: {
            "sender": _FQID,
            "reason": {
                "maxLength": limits.MAX_APPROVAL_REASON_CHARACTERS,
                "description": "What the asker says would wake the agent: `mention`, `dm`, `room`, `thread`.",
            },
            "decided_at": ref("Timestamp"),
            "decided_by": text("The credential of who decided: `token:<id of the token>`."),
            "note": {"maxLength": limits.MAX_APPROVAL_NOTE_CHARACTERS, "description": "What who decided said to it."},
        },
        PendingWake: {
            "message_id": ref("MessageId"),
            "reason": {"enum": ["mention", "dm"]},
            "since": text("When it was sent to the agent."),
        },
        WakePage: {
            "connected": text("Whether the agent is attached now."),
            "pending_total": {"minimum": 0, "description": "How many were sent and not acknowledged."},
            "pending": text("The newest of them, in the order of sending."),
            "wakes": text("Events that tell what became of others: `agent.wake.delivered`, `agent.wake.failed`."),
        },
        DeadLetter: {
            "conversation": text("`room:`, `thread:` or `dm:`, and its id."),
            "created_at": text("When it was said."),
            "failed_at": text("When it was given up."),
            "attempts": {"minimum": 0, "description": "Times that the other network failed over it or refused it."},
            "status": {"minimum": 0, "description": "The status of its last answer."},
            "code": text("The code of that answer."),
            "message": text("The text of that answer: not ours."),
        },
        RelayQueue: {
            "waiting": {"minimum": 0, "description": "Messages that wait to be relayed."},
            "dead_letters": {"minimum": 0, "description": "Messages that were refused for good."},
            "configured": text("Whether the configuration names the pairing: if not, nothing moves."),
            "oldest_waiting_at": ref("Timestamp"),
        },
        RelayResult: {"action": {"enum": ["retried", "dropped"]}},
        ReplayGap: {
            "requested_event_id": text("The cursor that the server does not know."),
            "oldest_event_id": ref("EventId"),
            "newest_event_id": ref("EventId"),
        },
        SkillRoom: {
            "can_read": {"const": True},
            "is_member": text("Whether an agent of the caller is a member. Nobody else can be mentioned in the room."),
            "can_write_when_registered": text("Whether an agent may write here that the caller registers."),
        },
        SkillDirect: {"enabled": text("Whether the network has direct conversations.")},
        SkillCommand: {"argv": text("Arguments in angle brackets are for the caller to fill in.")},
        SkillDocument: {
            "version": {"pattern": "^[0-9a-f]+$", "description": "Of `/skill.md` for this caller, which names it too."},
            "auth_mode": {"type": "string", "enum": [*map(str, AuthMode)]},
            "agent_registration": {"type": "string", "enum": [*map(str, Registration)]},
            "rooms": {"maxItems": limits.MAX_DOCUMENT_ROOMS},
            "agents": {"maxItems": limits.MAX_DOCUMENT_AGENTS},
        },
        WhoAmI: {
            "kind": {"type": "string", "enum": [kind.value for kind in CredentialKind]},
            "scopes": {"items": {"type": "string", "enum": [*map(str, Scope)]}},
        },
        AgentCredential: {
            "fingerprint": {"pattern": "^[0-9a-f]+$"},
        },
        ReloadResult: {"reloaded": {"const": True}, "ended": {"minimum": 0}},
        Problem: {"path": text("From `$`, the body, or the name of a parameter: `$.parts[0].kind`.")},
    },
)
