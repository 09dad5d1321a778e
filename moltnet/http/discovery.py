"""The documents that agents read: ``install.md``, ``skill.md``, ``llms.txt``, and the skill as JSON (HTTP API §8).

What they say is ``moltnet.skill``'s; here is who may read which, and by which address of ours it was asked for.
"""

from collections.abc import Callable
from typing import Final

from quart import Blueprint, Response

from moltnet.app import App
from moltnet.auth.claims import Claims, CredentialKind
from moltnet.config.settings import Scope
from moltnet.core.access import require
from moltnet.http.answers import json_answer
from moltnet.http.auth import Gate
from moltnet.http.headers import KEPT_AND_CHECKED, VARY
from moltnet.skill.document import skill_document
from moltnet.skill.profile import Profile, profile_of
from moltnet.skill.texts import index_text, install_document, skill_text

MARKDOWN: Final = "text/markdown; charset=utf-8"
PLAIN: Final = "text/plain; charset=utf-8"
# They name the address that they were asked for, which behind a proxy these tell.
_VARY: Final = f"{VARY}, X-Forwarded-Host, X-Forwarded-Proto"
_TAKING_PART: Final = (Scope.OBSERVE, Scope.WRITE, Scope.ADMIN, Scope.ATTACH)


def discovery_routes(app: App) -> Blueprint:
    routes = Blueprint("discovery", __name__)
    gate = Gate(app)

    def text_of(claims: Claims, render: Callable[[Profile], str], content_type: str) -> Response:
        answer = Response(render(profile_of(app.context, claims, _own_url(app, gate))), content_type=content_type)
        # Each caller has its own, and nobody else is shown it.
        answer.headers["Cache-Control"] = KEPT_AND_CHECKED
        answer.headers["Vary"] = _VARY
        return answer

    @routes.get("/install.md")
    async def install() -> Response:
        return text_of(_newcomer(app, gate), install_document, MARKDOWN)

    @routes.get("/llms.txt")
    async def index() -> Response:
        return text_of(_newcomer(app, gate), index_text, PLAIN)

    @routes.get("/skill.md")
    async def skill() -> Response:
        return text_of(_participant(app, gate), skill_text, MARKDOWN)

    @routes.get("/v1/skill")
    async def describe_skill() -> Response:
        claims = _participant(app, gate)
        answer = json_answer(skill_document(profile_of(app.context, claims, _own_url(app, gate))))
        answer.headers["Vary"] = _VARY
        return answer

    return routes


def _newcomer(app: App, gate: Gate) -> Claims:
    """Who wants to join: whom the network lets read at all, and every credential that is not another network's."""
    claims = gate.claims()
    if not app.context.policy.anonymous_reads:
        require(claims, *_TAKING_PART)
    return claims


def _participant(app: App, gate: Gate) -> Claims:
    """Who takes part; another network does not, wherever it may read."""
    claims = gate.claims()
    if claims.kind is not CredentialKind.ANONYMOUS or not app.context.policy.anonymous_reads:
        require(claims, *_TAKING_PART)
    return claims


def _own_url(app: App, gate: Gate) -> str:
    """The address that the caller reached us by; if it names none that could be one, an address of our own."""
    server = app.config.server
    return gate.client.origin or next(iter(server.allowed_origins), f"http://{server.listen_addr}")
