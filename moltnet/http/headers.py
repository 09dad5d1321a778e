"""Headers of every answer, whoever writes it: the API, a refused upgrade, the parser. No framework in here.

The console has stricter ones of its own (``moltnet.http.console``).
"""

from collections.abc import Iterable, Mapping
from typing import Final

from moltnet.protocol.ids import accepted_request_id, new_request_id

# An answer of the API is data. Should a browser ever show one as a page, it runs, loads and frames nothing.
SECURITY: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

# Nobody keeps it: errors, answers to writes (one holds a token), probes.
NOT_KEPT: Final = "no-store"
# Kept by its caller only, and asked for again each time.
KEPT_AND_CHECKED: Final = "private, no-cache"
# What the same URL's answer depends on beside what is stored.
VARY: Final = "Authorization, Cookie, Accept-Encoding"

# Under which key of its state an ASGI scope tells the id that its request has been given.
REQUEST_ID_STATE: Final = "request_id"


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The id of a request with these headers: the client's own if it may be echoed, else a new one."""
    given = next((value for name, value in headers if name.lower() == b"x-request-id"), b"")
    return request_id_from(given.decode("latin-1"))


def request_id_from(given: str | None) -> str:
    """The same for what its header says; ``None`` if it did not come."""
    return accepted_request_id(given) or new_request_id()


def error_fields(request_id: str) -> dict[str, str]:
    """What stands in the head of every error envelope."""
    return {**SECURITY, "Cache-Control": NOT_KEPT, "Content-Type": "application/json", "X-Request-Id": request_id}


def error_headers(request_id: str, extra: Mapping[str, str] | None = None) -> list[tuple[bytes, bytes]]:
    """The head of an error envelope that is written without a framework."""
    return encoded({**error_fields(request_id), **(extra or {})})


def encoded(fields: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Names are lower-case, as ASGI wants them."""
    return [(name.lower().encode(), value.encode()) for name, value in fields.items()]
