"""The check that every answer of the other tests goes through: it takes what is described and nothing else."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from moltnet.http.openapi.examples import ANSWER_VALUES, example_of
from moltnet.protocol.codec import encode
from moltnet.protocol.events import Event
from moltnet.protocol.pages import RoomPage
from moltnet.protocol.rooms import Room
from tests.fakes.conformance import NotDescribed, check_answer, check_event

HEADERS = {"x-request-id": "req_1", "content-type": "application/json"}
KEPT = {**HEADERS, "etag": 'W/"1"', "cache-control": "private, no-cache", "vary": "Authorization"}
ROOM = example_of(Room)
REFUSAL = {"code": "room_exists", "error": "it is there", "request_id": "req_1"}


def answer(
    method: str, target: str, status: int, document: Any, headers: Mapping[str, str] = HEADERS
) -> tuple[str, str, int, Mapping[str, str], bytes]:
    return method, target, status, headers, b"" if document is None else orjson.dumps(document)


@pytest.mark.parametrize(
    "described",
    [
        answer("GET", "/v1/rooms/general?x=1", 200, ROOM, KEPT),
        answer("HEAD", "/v1/rooms/general", 200, None, KEPT),
        answer("GET", "/v1/rooms", 200, example_of(RoomPage), KEPT),
        answer("POST", "/v1/rooms", 201, ROOM),
        answer("POST", "/v1/rooms", 409, REFUSAL),
        answer("GET", "/v1/nowhere", 404, {**REFUSAL, "code": "unknown_route"}),
        answer("DELETE", "/v1/messages", 405, {**REFUSAL, "code": "method_not_allowed"}, {**HEADERS, "allow": "POST"}),
        answer("GET", "/v1/agents/molt%3A%2F%2Fb%2Fagents%2Fc", 404, {**REFUSAL, "code": "unknown_agent"}),
    ],
    ids=lambda described: f"{described[0]} {described[1]}",
)
def test_what_is_described_passes(described: tuple[str, str, int, Mapping[str, str], bytes]) -> None:
    check_answer(*described)


@pytest.mark.parametrize(
    ("undescribed", "problem"),
    [
        (answer("POST", "/v1/rooms", 418, REFUSAL), "described are"),
        (answer("POST", "/v1/rooms", 200, ROOM), "described are"),
        (answer("POST", "/v1/rooms", 201, {**ROOM, "secret": 1}), "secret"),
        (answer("POST", "/v1/rooms", 201, {**ROOM, "id": "no id"}), "no id"),
        (answer("POST", "/v1/rooms", 201, {**ROOM, "members": []}), "members"),
        (answer("POST", "/v1/rooms", 201, {key: ROOM[key] for key in ROOM if key != "name"}), "name"),
        (answer("POST", "/v1/rooms", 409, {**REFUSAL, "code": "message_id_conflict"}), "message_id_conflict"),
        (answer("POST", "/v1/rooms", 409, {**REFUSAL, "trace": []}), "trace"),
        (answer("POST", "/v1/rooms", 201, ROOM, {"content-type": "application/json"}), "has no X-Request-Id"),
        (answer("POST", "/v1/rooms", 201, ROOM, {**HEADERS, "x-request-id": "a b"}), "X-Request-Id"),
        (answer("POST", "/v1/rooms", 201, ROOM, {**HEADERS, "content-type": "text/html"}), "text/html"),
        (answer("GET", "/v1/rooms/general", 200, ROOM), "has no ETag"),
        (answer("GET", "/v1/rooms/general", 304, ROOM, {**KEPT, "content-type": ""}), "has a body"),
        (answer("HEAD", "/v1/rooms/general", 200, ROOM, KEPT), "has a body"),
        (answer("GET", "/v1/nowhere", 200, {}), "404 was expected"),
        (answer("GET", "/v1/nowhere", 404, REFUSAL), "room_exists"),
        (answer("DELETE", "/v1/messages", 200, {}), "405 was expected"),
        (
            answer(
                "DELETE", "/v1/messages", 405, {**REFUSAL, "code": "method_not_allowed"}, {**HEADERS, "allow": "GET"}
            ),
            "Allow is 'GET'",
        ),
        (answer("POST", "/v1/rooms", 401, {**REFUSAL, "code": "unauthorized"}), "has no WWW-Authenticate"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_described_is_found(
    undescribed: tuple[str, str, int, Mapping[str, str], bytes], problem: str
) -> None:
    with pytest.raises(NotDescribed, match=problem):
        check_answer(*undescribed)


def test_an_event_has_the_payload_of_its_type_and_no_other() -> None:
    (event,) = (value for value in ANSWER_VALUES if isinstance(value, Event))
    check_event(encode(event))
    document = orjson.loads(encode(event))
    for wrong in ({"type": "room.created"}, {"type": "message.lost"}, {"room": ROOM}, {"message": None}):
        with pytest.raises(NotDescribed):
            check_event(orjson.dumps({**document, **wrong}))
