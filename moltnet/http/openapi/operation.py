"""What is said of one operation of the API, and what follows from it: which refusals are possible because it takes a
body, asks for a credential, writes, or is paged.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import attrs

from moltnet.config.settings import Scope
from moltnet.http.openapi.schemas import Schema, ref
from moltnet.http.openapi.texts import ARTIFACT_ID, blanks_around
from moltnet.protocol import limits
from moltnet.protocol.errors import ErrorCode

JSON: Final = "application/json"
Refusals = Mapping[int, tuple[ErrorCode, ...]]


class Tag(StrEnum):
    """The chapters of the document, in their order."""

    NETWORK = "Network"
    MESSAGES = "Messages"
    ROOMS = "Rooms"
    THREADS = "Threads"
    DIRECT = "Direct conversations"
    ARTIFACTS = "Artifacts"
    AGENTS = "Agents"
    EVENTS = "Events"
    APPROVALS = "Approvals"
    PAIRINGS = "Pairings"
    ADMINISTRATION = "Administration"
    HEALTH = "Health"
    DOCUMENTS = "Documents"
    CONSOLE = "Console"


@attrs.frozen
class Access:
    """Who may call. Without ``scopes`` everybody, and no credential is looked at; ``public`` may do without one too."""

    scopes: tuple[Scope, ...] = ()
    public: bool = False
    note: str = ""

    @property
    def is_open(self) -> bool:
        return not self.scopes


EVERYBODY: Final = Access()
ADMINS: Final = Access((Scope.ADMIN,))
_READS: Final = (Scope.OBSERVE, Scope.ADMIN)
_AGENTS: Final = (Scope.ATTACH, Scope.WRITE)
READERS: Final = Access(
    (*_READS, *_AGENTS),
    public=True,
    note="Readers: `observe` and `admin` see everything; `attach` and `write` the rooms of their agents and their own "
    "direct conversations; the public, if the network lets it read, public rooms.",
)
LISTERS: Final = Access((*READERS.scopes, Scope.PAIR), public=True, note=READERS.note)
NETWORK_READERS: Final = Access((*_READS, Scope.ATTACH, Scope.PAIR), public=True)
PARTICIPANTS: Final = Access(
    (*_READS, *_AGENTS), note="Participants by their agents' tokens; `observe` and `admin` see all."
)
OBSERVERS: Final = Access(_READS)
SENDERS: Final = Access(
    (Scope.WRITE, Scope.PAIR), note="`write` for agents and people of this network, `pair` for another network."
)
REGISTRARS: Final = Access(
    (Scope.ADMIN, Scope.ATTACH),
    public=True,
    note="By `auth.agent_registration`: `admin` (`disabled`), also `attach` (`token`), or everybody (`open`).",
)
ATTACHED: Final = Access(
    (Scope.ATTACH,), public=True, note="On an open network everybody: who comes without a token claims a new agent."
)


@attrs.frozen
class Parameter:
    name: str
    place: str
    description: str
    schema: Schema
    example: Any = None


@attrs.frozen
class Success:
    """An answer that is no refusal. ``body`` is a class of the wire, a schema, or nothing."""

    status: int
    description: str
    body: type | Schema | None = None
    media: tuple[str, ...] = (JSON,)
    headers: tuple[str, ...] = ()


@attrs.frozen
class Link:
    """What can be asked next: ``parameters`` of the operation ``to`` from this answer or its request."""

    to: str
    parameters: Mapping[str, str]
    status: int = 0


@attrs.frozen
class Operation:
    """One route and method. ``id`` never changes: programs are generated from it.

    ``path`` is written as OpenAPI does. ``takes`` is the class of the body; ``refusals`` are those beside the implied.
    """

    id: str
    method: str
    path: str
    tag: Tag
    summary: str
    access: Access
    answers: tuple[Success, ...]
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    takes: type | None = None
    body_optional: bool = False
    refusals: Refusals = attrs.field(factory=dict)
    links: tuple[Link, ...] = ()

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    @property
    def is_tagged(self) -> bool:
        """Whether the answer has an ``ETag``: what may be kept, and asked for again."""
        return self.method == "GET" and any(success.headers and "ETag" in success.headers for success in self.answers)

    @property
    def is_api(self) -> bool:
        """Whether it is part of the API proper, and not a file or a probe."""
        return self.path.startswith("/v1/")

    @property
    def is_counted(self) -> bool:
        """Whether it is refused to who asks too often: everything, but whether the process lives."""
        return self.path != "/healthz"

    def all_refusals(self) -> Mapping[int, tuple[ErrorCode, ...]]:
        """Every status of an error with the codes that it can have, by status."""
        found: dict[int, dict[ErrorCode, None]] = {}
        for refusals in (*_implied(self), self.refusals):
            for status, codes in refusals.items():
                found.setdefault(status, {}).update(dict.fromkeys(codes))
        return {status: tuple(found[status]) for status in sorted(found)}


def _implied(operation: Operation) -> list[Refusals]:
    implied: list[Refusals] = [{403: (ErrorCode.HOST_FORBIDDEN,), 500: (ErrorCode.INTERNAL_ERROR,)}]
    if operation.is_counted:
        implied.append({429: (ErrorCode.RATE_LIMITED,)})
    if not operation.access.is_open:
        implied.append(CREDENTIALS)
    if operation.writes:
        implied.append(WRITING)
    if operation.takes is not None:
        implied.append(BODY)
    if operation.is_api:
        implied.append({406: (ErrorCode.NOT_ACCEPTABLE,)})
    if any(parameter.place == "path" and parameter.name != "path" for parameter in operation.parameters):
        # An id with a slash in it is another route.
        implied.append({404: (ErrorCode.UNKNOWN_ROUTE,)})
    if any(parameter.name == "before" for parameter in operation.parameters):
        implied.append({422: (ErrorCode.INVALID_CURSOR,)})
    return implied


CREDENTIALS: Final[Refusals] = {
    401: (ErrorCode.UNAUTHORIZED, ErrorCode.INVALID_TOKEN),
    403: (ErrorCode.MISSING_SCOPE,),
    503: (ErrorCode.STORAGE_UNAVAILABLE,),
}
WRITING: Final[Refusals] = {
    403: (ErrorCode.ORIGIN_FORBIDDEN,),
    503: (ErrorCode.STORAGE_UNAVAILABLE, ErrorCode.SHUTTING_DOWN),
    507: (ErrorCode.STORAGE_FULL,),
}
BODY: Final[Refusals] = {
    400: (ErrorCode.INVALID_JSON, ErrorCode.INVALID_FIELD),
    408: (ErrorCode.BAD_REQUEST,),
    413: (ErrorCode.BODY_TOO_LARGE,),
    415: (ErrorCode.UNSUPPORTED_MEDIA_TYPE,),
    422: (ErrorCode.INVALID_FIELD,),
}
STORED: Final[Refusals] = {503: (ErrorCode.STORAGE_UNAVAILABLE, ErrorCode.STORAGE_FULL)}


def kept(description: str, body: type | Schema, *media: str) -> Success:
    """The answer to a GET that its caller may keep, and ask for again with its ``ETag``."""
    return Success(200, description, body, media or (JSON,), ("ETag", "Cache-Control", "Vary"))


def in_path(name: str, description: str, example: str, schema: Schema | None = None) -> Parameter:
    return Parameter(name, "path", description, schema or ref("IdInput"), example)


def in_query(name: str, description: str, schema: Schema, example: Any = None) -> Parameter:
    return Parameter(name, "query", description, schema, example)


def in_header(name: str, description: str, schema: Schema | None = None) -> Parameter:
    return Parameter(name, "header", description, schema or {"type": "string"})


def paged(cursor: Schema | None = None) -> tuple[Parameter, ...]:
    """``limit``, ``before`` and ``after``."""
    cursor = cursor or ref("OptionalIdInput")
    return (
        in_query(
            "limit",
            f"How many at most: 1 to {limits.MAX_PAGE_ITEMS}. What is larger is cut; what is no such number counts as "
            "not given.",
            {"type": ["integer", "string"], "default": limits.DEFAULT_PAGE_ITEMS},
            limits.DEFAULT_PAGE_ITEMS,
        ),
        in_query("before", "What comes before this one, nearest to it. Not together with `after`.", cursor),
        in_query("after", "What follows this one. Not together with `before`.", cursor),
    )


def paged_messages() -> tuple[Parameter, ...]:
    """The same, and ``around`` and ``at``."""
    return (
        *paged(),
        in_query(
            "around",
            "The message that the page is around, as many before as after it. Not together with another of these.",
            ref("OptionalIdInput"),
        ),
        in_query(
            "at",
            "The time at which the page begins, RFC 3339: with the first message that was said then or later. Not "
            "together with another of these.",
            {"type": "string"},
            "2026-11-20T00:00:00Z",
        ),
    )


AGENT_CURSOR: Final = ref("MemberInput")
ARTIFACT_CURSOR: Final[Schema] = {"type": "string", "pattern": blanks_around(ARTIFACT_ID, optional=True)}
