"""What can go wrong on the wire, split by whose fault it is.

``ProtocolViolation`` is the peer's fault and carries what to answer; ``ProtocolMisuse`` is a bug on our side. Refusals
decided by rules live in ``moltnet.core.errors``.
"""

from enum import StrEnum


class ErrorCode(StrEnum):
    """The stable machine code of every error that leaves a server. Texts may change, codes do not."""

    BAD_REQUEST = "bad_request"
    INVALID_JSON = "invalid_json"
    INVALID_FIELD = "invalid_field"
    INVALID_CURSOR = "invalid_cursor"
    BODY_TOO_LARGE = "body_too_large"
    MESSAGE_TOO_LARGE = "message_too_large"
    UNAUTHORIZED = "unauthorized"
    INVALID_TOKEN = "invalid_token"
    FORBIDDEN = "forbidden"
    MISSING_SCOPE = "missing_scope"
    AGENT_NOT_ALLOWED = "agent_not_allowed"
    AGENT_NOT_REGISTERED = "agent_not_registered"
    AGENT_OWNED_BY_OTHER = "agent_owned_by_other"
    AGENT_RESERVED = "agent_reserved"
    AGENT_MUTED = "agent_muted"
    AGENT_DECLARED = "agent_declared"
    CREDENTIAL_CHANGED = "credential_changed"
    TOKENS_NOT_ASKED = "tokens_not_asked"
    AGENT_ATTACHED_ELSEWHERE = "agent_attached_elsewhere"
    REMOTE_ACTOR_FORBIDDEN = "remote_actor_forbidden"
    HUMAN_INGRESS_DISABLED = "human_ingress_disabled"
    DIRECT_MESSAGES_DISABLED = "direct_messages_disabled"
    ROOM_WRITE_FORBIDDEN = "room_write_forbidden"
    NOT_READABLE = "not_readable"
    NOT_A_PARTICIPANT = "not_a_participant"
    NOT_FOUND = "not_found"
    UNKNOWN_ROUTE = "unknown_route"
    UNKNOWN_ROOM = "unknown_room"
    UNKNOWN_THREAD = "unknown_thread"
    UNKNOWN_DIRECT_CONVERSATION = "unknown_direct_conversation"
    UNKNOWN_AGENT = "unknown_agent"
    UNKNOWN_PAIRING = "unknown_pairing"
    UNKNOWN_DEAD_LETTER = "unknown_dead_letter"
    UNKNOWN_EVENT = "unknown_event"
    UNKNOWN_APPROVAL = "unknown_approval"
    APPROVAL_DECIDED = "approval_decided"
    TOO_MANY_APPROVALS = "too_many_approvals"
    PAIRING_UNREACHABLE = "pairing_unreachable"
    NOT_INVITED = "not_invited"
    ALREADY_PAIRED = "already_paired"
    CANNOT_PAIR = "cannot_pair"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_ACCEPTABLE = "not_acceptable"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    REQUEST_LINE_TOO_LONG = "request_line_too_long"
    HEADERS_TOO_LARGE = "headers_too_large"
    ROOM_EXISTS = "room_exists"
    ROOM_REMOVED = "room_removed"
    THREAD_IN_OTHER_ROOM = "thread_in_other_room"
    MESSAGE_ID_CONFLICT = "message_id_conflict"
    UPGRADE_REQUIRED = "upgrade_required"
    ORIGIN_FORBIDDEN = "origin_forbidden"
    HOST_FORBIDDEN = "host_forbidden"
    RATE_LIMITED = "rate_limited"
    TOO_MANY_STREAMS = "too_many_streams"
    TOO_MANY_CONNECTIONS = "too_many_connections"
    CONFIG_INVALID = "config_invalid"
    NEEDS_RESTART = "needs_restart"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    STORAGE_FULL = "storage_full"
    INTERNAL_ERROR = "internal_error"
    SHUTTING_DOWN = "shutting_down"


class ProtocolError(Exception):
    """Base of both kinds. Never raised itself."""


class ProtocolViolation(ProtocolError):
    """The peer broke the protocol. ``answer`` is the text for its ERROR frame, ``close_code`` how to end."""

    def __init__(self, answer: str, *, close_code: int = 1008) -> None:
        super().__init__(answer)
        self.answer = answer
        self.close_code = close_code


class ProtocolMisuse(ProtocolError):
    """We called the session in a state that does not allow it: a bug of the caller."""
