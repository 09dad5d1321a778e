"""The OpenAPI 3.1 document, put together from the table of operations and the schemas of the wire."""

import functools
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from moltnet import __version__
from moltnet.auth.sessions import COOKIE
from moltnet.config.settings import Scope
from moltnet.http.openapi.answer_shapes import ANSWERS
from moltnet.http.openapi.examples import example_of, examples_of_request
from moltnet.http.openapi.operation import JSON, Access, Operation, Parameter, Success, Tag
from moltnet.http.openapi.operations import OPERATIONS
from moltnet.http.openapi.request_shapes import REQUESTS
from moltnet.http.openapi.schemas import Components, Schema, ref
from moltnet.http.openapi.texts import TEXTS
from moltnet.protocol import limits
from moltnet.protocol.codec import Problem
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.events import Event
from moltnet.protocol.messages import PartKind

TITLE: Final = "Moltnet HTTP API"
DESCRIPTION: Final = f"""\
JSON over HTTP/1.1, protocol `moltnet.http.v1`.

**Requests.** A body is one JSON object of at most {limits.MAX_BODY_BYTES // limits.MIB} MiB, nested at most \
{limits.MAX_JSON_DEPTH} deep, in UTF-8. Types are exact, keys are case-sensitive, none may be there twice, `null` \
counts as no value, and keys that are not known are ignored. Blanks around ids, kinds and names are dropped.

**Answers.** What has no value is left out; lists that are the point of an answer are `[]`. Ignore keys that you \
don't know: later versions may add some. `HEAD` is answered wherever `GET` is. Every answer has `X-Request-Id`: the \
caller's own, if it sent a usable one.

**Errors** have the body `Error` on every route. `code` is for programs and does not change; `error` is for people \
and may. A path that is no route gives 404 `unknown_route`, another method than those described 405 \
`method_not_allowed` with `Allow`. What is no proper HTTP is refused before any route is looked at: 400 \
`bad_request`, 414 `request_line_too_long`, 431 `headers_too_large`.

**Credentials.** `Authorization: Bearer <token>`. The scopes listed for an operation are those of which one is \
enough. A token that is wrong is an error and never counts as none. A network in mode `none` asks nobody for a \
token; there, a web page of an origin that is not let in gets 403 `origin_forbidden` when it writes, and whoever \
calls the server by a name that is not its own 403 `host_forbidden`.

**Pages.** Lists take `limit` and one of `before` and `after`, and say in `page` whether there is more.\
"""

