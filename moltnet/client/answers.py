"""What an answer means: a typed value, or the error that it stands for. No I/O here."""

from typing import TypeVar

import orjson

from moltnet.client.errors import ServerAnswered, ServerMisbehaved, one_line
from moltnet.client.http import Answer
from moltnet.protocol.codec import DecodeError, decode

T = TypeVar("T")


def read_answer(server: str, answer: Answer, kind: type[T]) -> T:
    """The value in a successful JSON answer.

    Raises:
        ServerAnswered: an error status, with what the server says about it.
        ServerMisbehaved: a redirect, or a body that is not the expected document.
    """
    check_status(server, answer)
    try:
        return decode(answer.body, kind)
    except DecodeError as error:
        raise ServerMisbehaved(server, f"sent an unexpected answer: {one_line(str(error))}") from error


def check_status(server: str, answer: Answer) -> None:
    """Raises as ``read_answer`` does, unless the status is a success."""
    status = answer.status
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        there = answer.head.header("location").partition("?")[0].rpartition("@")[2]
        raise ServerMisbehaved(
            server, f"redirects to {one_line(there) or 'nowhere'}; use the address of the server itself"
        )
    code, message, request_id = error_envelope(answer.body)
    raise ServerAnswered(
        server,
        status,
        code=code,
        message=message,
        request_id=request_id or one_line(answer.head.header("x-request-id")),
        retry_after_seconds=_retry_after_seconds(answer.head.header("retry-after")),
    )


def error_envelope(body: bytes) -> tuple[str, str, str]:
    """``code``, ``error`` and ``request_id`` of the error envelope; empty for what is not there (a proxy's page)."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "", "", ""
    fields = value if isinstance(value, dict) else {}
    code, message, request_id = (
        one_line(text) if isinstance(text := fields.get(key), str) else "" for key in ("code", "error", "request_id")
    )
    return code, message, request_id


def _retry_after_seconds(text: str) -> float | None:
    # The form with a date needs a clock that agrees with the server's; our servers send seconds.
    return float(text) if text.isascii() and text.isdigit() else None
