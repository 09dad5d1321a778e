"""Refusing who asks far too often before anything else is looked at: a refusal must cost less than an answer.

Who has a good credential is not known this early. Everybody is counted in ``moltnet.http.call``.
"""

from typing import Final

from moltnet.app import App
from moltnet.config.settings import AuthMode
from moltnet.core.errors import RateLimited
from moltnet.http.entrance import ALIVE_PATH
from moltnet.http.envelope import STATUS, error_body, refusal_headers
from moltnet.http.exchange import Exchange, Send
from moltnet.http.headers import error_headers
from moltnet.http.request_headers import RequestHeaders

_AUTHORIZATION: Final = b"authorization"
_COOKIE: Final = b"cookie"


def flood(app: App, path: str, headers: RequestHeaders, exchange: Exchange) -> RateLimited | None:
    """The refusal of a request whose source has used up what it had, of requests or of guesses; counts nothing else."""
    if path == ALIVE_PATH:
        return None
    admission, source = app.admission, exchange.client.source
    is_unchecked = app.config.auth.mode is AuthMode.NONE
    presents = _AUTHORIZATION in headers
    try:
        if is_unchecked or not (presents or _COOKIE in headers):
            admission.check_source(source, is_unchecked=is_unchecked)
        elif presents:
            admission.check_guesses(source)
    except RateLimited as error:
        return error
    return None


async def refuse_request(send: Send, error: RateLimited, exchange: Exchange) -> None:
    """Answer with the envelope of all errors."""
    status = STATUS[type(error)]
    body = error_body(error.code, error.message, exchange.request_id) + b"\n"
    more = {**refusal_headers(error), "Content-Length": str(len(body))}
    headers = error_headers(exchange.request_id, more)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    shown = b"" if exchange.method == "HEAD" else body
    await send({"type": "http.response.body", "body": shown, "more_body": False})
