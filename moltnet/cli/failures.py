"""What an error means to the person at the terminal: one exit code, one line, and what to do next.

Loaded only when a command failed. Expected errors have no traceback; a bug shows one, without the secrets in it.
"""

import traceback
from collections.abc import Mapping
from typing import Final

import attrs

from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.client.errors import (
    BadServerAddress,
    BadToken,
    ClientError,
    RequestTooLarge,
    ServerAnswered,
    ServerUnreachable,
)
from moltnet.config.client import NoSuchAttachment
from moltnet.config.problems import ConfigError
from moltnet.config.secrets import TokenUnavailable
from moltnet.log import leaves_of, mask_text
from moltnet.protocol.errors import ErrorCode

_BY_STATUS: Final[Mapping[int, ExitCode]] = {
    400: ExitCode.USAGE,
    401: ExitCode.AUTH,
    403: ExitCode.AUTH,
    404: ExitCode.NOT_FOUND,
    409: ExitCode.CONFLICT,
    413: ExitCode.USAGE,
    422: ExitCode.USAGE,
}

_ASK: Final = "ask the operator what this token may do"
_IN_THE_LOG: Final = "its operator finds the reason in the server's log, by the request"
_LATER: Final = "wait a little, then try again"
_OTHER_VERSION: Final = "server and command may be of different versions: moltnet version, moltnet whoami"
_REPORT: Final = "please report this with the command that you ran"
_SHORTER: Final = "say it in parts"
_USAGE: Final = "check what was given; --help shows examples"

_NEXT_STEP: Final[Mapping[str, str]] = {
    ErrorCode.BAD_REQUEST: _USAGE,
    ErrorCode.INVALID_JSON: _REPORT,
    ErrorCode.INVALID_FIELD: _USAGE,
    ErrorCode.INVALID_CURSOR: "take it from the page before, or begin without one",
    ErrorCode.BODY_TOO_LARGE: _SHORTER,
    ErrorCode.MESSAGE_TOO_LARGE: _SHORTER,
    ErrorCode.REQUEST_LINE_TOO_LONG: _SHORTER,
    ErrorCode.HEADERS_TOO_LARGE: _SHORTER,
    ErrorCode.UNAUTHORIZED: "say where the token is: --token-env NAME or a file; for an agent, moltnet connect does",
    ErrorCode.INVALID_TOKEN: "the operator can give a new one (moltnet admin agent reset-token, or the network's file)",
    ErrorCode.MISSING_SCOPE: "ask the operator for a token with that scope",
    ErrorCode.FORBIDDEN: _ASK,
    ErrorCode.AGENT_NOT_ALLOWED: "moltnet whoami says for which agents the token is",
    ErrorCode.AGENT_MUTED: "the operator ends it: moltnet admin agent unmute",
    ErrorCode.AGENT_DECLARED: "the operator changes it in the network's file",
    ErrorCode.TOKENS_NOT_ASKED: "this network asks nobody for a token; leave it out",
    ErrorCode.AGENT_ATTACHED_ELSEWHERE: "stop the other one, or wait until it is gone",
    ErrorCode.REMOTE_ACTOR_FORBIDDEN: "speak as an agent of this network",
    ErrorCode.DIRECT_MESSAGES_DISABLED: "use a room: moltnet rooms lists them",
    ErrorCode.ROOM_WRITE_FORBIDDEN: "moltnet rooms says where you may write; the operator can make you a member",
    ErrorCode.NOT_READABLE: "moltnet rooms lists what you may read; the operator can make you a member",
    ErrorCode.NOT_A_PARTICIPANT: "begin a conversation of your own: moltnet dm AGENT",
    ErrorCode.AGENT_NOT_REGISTERED: "claim the id first: moltnet register-agent",
    ErrorCode.AGENT_OWNED_BY_OTHER: "choose another id, or use its token (lost? moltnet admin agent reset-token)",
    ErrorCode.AGENT_RESERVED: "or ask the operator for it",
    ErrorCode.CREDENTIAL_CHANGED: "look who it was, then try again",
    ErrorCode.NOT_FOUND: _USAGE,
    ErrorCode.UNKNOWN_ROUTE: _OTHER_VERSION,
    ErrorCode.METHOD_NOT_ALLOWED: _OTHER_VERSION,
    ErrorCode.NOT_ACCEPTABLE: _OTHER_VERSION,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: _OTHER_VERSION,
    ErrorCode.UPGRADE_REQUIRED: _OTHER_VERSION,
    ErrorCode.UNKNOWN_DEAD_LETTER: "moltnet pairing dead-letters list shows those that are there",
    ErrorCode.UNKNOWN_EVENT: "begin without a place to go on at",
    ErrorCode.APPROVAL_DECIDED: "moltnet approvals show says by whom",
    ErrorCode.TOO_MANY_APPROVALS: "decide about some first: moltnet approvals list",
    ErrorCode.PAIRING_UNREACHABLE: "moltnet pairing test says why",
    ErrorCode.THREAD_IN_OTHER_ROOM: "moltnet thread ROOM lists the threads of a room; choose another id for a new one",
    ErrorCode.ORIGIN_FORBIDDEN: "the operator allows it: server.allowed_origins",
    ErrorCode.HOST_FORBIDDEN: "use the server's own address; the operator allows others: server.allowed_origins",
    ErrorCode.CONFIG_INVALID: "mend the file; moltnet validate checks it",
    ErrorCode.NEEDS_RESTART: "restart the server: moltnet start",
    ErrorCode.RATE_LIMITED: _LATER,
    ErrorCode.TOO_MANY_STREAMS: "end another one first, or wait",
    ErrorCode.TOO_MANY_CONNECTIONS: _LATER,
    ErrorCode.STORAGE_UNAVAILABLE: "try again later",
    ErrorCode.STORAGE_FULL: "its operator must make room; then try again",
    ErrorCode.SHUTTING_DOWN: "try again later",
    ErrorCode.INTERNAL_ERROR: _IN_THE_LOG,
    ErrorCode.UNKNOWN_APPROVAL: "moltnet approvals list shows those that wait",
    ErrorCode.NOT_INVITED: "its operator runs: moltnet pair invite",
    ErrorCode.ALREADY_PAIRED: "moltnet pairing list shows the pairings of a network",
    ErrorCode.CANNOT_PAIR: "tell its operator; the invitation is still good",
    ErrorCode.UNKNOWN_ROOM: "moltnet conversations lists yours",
    ErrorCode.UNKNOWN_THREAD: "moltnet thread ROOM lists them",
    ErrorCode.UNKNOWN_AGENT: "moltnet agents lists those that you may see, moltnet admin agent list all",
    ErrorCode.UNKNOWN_PAIRING: "moltnet pairing list shows them",
    ErrorCode.ROOM_EXISTS: "change its members with: moltnet admin room members",
    ErrorCode.ROOM_REMOVED: "bring it back with: moltnet admin room restore",
    ErrorCode.UNKNOWN_DIRECT_CONVERSATION: "moltnet send with --to AGENT begins one",
    ErrorCode.MESSAGE_ID_CONFLICT: "another message has this id; leave out --message-id to get a new one",
    ErrorCode.HUMAN_INGRESS_DISABLED: "this network takes messages of agents only",
}
_NEXT_STEP_BY_STATUS: Final[Mapping[int, str]] = {
    400: _USAGE,
    401: "check the token of this attachment",
    403: _ASK,
    404: "check the id and the address; moltnet doctor looks at both",
    409: "look what is there, and choose another name",
    413: _SHORTER,
    422: _USAGE,
    429: _LATER,
    500: _IN_THE_LOG,
    502: "the server behind it may be down; try again later",
    503: "try again later",
    507: "its operator must make room; then try again",
}


