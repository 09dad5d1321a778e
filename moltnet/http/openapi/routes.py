"""``GET /openapi.json`` and ``GET /docs``: the API described, for programs and for people.

Both say the same of every network of this version, so everybody may read them.
"""

from typing import Final

import orjson
from quart import Blueprint, Response

from moltnet.app import App
from moltnet.http.openapi.document import make_document
from moltnet.http.openapi.page import CONTENT_SECURITY_POLICY, make_page

# Kept, but asked for again each time: another version of the server has another one.
_CACHE_CONTROL: Final = "no-cache"


def openapi_routes(_app: App) -> Blueprint:
    routes = Blueprint("openapi", __name__)
    document = orjson.dumps(make_document()) + b"\n"
    page = make_page()

    @routes.get("/openapi.json")
    async def openapi() -> Response:
        return Response(document, headers={"Cache-Control": _CACHE_CONTROL}, content_type="application/json")

    @routes.get("/docs")
    async def documentation() -> Response:
        headers = {"Cache-Control": _CACHE_CONTROL, "Content-Security-Policy": CONTENT_SECURITY_POLICY}
        return Response(page, headers=headers, content_type="text/html; charset=utf-8")

    return routes
