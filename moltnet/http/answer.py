"""An answer before anybody has written it to a socket. No framework in here; Quart's side of it is ``answers``."""

from typing import Final

import attrs

from moltnet.protocol.codec import encode

JSON: Final = "application/json"


@attrs.define(eq=False)
class Answer:
    """``headers`` are written as they are; the length and the date of the answer are added by whoever sends it."""

    status: int
    body: bytes
    headers: dict[str, str]


def json_body(value: object) -> bytes:
    """A wire value, or bytes that are JSON already. One newline ends every JSON body (model §1)."""
    return (value if isinstance(value, bytes) else encode(value)) + b"\n"


def json_reply(value: object, status: int = 200) -> Answer:
    return Answer(status, json_body(value), {"Content-Type": JSON})
