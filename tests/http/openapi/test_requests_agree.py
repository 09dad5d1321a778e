"""The schemas of requests against the server's own verdict, field by field: what one takes, the other takes."""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import jsonschema_rs
import orjson
import pytest

from moltnet.http.openapi.document import make_document
from moltnet.protocol.administration import ApplyRequest, apply_problems
from moltnet.protocol.agents import RegisterAgentRequest
from moltnet.protocol.codec import DecodeError, Problem, decode
from moltnet.protocol.ids import NetworkId
from moltnet.protocol.limits import MAX_APPLY_ENTRIES, MAX_NAME_CHARACTERS, MAX_PARTS
from moltnet.protocol.messages import SendMessageRequest, send_problems
from moltnet.protocol.rooms import (
    CreateRoomRequest,
    RestoreRoomRequest,
    UpdateRoomMembersRequest,
    member_list_problems,
    room_problems,
)
from tests.fakes.http_client import http_client
from tests.fakes.network import open_test_server

ABSENT: Final = object()
ANYTHING: Final[Sequence[Any]] = (
    ABSENT, None, "", " ", "\t\x1f\u3000", 5, 1.5, True, [], {}, [None], [5], ["a"], {"a": 1}, "x" * 128, "x" * 129,
    "-x", "é", "a b", "a\n", " a", "a\x85", "a:b", "a:", ":a", "a::b", "a:b:c", "net_b:alpha",
    "molt://net_b/agents/alpha", "molt://net_b/agents/", "molt:///agents/alpha",
    "molt://net_b/rooms/alpha", "molt://a:b/agents/c:d", "x" * 127 + ":",
    "x" * 128 + ":", "x" * 128 + ":" + "y" * 128, "x" * 128 + ":" + "y" * 129, "x" * MAX_NAME_CHARACTERS,
    "x" * (MAX_NAME_CHARACTERS + 1), "human", "agent", "text", "room", "public", "members", "operators", "Human",
    "https://example.com", "http://a:80/b?c#d", "molt://net_b/x", "ftp://example.com", "https://", "//example.com",
)  # fmt: skip


def send_verdict(request: SendMessageRequest) -> list[Problem]:
    return send_problems(request.trimmed())


def create_verdict(request: CreateRoomRequest) -> list[Problem]:
    return list(room_problems(request.trimmed()))


def restore_verdict(request: RestoreRoomRequest) -> list[Problem]:
    return list(member_list_problems(request.trimmed().members, "$.members"))


def members_verdict(request: UpdateRoomMembersRequest) -> list[Problem]:
    request = request.trimmed()
    return [*member_list_problems(request.add, "$.add"), *member_list_problems(request.remove, "$.remove")]


def apply_verdict(request: ApplyRequest) -> list[Problem]:
    return list(apply_problems(request.trimmed(), NetworkId("lab")))


MESSAGE: Final = {"from": {"id": "ada"}, "parts": [{"kind": "text", "text": "hello"}]}
ROOM: Final = {"kind": "room", "room_id": "general"}
THREAD: Final = {"kind": "thread", "room_id": "general", "thread_id": "t1"}
DIRECT: Final = {"kind": "dm", "dm_id": "d1", "participant_ids": ["ada", "alpha"]}
Verdict = Callable[[Any], list[Problem]]
# A request that is right, and each place in it whose value is exchanged for anything.
REQUESTS: Final[Sequence[tuple[type, Verdict, Any, Sequence[str]]]] = (
    (
        SendMessageRequest,
        send_verdict,
        {**MESSAGE, "target": ROOM},
        (
            "", "id", "target", "from", "parts", "mentions", "origin", "target.kind", "target.room_id",
            "target.parent_message_id", "target.participant_ids", "from.id", "from.type", "from.name",
            "from.network_id", "from.fqid", "parts.0", "parts.0.kind", "parts.0.text", "parts.0.url",
            "parts.0.data", "parts.0.filename",
            "origin.network_id", "origin.message_id", "mentions.0", "unknown",
        ),
    ),
    (
        SendMessageRequest,
        send_verdict,
        {**MESSAGE, "target": THREAD},
        ("target.room_id", "target.thread_id", "target.parent_message_id", "target.dm_id"),
    ),
    (
        SendMessageRequest,
        send_verdict,
        {**MESSAGE, "target": DIRECT},
        ("target.dm_id", "target.participant_ids", "target.participant_ids.0", "target.room_id"),
    ),
    (
        CreateRoomRequest,
        create_verdict,
        {"id": "ops"},
        ("", "id", "name", "members", "members.0", "visibility", "write_policy", "unknown"),
    ),
    (RestoreRoomRequest, restore_verdict, {}, ("", "members", "members.0")),
    (UpdateRoomMembersRequest, members_verdict, {}, ("", "add", "add.0", "remove", "remove.0")),
    (
        ApplyRequest,
        apply_verdict,
        {"rooms": [{"id": "ops"}], "agents": [{"id": "clerk", "credential_key": "token:clerk"}]},
        (
            "", "rooms", "agents", "rooms.0", "agents.0", "rooms.0.id", "rooms.0.name", "agents.0.id", "agents.0.name",
            "agents.0.credential_key",
        ),
    ),
)  # fmt: skip


