"""Requests to an agent program that listens for HTTP, and what its answers mean for a turn (runtimes §8).

The kinds that speak so are `control.py` and `tinyclaw.py`.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import orjson

from bridge import limits
from bridge.runtimes.runtime import RuntimeMisconfigured, TurnFailed
from bridge.runtimes.turn_process import shorten
from moltnet.client.address import parse_server_address
from moltnet.client.errors import AnswerTooLarge, BadServerAddress, ClientError, one_line
from moltnet.client.http import Answer, HttpClient, Request, open_http
from moltnet.config.secrets import Secret

# Somebody has to change the token or the URL first.
_SETTINGS_STATUSES: Final = frozenset({401, 403, 404, 405})
_PASSING_STATUSES: Final = frozenset({408, 425, 429})


@attrs.frozen
class AgentAddress:
    """One URL of an agent program, with the connections to its server. Made by `open_agent`."""

    _http: HttpClient
    _path: str

    def beside(self, path: str) -> "AgentAddress":
        """The URL with `path` appended, in front of a query."""
        before, mark, query = self._path.partition("?")
        return AgentAddress(self._http, f"{before.rstrip('/')}/{path}{mark}{query}")

    async def get(self) -> Any:
        """The JSON of a `GET`. Raises `TurnFailed` or `RuntimeMisconfigured`, and `TurnFailed` if it is no JSON."""
        answer = await self._exchange(Request("GET", self._path))
        check_answer(self._http, answer)
        try:
            return orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            raise TurnFailed(f"{self._http.server} answered with something else than JSON", retryable=True) from None

    async def post(self, body: Any) -> Answer:
        """The answer to `body` as JSON, whatever its status. Raises `TurnFailed` if there is none."""
        headers = (("Content-Type", "application/json"),)
        return await self._exchange(Request("POST", self._path, headers, orjson.dumps(body)))

    def check(self, answer: Answer) -> None:
        """See `check_answer`."""
        check_answer(self._http, answer)

    async def _exchange(self, request: Request) -> Answer:
        try:
            return await self._http.exchange(request, max_bytes=limits.MAX_AGENT_ANSWER_BYTES)
        except AnswerTooLarge as error:
            raise TurnFailed(str(error), retryable=False) from error
        except ClientError as error:
            raise TurnFailed(str(error), retryable=True) from error


def check_answer(http: HttpClient, answer: Answer) -> None:
    """Return if the status is a success.

    Raises:
        RuntimeMisconfigured: it does not know the token, or the path.
        TurnFailed: it could not, or does not want this one.
    """
    status = answer.status
    if 200 <= status < 300:
        return
    said = _error_text(answer.body)
    reason = shorten(f"{http.server} answered {status}" + (f": {said}" if said else ""))
    if status in _SETTINGS_STATUSES:
        key = "runtime.token" if status in (401, 403) else "the URL"
        raise RuntimeMisconfigured(f"{reason}; look at {key}")
    raise TurnFailed(reason, retryable=status >= 500 or status in _PASSING_STATUSES)


def _error_text(body: bytes) -> str:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return one_line(body.decode(errors="replace"))
    error = value.get("error", value.get("message")) if isinstance(value, dict) else value
    return one_line(error if isinstance(error, str) else "")


@asynccontextmanager
async def open_agent(url: str, token: Secret | None) -> AsyncIterator[AgentAddress]:
    """The agent program at `url`; `token` goes with each request, as a bearer token. Nothing is connected yet.

    Raises:
        RuntimeMisconfigured: that is no address, or no token.
    """
    parts = urlsplit(url)
    headers = {"Accept": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {header_text(token)}"
    try:
        server = parse_server_address(f"{parts.scheme}://{parts.netloc}")
        async with open_http(server, headers=headers, environ=os.environ) as http:
            yield AgentAddress(http, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    except BadServerAddress as error:
        raise RuntimeMisconfigured(str(error)) from error


def header_text(token: Secret) -> str:
    """A token as a header can hold it. Raises `RuntimeMisconfigured`, without it."""
    text = token.reveal().strip()
    if not text.isascii() or not text.isprintable():
        raise RuntimeMisconfigured("runtime.token has characters that no header may have")
    return text
