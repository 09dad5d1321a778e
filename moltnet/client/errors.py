"""What a call to a server can end in, split by what the caller can do about it.

Errors of sockets, TLS and HTTP are translated into these where they enter (``connection``, ``dialing``); nothing else
leaves this package, apart from cancellation. No text holds a credential. No network library is imported here: a
command that reports an error must not load one for it.

Calls end in a ``ClientError``, attachments in ``ConnectionLost`` or ``AttachRefused``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from moltnet.client.limits import MAX_ERROR_TEXT_CHARACTERS

# The request may be repeated as it is, later: it was too much, too early, or the server was unwell.
_WORTH_REPEATING: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 507})


def one_line(text: str) -> str:
    """Text from a peer, fit for a terminal and a log: printable, on one line, bounded."""
    clipped = text if len(text) <= MAX_ERROR_TEXT_CHARACTERS else f"{text[:MAX_ERROR_TEXT_CHARACTERS]}…"
    return "".join(char if char.isprintable() else " " for char in clipped).strip()


class ClientError(Exception):
    """Base of all. ``server`` is the address without user name, password, query or path of the request."""

    def __init__(self, server: str, text: str) -> None:
        super().__init__(f"{server}: {text}")
        self.server = server
        self.text = text

    @property
    def worth_repeating(self) -> bool:
        """Whether the same request, if it is safe to repeat, may succeed later without anyone changing anything."""
        return False


class ServerUnreachable(ClientError):
    """No complete answer: the name is unknown, the connection refused or cut, TLS failed.

    ``request_sent`` tells whether the server may have received the request and acted on it.
    """

    def __init__(self, server: str, reason: str, *, request_sent: bool = False) -> None:
        super().__init__(server, reason)
        self.reason = reason
        self.request_sent = request_sent

    @property
    def worth_repeating(self) -> bool:
        return True


class ServerMisbehaved(ClientError):
    """Something answered, but not as a Moltnet server does: no HTTP, no JSON, a redirect, an answer without end."""


class AnswerTooLarge(ServerMisbehaved):
    """The answer was cut off at ``max_bytes``."""

    def __init__(self, server: str, max_bytes: int) -> None:
        super().__init__(server, f"the answer is larger than {max_bytes} bytes; ask for less at once")
        self.max_bytes = max_bytes


class ServerAnswered(ClientError):
    """The server understood and said no, or that it can't.

    ``code`` is the stable machine code (``moltnet.protocol.errors.ErrorCode``), empty if the answer has none;
    ``message`` is the server's text on one line; ``request_id`` finds the request in the server's log.
    """

    def __init__(
        self,
        server: str,
        status: int,
        *,
        code: str = "",
        message: str = "",
        request_id: str = "",
        retry_after_seconds: float | None = None,
    ) -> None:
        detail = f": {message}" if message else ""
        super().__init__(server, f"answered {status}{detail}{f' (request {request_id})' if request_id else ''}")
        self.status = status
        self.code = code
        self.message = message
        self.request_id = request_id
        self.retry_after_seconds = retry_after_seconds

    @property
    def worth_repeating(self) -> bool:
        return self.status in _WORTH_REPEATING


class RequestTooLarge(ClientError):
    """The request is larger than any server accepts, so it was not sent."""

    def __init__(self, server: str, bytes_wanted: int, max_bytes: int) -> None:
        super().__init__(server, f"the message takes {bytes_wanted} bytes, {max_bytes} are allowed")


class BadServerAddress(ValueError):
    """The text is not the address of a server. The message never repeats the text: it may hold a password."""


class BadToken(ValueError):
    """The text can't be a bearer token. The message never repeats it."""


class ConnectionLost(Exception):
    """The connection ended or could not be made, in a way that passes: connect again, later.

    ``retry_after_seconds`` is how long the server wants us to wait at least; 0 if it did not say.
    """

    def __init__(self, reason: str, *, retry_after_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class AttachRefused(Exception):
    """The server will not have this attachment; someone has to change something.

    Not ``certain``: the same refusal also has causes that pass within ``limits.REFUSAL_PATIENCE_SECONDS``.
    """

    def __init__(self, reason: str, *, certain: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.certain = certain


def rejected_token_advice(token: str | None) -> str:
    """What an answer 401 to ``token`` means to who configured it."""
    if token is None:
        return "the network asks for a token, and this attachment has none"
    return "the token is unknown, revoked or another network's"


@contextmanager
def single_error() -> Iterator[None]:
    """Around nurseries in a context manager of ours: an exception that is alone in its groups leaves them.

    A nursery puts the exception of the block that we yield to into a group, and nobody outside expects one. Several
    exceptions stay a group, so that a bug is never hidden.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from error.__cause__
