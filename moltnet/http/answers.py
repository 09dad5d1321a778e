"""Reading request bodies and writing answers, as Quart's routes do it."""

from typing import Any, TypeVar

import trio
from quart import Response, request
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout

from moltnet.http.answer import JSON, Answer, json_body
from moltnet.http.call import Call
from moltnet.http.current import current_call
from moltnet.protocol import limits
from moltnet.protocol.codec import decode, encode

T = TypeVar("T")


async def read_body(kind: type[T]) -> T:
    """The request's JSON body as a typed value. Raises ``DecodeError``, ``RateLimited``, or answers 408, 413 or 415."""
    return await current_call().read_json(kind)


async def read_optional_body(kind: type[T]) -> T:
    """As ``read_body``; no body at all means an empty object."""
    return decode(await current_call().read_body() or b"{}", kind)


async def receive_body(call: Call) -> bytes:
    """The whole body. Raises ``RateLimited`` if too many large ones have begun and not come whole."""
    data = bytearray()
    with trio.move_on_after(limits.BODY_SECONDS) as receiving:
        if not await _comes_whole(data, limits.FREE_BODY_BYTES):
            with call.app.admission.body(call.client.source):
                if not await _comes_whole(data, limits.MAX_BODY_BYTES):
                    raise RequestEntityTooLarge
    if receiving.cancelled_caught:
        raise RequestTimeout
    return bytes(data)


async def _comes_whole(data: bytearray, max_bytes: int) -> bool:
    """Add to ``data`` what comes, until there is more than ``max_bytes``; whether that was all."""
    async for piece in request.body:
        data += piece
        if len(data) > max_bytes:
            return len(data) == request.content_length
    return True


def response_of(answer: Answer) -> Response:
    """An answer of the transport-free core, as Quart sends it."""
    return Response(answer.body, answer.status, answer.headers)


def json_answer(value: object, status: int = 200) -> Response:
    """A wire value, or bytes that are JSON already, as an answer."""
    return Response(json_body(value), status, content_type=JSON)


def plain_json_answer(value: dict[str, Any], status: int = 200) -> Response:
    """Plain values: for the few documents that are no wire type."""
    return json_answer(encode(value), status)
