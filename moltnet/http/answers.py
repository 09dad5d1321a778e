"""Reading request bodies and writing JSON answers."""

from typing import Any, TypeVar

from quart import Response, request

from moltnet.protocol.codec import decode, encode

T = TypeVar("T")
JSON = "application/json"


async def read_body(kind: type[T]) -> T:
    """The request's JSON body as a typed value. Raises ``DecodeError``, or 413 if it is too large."""
    data = await request.get_data(cache=False, as_text=False)
    return decode(data, kind)


async def read_optional_body(kind: type[T]) -> T:
    """As ``read_body``; no body at all means an empty object."""
    data = await request.get_data(cache=False, as_text=False)
    return decode(data or b"{}", kind)


def json_answer(value: object, status: int = 200) -> Response:
    """A wire value, or bytes that are JSON already, as an answer. One newline ends every JSON body (model §1)."""
    body = value if isinstance(value, bytes) else encode(value)
    return Response(body + b"\n", status, content_type=JSON)


def plain_json_answer(value: dict[str, Any], status: int = 200) -> Response:
    """Plain values: for the few documents that are no wire type."""
    return json_answer(encode(value), status)