@attrs.frozen
class Failure:
    """The exit code, and the text for stderr without the program's name; empty for nothing to say."""

    exit_code: ExitCode
    text: str


def explain(error: BaseException) -> Failure:
    """The failure that `error` stands for; of a group of expected errors, the first one's code and everybody's text."""
    leaves = list(leaves_of(error))
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves):
        return Failure(ExitCode.INTERRUPTED, "")
    failures = [_expected(leaf) for leaf in leaves]
    expected = [failure for failure in failures if failure is not None]
    if not expected or len(expected) < len(failures):
        return _bug(error)
    return Failure(expected[0].exit_code, "\n".join(dict.fromkeys(failure.text for failure in expected)))


def _expected(error: BaseException) -> Failure | None:
    match error:
        case CommandFailed():
            return Failure(error.exit_code, str(error))
        case ServerAnswered():
            return _answered(error)
        case ServerUnreachable():
            next_step = (
                "the request may have been carried out: look before you repeat it"
                if error.request_sent
                else "is the server running, and is its address right?"
            )
            return Failure(ExitCode.NETWORK, f"{error}; {next_step}")
        case RequestTooLarge():
            return Failure(ExitCode.USAGE, f"{error}; send it in parts")
        case ClientError():
            return Failure(ExitCode.SERVER, str(error))
        case ConfigError() | NoSuchAttachment() | BadServerAddress() | BadToken() | TokenUnavailable():
            return Failure(ExitCode.USAGE, str(error))
        case OSError():
            return Failure(ExitCode.INTERNAL, mask_text(str(error)))
    return None


def _answered(error: ServerAnswered) -> Failure:
    exit_code = _BY_STATUS.get(error.status, ExitCode.SERVER)
    next_step = _NEXT_STEP.get(error.code) or _NEXT_STEP_BY_STATUS.get(error.status, "")
    if error.status == 429 and error.retry_after_seconds:
        next_step = f"try again in {error.retry_after_seconds:g} s"
    return Failure(exit_code, f"{error}; {next_step}" if next_step else str(error))


def _bug(error: BaseException) -> Failure:
    trace = mask_text("".join(traceback.format_exception(error)).rstrip())
    return Failure(ExitCode.INTERNAL, f"internal error, please report it with what follows\n{trace}")
