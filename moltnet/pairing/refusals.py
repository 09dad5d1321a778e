"""What an answer to a relayed message means: that this message is refused, or that the whole pairing is. Pure."""

from typing import Final

from moltnet.client.errors import ServerAnswered, one_line
from moltnet.pairing.relay_limits import MAX_CODE_CHARACTERS, MAX_REASON_CHARACTERS
from moltnet.pairing.remote import Refused, RemoteUnavailable
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.times import Timestamp
from moltnet.storage.outbox import RelayFailure

_UNAUTHENTICATED: Final = 401
_FORBIDDEN: Final = 403
_TOO_MANY_REQUESTS: Final = 429
_SERVER_FAILED: Final = 500
# Not of our doing and not of the message's: the server is unwell, or something in front of it is.
_UNWELL: Final = frozenset({502, 503, 504, 507})
# Our token, or the address that it is presented at, is not good for any message.
_ABOUT_THE_PAIRING: Final = frozenset(
    {
        ErrorCode.UNAUTHORIZED,
        ErrorCode.INVALID_TOKEN,
        ErrorCode.MISSING_SCOPE,
        ErrorCode.REMOTE_ACTOR_FORBIDDEN,
        ErrorCode.HOST_FORBIDDEN,
        ErrorCode.ORIGIN_FORBIDDEN,
        ErrorCode.UNKNOWN_ROUTE,
        ErrorCode.METHOD_NOT_ALLOWED,
        ErrorCode.NOT_ACCEPTABLE,
        ErrorCode.UNSUPPORTED_MEDIA_TYPE,
        ErrorCode.RATE_LIMITED,
        ErrorCode.TOO_MANY_CONNECTIONS,
    }
)


def is_about_pairing(refused: Refused) -> bool:
    """Whether no message of ours would be taken, rather than this one: it must wait then, and is not to blame.

    The reference has one code for every 403; a token without the scope is told by what it says (auth §6).
    """
    if refused.status == _UNAUTHENTICATED or refused.code in _ABOUT_THE_PAIRING:
        return True
    text = refused.message.strip().lower()
    return refused.status == _FORBIDDEN and (text in ("", "forbidden") or text.endswith("requires pair scope"))


def was_answered(error: RemoteUnavailable) -> bool:
    """Whether a server was there and said no, whatever it means by it."""
    return isinstance(error.__cause__, ServerAnswered)


def is_too_much(error: RemoteUnavailable) -> bool:
    """Whether we only ask too often: the remote is well, and says when to come back."""
    cause = error.__cause__
    return isinstance(cause, ServerAnswered) and cause.status == _TOO_MANY_REQUESTS


def failed_over_message(error: RemoteUnavailable) -> bool:
    """Whether the remote was there and failed, perhaps over this very message. Without an answer nobody knows."""
    cause = error.__cause__
    return isinstance(cause, ServerAnswered) and cause.status >= _SERVER_FAILED and cause.status not in _UNWELL


def failure_of(refused: Refused, at: Timestamp) -> RelayFailure:
    """What is kept of a refusal: its text is somebody else's."""
    return RelayFailure(
        refused.status,
        one_line(refused.code)[:MAX_CODE_CHARACTERS],
        one_line(refused.message)[:MAX_REASON_CHARACTERS],
        at,
    )


def failure_without_end(error: RemoteUnavailable, at: Timestamp) -> RelayFailure:
    """The same of a message over which the remote has failed too often."""
    cause = error.__cause__
    status, code = (cause.status, cause.code) if isinstance(cause, ServerAnswered) else (0, "")
    return RelayFailure(
        status, one_line(code)[:MAX_CODE_CHARACTERS], one_line(error.reason)[:MAX_REASON_CHARACTERS], at
    )