def placed(document: Any, path: str, value: Any) -> Any:
    """The document with the value at the path; what leads there is made if it is missing."""
    if not path:
        return {} if value is ABSENT else value
    key, _, rest = path.partition(".")
    result = copy.copy(document)
    if isinstance(document, list):
        index = int(key)
        result[index : index + 1] = (
            [] if not rest and value is ABSENT else [placed([*document, {}][index], rest, value)]
        )
    elif not rest and value is ABSENT:
        result.pop(key, None)
    else:
        inside = document.get(key, [] if rest.startswith("0") else {})
        result[key] = placed(inside, rest, value)
    return result


def cases() -> Iterator[Any]:
    for kind, verdict, document, paths in REQUESTS:
        name = document.get("target", {}).get("kind", "")
        for path in paths:
            yield pytest.param(
                kind, verdict, document, path, id=f"{kind.__name__}{'-' * bool(name)}{name}-{path or 'all'}"
            )


def validator_of(kind: type) -> jsonschema_rs.Validator:
    schemas = make_document()["components"]["schemas"]
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"#/components/schemas/{kind.__name__}", "components": {"schemas": schemas}}
    )


def is_taken(kind: type, verdict: Verdict, document: Any) -> bool:
    try:
        return not verdict(decode(orjson.dumps(document), kind))
    except DecodeError:
        return False


# What is taken although it is not described: blanks where nothing at all is meant.
FORGIVEN: Final = dict.fromkeys(("from.type", "visibility", "write_policy"), (" ", "\t\x1f\u3000"))


@pytest.mark.parametrize(("kind", "verdict", "document", "path"), [*cases()])
def test_what_a_schema_allows_is_taken_and_nothing_else(kind: type, verdict: Verdict, document: Any, path: str) -> None:
    validator = validator_of(kind)
    differing = []
    for value in ANYTHING:
        request = placed(document, path, value)
        if validator.is_valid(request) != is_taken(kind, verdict, request):
            differing.append(value)
    assert differing == [*FORGIVEN.get(path, ())]


@pytest.mark.parametrize(
    ("kind", "verdict", "document", "path", "limit"),
    [
        (SendMessageRequest, send_verdict, {**MESSAGE, "target": ROOM}, "parts", MAX_PARTS),
        (ApplyRequest, apply_verdict, {}, "rooms", MAX_APPLY_ENTRIES),
        (ApplyRequest, apply_verdict, {}, "agents", MAX_APPLY_ENTRIES),
    ],
)
def test_lists_end_where_the_server_ends_them(
    kind: type, verdict: Verdict, document: Any, path: str, limit: int
) -> None:
    validator = validator_of(kind)
    for count in (limit, limit + 1):
        entries = [{"kind": "text", "id": f"x{number}", "credential_key": "token:x"} for number in range(count)]
        request = placed(document, path, entries)
        assert validator.is_valid(request) is is_taken(kind, verdict, request) is (count == limit)


async def test_a_registration_is_taken_as_its_schema_allows() -> None:
    """Its checks are part of the use case, so a server is asked."""
    validator = validator_of(RegisterAgentRequest)
    async with open_test_server() as server:
        client = http_client(server)
        for path in ("", "requested_agent_id", "name", "unknown"):
            for value in ANYTHING:
                request = placed({}, path, value)
                answer = await client.post("/v1/agents/register", orjson.dumps(request))
                assert validator.is_valid(request) is (answer.status < 400), request
