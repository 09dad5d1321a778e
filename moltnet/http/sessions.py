"""``/v1/session``: signing in to the console, out of it, and who the caller is (design §3.9).

The cookie holds a session's random id, never a token. It counts for requests of the HTTP API that bring no
``Authorization`` header, and never for an attachment; a change by cookie must come from a page of ours.
"""

from datetime import timedelta
from typing import Final
from urllib.parse import quote, urlencode

from quart import Blueprint, Response, request

from moltnet.app import App
from moltnet.auth.sessions import session_digest
from moltnet.config.settings import AuthMode
from moltnet.core import sessions
from moltnet.core.errors import Unauthenticated
from moltnet.http.answers import json_answer, read_body
from moltnet.http.auth import Gate
from moltnet.http.current import current_call
from moltnet.protocol import limits
from moltnet.protocol.sessions import SignInRequest

# A page that is told so asks for a token (``moltnet/console/views/signin.js``).
FAILED: Final = "sign_in"
LIFETIME: Final = timedelta(seconds=limits.SESSION_SECONDS)


def sessions_routes(app: App) -> Blueprint:
    routes = Blueprint("sessions", __name__)
    gate = Gate(app)
    context = app.context

    @routes.get("/v1/session")
    async def who_am_i() -> Response:
        return json_answer(sessions.who_am_i(context, gate.claims()))

    @routes.post("/v1/session")
    async def sign_in() -> Response:
        gate.require_own_page(if_any=True)
        claims = await gate.presented((await read_body(SignInRequest)).token)
        session_id = await sessions.sign_in(context, claims, LIFETIME)
        answer = json_answer(sessions.who_am_i(context, app.authenticator.in_session(session_digest(session_id))))
        plant(answer, gate, session_id)
        return answer

    @routes.delete("/v1/session")
    async def sign_out() -> Response:
        if gate.session_id:
            await sessions.sign_out(context, gate.session_id)
        answer = json_answer(sessions.who_am_i(context, gate.claims_of(None)))
        uproot(answer, gate)
        return answer

    @routes.after_app_request
    async def forget_what_is_over(answer: Response) -> Response:
        if current_call().is_session_over and "Set-Cookie" not in answer.headers:
            uproot(answer, gate)
        return answer

    return routes


async def sign_in_by_link(app: App, page: str) -> Response | None:
    """The answer to a link to ``page`` with ``?access_token=``; ``None`` for a request without one.

    A good token opens a session, a bad one plants nothing; either way the browser forgets it (design §3.9). Who only
    looks at the head, as programs that check links do, opens none; nor does a link on the page of another site, which
    could sign our user in as somebody else.
    """
    token = request.args.get("access_token", "").strip()
    if not token:
        return None
    gate = Gate(app)
    query = {name: value for name, value in request.args.items() if name not in ("access_token", FAILED)}
    session_id = ""
    if app.config.auth.mode is not AuthMode.NONE and request.method != "HEAD":
        problem = _distrusted(gate)
        if not problem:
            try:
                session_id = await sessions.sign_in(app.context, await gate.presented(token), LIFETIME)
            except Unauthenticated:
                problem = "failed"
        if problem:
            query[FAILED] = problem
    where = f"{quote(page)}?{urlencode(query)}" if query else quote(page)
    answer = Response(b"", 303, {"Location": where, "Cache-Control": "no-store"})
    if session_id:
        plant(answer, gate, session_id)
    return answer


def _distrusted(gate: Gate) -> str:
    """Why a link with a token is not followed, for the page that then asks for the token; empty if it is."""
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        return "by_hand"
    if not gate.app.origins.permits(gate.client.origin or None, gate.client.origin):
        # Whoever is signed in here could change nothing, nor sign out.
        return "origin"
    return ""


def plant(answer: Response, gate: Gate, session_id: str) -> None:
    """Give the browser its session."""
    is_secure = gate.client.scheme == "https"
    answer.set_cookie(
        gate.cookie_name, session_id, max_age=LIFETIME, path="/", secure=is_secure, httponly=True, samesite="Strict"
    )


def uproot(answer: Response, gate: Gate) -> None:
    """Take the session's cookie from the browser."""
    is_secure = gate.client.scheme == "https"
    answer.delete_cookie(gate.cookie_name, path="/", secure=is_secure, httponly=True, samesite="Strict")
