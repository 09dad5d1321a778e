"""One call to a server, and again where it has done nothing yet: what all typed calls are made of."""

import itertools
from typing import Final, TypeVar
from urllib.parse import quote, urlencode

import attrs
import trio

from moltnet.client.address import ServerAddress
from moltnet.client.answers import read_answer
from moltnet.client.errors import ClientError, ServerAnswered
from moltnet.client.http import HttpClient, Request
from moltnet.client.limits import MAX_SEND_TRIES, MAX_UNBOUNDED_WAIT_SECONDS
from moltnet.protocol.pages import PageRequest

T = TypeVar("T")

TOO_MANY_REQUESTS: Final = 429
_JSON: Final = (("Content-Type", "application/json"),)
FIRST_PAGE: Final = PageRequest()


@attrs.define(eq=False)
class Calls:
    """Calls to one server. Each may raise ``ServerUnreachable``, ``ServerMisbehaved`` and ``ServerAnswered``."""

    _http: HttpClient

    @property
    def server(self) -> ServerAddress:
        return self._http.server

    async def _get(self, path: str, kind: type[T], page: PageRequest = FIRST_PAGE) -> T:
        return await self._call("GET", paged(path, page), kind)

    async def _call(self, method: str, path: str, kind: type[T], body: bytes = b"") -> T:
        """Ask, and again when the server says 429 and when to come back: it has done nothing yet."""
        for tried in itertools.count(1):
            try:
                return await self._ask(method, path, kind, body)
            except ServerAnswered as error:
                wait_seconds = error.retry_after_seconds
                if error.status != TOO_MANY_REQUESTS or wait_seconds is None or not has_time(tried, wait_seconds):
                    raise
            await trio.sleep(wait_seconds)
        raise AssertionError("the tries have no end")

    async def _ask(self, method: str, path: str, kind: type[T], body: bytes = b"") -> T:
        answer = await self._http.exchange(Request(method, path, _JSON if body else (), body))
        return read_answer(str(self.server), answer, kind)


def paged(path: str, page: PageRequest) -> str:
    """``path`` with the query that asks for ``page``."""
    query = {name: value for name, value in attrs.asdict(page).items() if value != getattr(FIRST_PAGE, name)}
    joint = "&" if "?" in path else "?"
    return f"{path}{joint}{urlencode(query)}" if query else path


def quoted(id: str) -> str:
    return quote(id, safe="")


def asked_wait_seconds(error: ClientError) -> float:
    asked = error.retry_after_seconds if isinstance(error, ServerAnswered) else None
    return asked or 0.0


def has_time(tried: int, wait_seconds: float) -> bool:
    deadline = trio.current_effective_deadline()
    if deadline == float("inf"):
        return tried < MAX_SEND_TRIES and wait_seconds <= MAX_UNBOUNDED_WAIT_SECONDS
    return trio.current_time() + wait_seconds < deadline
