"""Answers as bytes on the wire, in the form that Hypercorn gives them."""

import functools
from typing import Final

from moltnet.http.answer import Answer

_CLOSE: Final = b"connection: close\r\n"


def answer_bytes(answer: Answer, fields: bytes, *, is_last: bool) -> bytes:
    """Head and body. ``fields`` are the server's own header lines; ``is_last`` says that the connection then ends."""
    lines = "".join([f"{_wire_name(name)}: {value}\r\n" for name, value in answer.headers.items()])
    length = b"" if answer.status == 304 else b"content-length: %d\r\n" % len(answer.body)
    return b"HTTP/1.1 %d \r\n%b%b%b%b\r\n%b" % (
        answer.status,
        lines.encode("latin-1"),
        length,
        fields,
        _CLOSE if is_last else b"",
        answer.body,
    )


@functools.lru_cache(maxsize=64)  # as many as we use
def _wire_name(name: str) -> str:
    return name.lower()
