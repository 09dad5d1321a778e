"""The web console: static files under ``/console/``, the redirects to it, and the headers that keep its page harmless.

The files hold no secret and are served to all; what the page may show is decided by the API that it asks. A browser
gets one script and one style sheet, built of the sources beside them (`scripts/console_bundle.py`).
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs
from quart import Blueprint, Response, request

from moltnet.app import App
from moltnet.http.sessions import sign_in_by_link

DIRECTORY: Final = Path(__file__).parent.parent / "console"
INDEX: Final = "index.html"
HOME: Final = "/console/"
SERVED: Final = (INDEX, "favicon.svg", "built/*", "vendor/*.LICENSE.txt")

# Not from ``mimetypes``, which believes the machine's own tables.
CONTENT_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}

# Names and messages come from others. Should one ever be taken for markup, the browser still runs nothing, loads
# nothing from elsewhere and shows the page in nobody's frame; scripts cannot even reach a sink that parses HTML.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # Not ``no-referrer``, with which a browser may send ``Origin: null`` along with our own requests.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Kept, but asked for again each time: a page must not meet the scripts of an older version.
    "Cache-Control": "no-cache",
}


@attrs.frozen
class Asset:
    """One file of the console, as it is sent."""

    body: bytes
    content_type: str
    etag: str


def load_assets(directory: Path = DIRECTORY) -> Mapping[str, Asset]:
    """What is served by path below ``/console/``. Blocks on the file system; it is read once."""
    return {
        path.relative_to(directory).as_posix(): Asset(
            body, CONTENT_TYPES[path.suffix], hashlib.sha256(body).hexdigest()[:32]
        )
        for pattern in SERVED
        for path in sorted(directory.glob(pattern))
        if path.suffix in CONTENT_TYPES
        for body in (path.read_bytes(),)
    }


def console_routes(app: App) -> Blueprint:
    routes = Blueprint("console", __name__)
    assets = load_assets()

    @routes.before_request
    async def sign_in() -> Response | None:
        return await sign_in_by_link(app, request.path if request.path.startswith(HOME) else HOME)

    @routes.get("/")
    @routes.get("/console")
    async def home() -> Response:
        # The query stays behind: nothing that somebody put into a link is repeated by us.
        return Response(b"", 307, {"Location": HOME})

    @routes.get(HOME)
    @routes.get(f"{HOME}<path:path>")
    async def asset(path: str = INDEX) -> Response:
        """A file, or else the page, which finds its view in the URL."""
        found = assets.get(path, assets[INDEX])
        answer = Response(found.body, content_type=found.content_type)
        answer.set_etag(found.etag, weak=True)
        return answer

    @routes.after_request
    async def protect(answer: Response) -> Response:
        answer.headers.update(HEADERS)
        return answer

    return routes
