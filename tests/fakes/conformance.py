"""Every answer that a test gets from a server, held against the OpenAPI document.

The HTTP clients of the tests call this for each answer, so that every test of the API is also a test of the document:
the status must be described for the operation, the headers and the body must be as described, and a body may hold
nothing that is not described.
"""

import functools
import gzip
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import attrs
import jsonschema_rs
import orjson

from moltnet.http.openapi.document import make_document
from moltnet.protocol.errors import ErrorCode

# Said of what is no proper HTTP, before any operation is looked at.
OF_THE_PARSER: Final = frozenset({"bad_request", "request_line_too_long", "headers_too_large", "too_many_connections"})
_ABOVE_OPERATIONS: Final = frozenset({400, 414, 431, 501, 503})
# Said of any path, whether it is a route or not.
_OF_ALL_PATHS: Final = frozenset({"host_forbidden", "rate_limited"})
_STREAM: Final = "text/event-stream"


class NotDescribed(AssertionError):
    """An answer that is not as the document says."""


@attrs.frozen(eq=False)
class Described:
    """An operation of the document, and the paths that lead to it."""

    method: str
    path: str
    pattern: re.Pattern[str]
    responses: Mapping[str, Any]


def check_answer(method: str, target: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raises ``NotDescribed``. Header names are lower-case; the body is whole."""
    path = _path(target)
    operations = [each for each in _operations() if each.pattern.fullmatch(path)]
    document = _json_of(headers, body)
    code = document.get("code", "") if isinstance(document, dict) else ""
    if status in _ABOVE_OPERATIONS and code in OF_THE_PARSER:
        _check(_validator("#/components/schemas/Error"), document, "an answer of the parser")
        return
    if not operations and code in _OF_ALL_PATHS:
        _check(_validator("#/components/schemas/Error"), document, f"{method} {target} → {status}")
        return
    if not operations or (status == 404 and code == ErrorCode.UNKNOWN_ROUTE):
        _expect_error(method, target, status, document, 404, ErrorCode.UNKNOWN_ROUTE)
        return
    wanted = "GET" if method == "HEAD" else method
    # A path with a parameter also fits a path that is written out.
    found = next((each for each in operations if each.method == wanted), None)
    if found is None:
        _expect_error(method, target, status, document, 405, ErrorCode.METHOD_NOT_ALLOWED)
        allowed = {each.method for each in operations} | (
            {"HEAD"} if any(each.method == "GET" for each in operations) else set()
        )
        if set(headers.get("allow", "").split(", ")) != allowed:
            raise NotDescribed(f"{method} {target}: Allow is {headers.get('allow')!r}, described are {sorted(allowed)}")
        return
    _check_described(found, method, status, headers, body, document)


def _path(target: str) -> str:
    """Of a target that names all of a URL, as requests to a proxy do, the path."""
    path = target.partition("?")[0]
    with suppress(ValueError):  # no URL at all
        path = urlsplit(path).path or "/" if path.startswith(("http://", "https://")) else path
    return unquote(path)


def check_event(data: bytes | str) -> None:
    """The JSON of one server-sent event. Raises ``NotDescribed``."""
    _check(_validator("#/components/schemas/Event"), orjson.loads(data), "an event")


def _check_described(
    found: Described, method: str, status: int, headers: Mapping[str, str], body: bytes, document: Any
) -> None:
    where = f"{method} {found.path} → {status}"
    response = found.responses.get(str(status))
    if response is None:
        raise NotDescribed(f"{where}: described are {', '.join(found.responses)}; it answered {body[:500]!r}")
    for name, header in _resolved(response).get("headers", {}).items():
        value = headers.get(name.lower())
        if value is None:
            raise NotDescribed(f"{where}: has no {name}, only {sorted(headers)}")
        schema = _resolved(header)["schema"]
        _check(
            _value_validator(orjson.dumps(schema)),
            int(value) if schema.get("type") == "integer" else value,
            f"{where}: {name}",
        )
    content = _resolved(response).get("content", {})
    media = headers.get("content-type", "").partition(";")[0]
    if (content or (media and body)) and media not in content:
        raise NotDescribed(f"{where}: is of type {media!r}, described are {', '.join(content)}")
    if method == "HEAD":
        if body:
            raise NotDescribed(f"{where}: has a body")
    elif not content and body:
        raise NotDescribed(f"{where}: has a body, which is not described")
    elif document is not None:
        path = response.get("$ref") or f"#/paths/{_escaped(found.path)}/{found.method.lower()}/responses/{status}"
        _check(_validator(f"{path}/content/{_escaped(media)}/schema"), document, where)


def _escaped(key: str) -> str:
    """As a JSON pointer names it."""
    return key.replace("~", "~0").replace("/", "~1")


def _expect_error(method: str, target: str, status: int, document: Any, wanted: int, code: str) -> None:
    where = f"{method} {target} → {status}"
    if status != wanted:
        raise NotDescribed(f"{where}: is not described, so {wanted} was expected")
    if method != "HEAD":
        _check(_validator("#/components/schemas/Error"), document, where)
        if document["code"] != code:
            raise NotDescribed(f"{where}: {document['code']} instead of {code}")


def _json_of(headers: Mapping[str, str], body: bytes) -> Any:
    if not body or headers.get("content-type") != "application/json":
        return None
    return orjson.loads(gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body)


def _check(validator: jsonschema_rs.Validator, value: Any, where: str) -> None:
    problems = [f"{list(error.instance_path)}: {error.message}" for error in validator.iter_errors(value)]
    if problems:
        raise NotDescribed(f"{where}: {'; '.join(problems[:5])[:2000]}")


@functools.cache
def _operations() -> tuple[Described, ...]:
    """Those with fewer parameters first; of the same number, those of which more is written out."""
    found = [
        Described(method.upper(), path, _pattern(path), operation["responses"])
        for path, item in make_document()["paths"].items()
        for method, operation in item.items()
    ]
    return tuple(sorted(found, key=lambda each: (each.path.count("{"), -len(each.path))))


def _pattern(path: str) -> re.Pattern[str]:
    # An agent's address and a path of the console may hold slashes.
    text = re.sub(r"\\\{(agent_id|path)\\\}", ".+", re.escape(path))
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", text))


def _resolved(value: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in value:
        return value
    found: Any = make_document()
    for name in value["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    resolved: Mapping[str, Any] = found
    return resolved


@functools.cache
def _closed_document() -> jsonschema_rs.Registry:
    """The document, with objects that may hold nothing beside what is described."""
    document = orjson.loads(orjson.dumps(make_document()))
    for schema in _objects(document["components"]["schemas"]):
        if "properties" in schema and "type" in schema:
            schema["additionalProperties"] = False
    return jsonschema_rs.Registry(
        [("urn:moltnet", {"$schema": "https://json-schema.org/draft/2020-12/schema", **document})]
    )


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from _objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from _objects(item)


@functools.cache
def _validator(fragment: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.Draft202012Validator(
        {"$ref": f"urn:moltnet{quote(fragment, safe='#/~')}"}, registry=_closed_document()
    )


@functools.cache
def _value_validator(schema: bytes) -> jsonschema_rs.Validator:
    value = orjson.loads(schema)
    if "$ref" in value:
        return _validator(value["$ref"])
    return jsonschema_rs.Draft202012Validator(value)
