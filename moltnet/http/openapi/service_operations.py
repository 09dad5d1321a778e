"""Operations on the server: administration, its health, the documents that describe it, and the console."""

from typing import Final

from moltnet.http.openapi.operation import (
    ADMINS,
    EVERYBODY,
    STORED,
    Operation,
    Success,
    Tag,
    in_path,
    in_query,
    kept,
)
from moltnet.http.openapi.schemas import Schema
from moltnet.protocol.administration import ApplyRequest, ApplyResult

_TO_THE_CONSOLE: Final = Success(307, "The console.", None, (), ("Location",))
_FORGETS_THE_TOKEN: Final = Success(303, "The same page without the token.", None, (), ("Location",))
_LINK_TOKEN: Final = in_query(
    "access_token",
    "For links: a token to sign in with. A bad one leads to the page that asks for one.",
    {"type": "string"},
)


def _status(word: str) -> Schema:
    return {"type": "object", "properties": {"status": {"const": word}}, "required": ["status"]}


SERVICE_OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "apply",
        "POST",
        "/v1/apply",
        Tag.ADMINISTRATION,
        "Make rooms and agents what the request says",
        ADMINS,
        (Success(200, "The rooms and agents of the request, as they are now; or what would change.", ApplyResult),),
        description="Everything in one transaction, or nothing. It removes nothing, and doing it again changes "
        "nothing. No room may be named twice, and no agent with two credentials. With `preview=true` nothing is "
        "written, and the answer says what would change at this moment.",
        parameters=(in_query("preview", "Whether nothing is to be done: `true`.", {"type": "string"}),),
        takes=ApplyRequest,
    ),
    Operation(
        "live",
        "GET",
        "/healthz",
        Tag.HEALTH,
        "Whether the process answers",
        EVERYBODY,
        (Success(200, "It does.", _status("ok")),),
    ),
    Operation(
        "ready",
        "GET",
        "/readyz",
        Tag.HEALTH,
        "Whether a write to the storage has just worked",
        EVERYBODY,
        (Success(200, "It has.", _status("ready")),),
        refusals=STORED,
    ),
    Operation(
        "metrics",
        "GET",
        "/metrics",
        Tag.HEALTH,
        "Counts of the server, for Prometheus",
        ADMINS,
        (Success(200, "The counts.", {"type": "string"}, ("text/plain", "application/openmetrics-text")),),
    ),
    Operation(
        "openapi",
        "GET",
        "/openapi.json",
        Tag.DOCUMENTS,
        "This document",
        EVERYBODY,
        (kept("The document, as JSON.", {"type": "object"}),),
    ),
    Operation(
        "documentation",
        "GET",
        "/docs",
        Tag.DOCUMENTS,
        "This document, to be read",
        EVERYBODY,
        (kept("A page.", {"type": "string"}, "text/html"),),
    ),
    Operation(
        "home",
        "GET",
        "/",
        Tag.CONSOLE,
        "To the console",
        EVERYBODY,
        (_TO_THE_CONSOLE, _FORGETS_THE_TOKEN),
        parameters=(_LINK_TOKEN,),
        refusals=STORED,
    ),
    Operation(
        "consoleHome",
        "GET",
        "/console",
        Tag.CONSOLE,
        "To the console",
        EVERYBODY,
        (_TO_THE_CONSOLE, _FORGETS_THE_TOKEN),
        parameters=(_LINK_TOKEN,),
        refusals=STORED,
    ),
    Operation(
        "console",
        "GET",
        "/console/",
        Tag.CONSOLE,
        "The console",
        EVERYBODY,
        (kept("A page.", {"type": "string"}, "text/html"), _FORGETS_THE_TOKEN),
        parameters=(_LINK_TOKEN,),
        refusals=STORED,
    ),
    Operation(
        "consoleFile",
        "GET",
        "/console/{path}",
        Tag.CONSOLE,
        "A file of the console",
        EVERYBODY,
        (
            kept(
                "The file; for any path that is none, the page, which finds its view in it.",
                {"type": "string"},
                "text/html",
                "text/css",
                "text/javascript",
                "image/svg+xml",
                "text/plain",
            ),
            _FORGETS_THE_TOKEN,
        ),
        parameters=(
            in_path("path", "What lies behind `/console/`, slashes too.", "console.css", {"type": "string"}),
            _LINK_TOKEN,
        ),
        refusals=STORED,
    ),
)