HEADERS: Final[Mapping[str, Schema]] = {
    "X-Request-Id": {
        "description": "The caller's, if it sent a usable one, else a new one.",
        "required": True,
        "schema": ref("RequestId"),
    },
    "ETag": {
        "description": "Names this state of the document, for `If-None-Match`.",
        "required": True,
        "schema": {"type": "string", "pattern": '^(W/)?"[!#-~]*"$'},
    },
    "Retry-After": {
        "description": "When another try makes sense, in seconds.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "Allow": {
        "description": "The methods of the route.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Z]+(, [A-Z]+)*$"},
    },
    "WWW-Authenticate": {
        "description": "How to present a credential.",
        "required": True,
        "schema": {"type": "string", "const": "Bearer"},
    },
    "Cache-Control": {
        "description": "Whether it may be kept.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Vary": {
        "description": "What else the answer depends on.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Set-Cookie": {"description": "The session, or its end.", "required": False, "schema": {"type": "string"}},
    "Location": {"description": "Where to go.", "required": True, "schema": {"type": "string"}},
}
_OF_STATUS: Final[Mapping[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    405: ("Allow",),
    429: ("Retry-After",),
    503: ("Retry-After",),
    507: ("Retry-After",),
}
# Answers to what is no operation. Nothing can refer to them, and readers look for them.
_OF_NO_OPERATION: Final = {
    (404, (ErrorCode.UNKNOWN_ROUTE,)): "UnknownRoute",
    (405, (ErrorCode.METHOD_NOT_ALLOWED,)): "MethodNotAllowed",
}
REFUSED: Final[Mapping[int, str]] = {
    400: "The body, or the request as a whole, is not what it should be.",
    401: "A token is needed, or the one presented is not valid.",
    403: "The caller may not do this.",
    404: "It does not exist, as far as the caller may know.",
    405: "The route does not take this method.",
    406: "The caller accepts no form that the answer could have.",
    408: "The body did not come in time.",
    409: "What is stored contradicts the request.",
    413: "It is too large.",
    415: "The body is not of a type that is read here.",
    422: "Every field has the right type, and some make no sense.",
    429: "Too often, or too much at once.",
    500: "A bug of the server; its log has it under the request id.",
    502: "Another network, which the answer depends on, can't be asked.",
    503: "Not now.",
    507: "There is no room for it, or no right to write it.",
}
_CHAPTERS: Final[Mapping[Tag, str]] = {
    Tag.NETWORK: "The network itself.",
    Tag.MESSAGES: "Sending. What was sent is read in its room, thread or direct conversation.",
    Tag.ROOMS: "Rooms, their members and messages.",
    Tag.THREADS: "Conversations within a room.",
    Tag.DIRECT: "Conversations that belong to their participants.",
    Tag.ARTIFACTS: "What messages hold beside plain text.",
    Tag.AGENTS: "Who is there.",
    Tag.EVENTS: "What happens, as it happens.",
    Tag.APPROVALS: "Wakes that wait until an operator lets them through.",
    Tag.PAIRINGS: "Other networks.",
    Tag.ADMINISTRATION: "For operators.",
    Tag.HEALTH: "For what watches the server.",
    Tag.DOCUMENTS: "The API, described.",
    Tag.CONSOLE: "The page for people.",
}


def _error_schema() -> Schema:
    return {
        "description": "Why a request was not carried out.",
        "type": "object",
        "properties": {
            "code": ref("ErrorCode"),
            "error": {"type": "string", "description": "For people. It may change."},
            "request_id": ref("RequestId"),
            "problems": {
                "type": "array",
                "items": ref("Problem"),
                "minItems": 1,
                "maxItems": limits.MAX_REPORTED_PROBLEMS,
                "description": "What is wrong with which field.",
            },
        },
        "required": ["code", "error", "request_id"],
        "examples": [
            {
                "code": "invalid_field",
                "error": "$.parts: must not be empty",
                "request_id": "req_508a7f07fd0ed5e6",
                "problems": [{"path": "$.parts", "message": "must not be empty"}],
            }
        ],
    }


def _security(access: Access) -> list[dict[str, list[str]]]:
    """By a token or by a session of the console; an empty alternative for the public."""
    if access.is_open:
        return []
    scopes = [scope.value for scope in Scope if scope in access.scopes]
    return [*([{}] if access.public else []), {"bearer": scopes}, {"session": scopes}]


class _Writer:
    """Collects components while the operations are written."""

    def __init__(self) -> None:
        self.components = Components()
        self.shared = _shared_refusals()
        self.components.schemas.update(TEXTS)
        self.components.schemas["ErrorCode"] = {
            "type": "string",
            "enum": [*map(str, ErrorCode)],
            "description": "For programs. It does not change.",
        }
        self.components.schemas["Error"] = _error_schema()
        for kind in (Problem, Event, PartKind):
            self.components.of(kind, ANSWERS)

    def operation(self, operation: Operation) -> Schema:
        described = " ".join(filter(None, (operation.description, operation.access.note)))
        written: Schema = {
            "operationId": operation.id,
            "tags": [operation.tag.value],
            "summary": operation.summary,
            **({"description": described} if described else {}),
            "security": _security(operation.access),
        }
        written["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
        if operation.is_tagged:
            written["parameters"].append({"$ref": "#/components/parameters/If-None-Match"})
        if operation.takes is not None:
            examples = {name: {"value": value} for name, value in examples_of_request(operation.takes)}
            content: Schema = {"schema": self.components.of(operation.takes, REQUESTS)}
            if examples:
                content["examples"] = examples
            written["requestBody"] = {"required": not operation.body_optional, "content": {JSON: content}}
        written["responses"] = {
            **{str(success.status): self._success(operation, success) for success in operation.answers},
            **({"304": {"$ref": "#/components/responses/NotModified"}} if operation.is_tagged else {}),
            **{str(status): self._refusal(status, codes) for status, codes in operation.all_refusals().items()},
        }
        return written

    def _refusal(self, status: int, codes: tuple[ErrorCode, ...]) -> Schema:
        name = self.shared.get((status, codes))
        return _refusal(status, codes) if name is None else {"$ref": f"#/components/responses/{name}"}

    def _success(self, operation: Operation, success: Success) -> Schema:
        answer: Schema = {"description": success.description, "headers": _headers(*success.headers)}
        if success.body is not None:
            content: Schema = {}
            if isinstance(success.body, dict):
                content["schema"] = success.body
            else:
                content["schema"] = self.components.of(success.body, ANSWERS)
                if (example := example_of(success.body)) is not None:
                    content["example"] = example
            answer["content"] = dict.fromkeys(success.media, content)
        links = [link for link in operation.links if link.status in (0, success.status)]
        if links:
            answer["links"] = {link.to: {"operationId": link.to, "parameters": dict(link.parameters)} for link in links}
        return answer


def _parameter(parameter: Parameter) -> Schema:
    written: Schema = {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "required": parameter.place == "path",
        "schema": parameter.schema,
    }
    if parameter.example is not None:
        written["example"] = parameter.example
    return written


def _headers(*names: str) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *names)}


def _shared_refusals() -> Mapping[tuple[int, tuple[ErrorCode, ...]], str]:
    """Refusals of several operations, which are written once, by name."""
    counts = Counter(refusal for operation in OPERATIONS for refusal in operation.all_refusals().items())
    return {
        (status, codes): "Or".join("".join(map(str.title, code.split("_"))) for code in codes)
        for (status, codes), count in counts.items()
        if count > 2
    }


def _refusal(status: int, codes: tuple[ErrorCode, ...]) -> Schema:
    narrowed = {"properties": {"code": {"enum": [*map(str, codes)]}}}
    return {
        "description": REFUSED[status],
        "headers": _headers(*_OF_STATUS.get(status, ())),
        "content": {JSON: {"schema": {"allOf": [ref("Error"), narrowed]}}},
    }


@functools.cache
def make_document() -> Schema:
    """The whole document as plain values. Made once in a process; not to be changed."""
    writer = _Writer()
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = writer.operation(operation)
    used = {operation.tag for operation in OPERATIONS}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag.value, "description": _CHAPTERS[tag]} for tag in Tag if tag in used],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(writer.components.schemas.items())),
            "headers": dict(HEADERS),
            "responses": {
                "NotModified": {
                    "description": "What the caller has is still the same.",
                    "headers": _headers("ETag", "Cache-Control", "Vary"),
                },
                **{name: _refusal(*refusal) for refusal, name in (*writer.shared.items(), *_OF_NO_OPERATION.items())},
            },
            "parameters": {
                "If-None-Match": {
                    "name": "If-None-Match",
                    "in": "header",
                    "description": "The `ETag` of what the caller has: 304 if it is still the same.",
                    "schema": {"type": "string"},
                },
            },
            "securitySchemes": {
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    # A network's own has more behind and, over HTTPS, before it. No client but a browser needs it.
                    "name": COOKIE,
                    "description": "A session of the console, for browsers. It stands for the token that was signed in "
                    "with; what changes something must come from a page of an origin that is let in.",
                },
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of the configuration, or one that an agent was given when it registered.",
                },
            },
        },
    }
