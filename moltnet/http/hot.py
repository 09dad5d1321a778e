"""The routes that are asked for all the time, from a call to an answer: sending, and pages of messages.

Quart has the same routes and calls the same functions, for every request that is not plain (``is_plain``) and wherever
a framework is wanted. The front (``moltnet.http.front``) and the fast lane (``moltnet.lane``) come here straight.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import attrs

from moltnet.config.settings import Scope
from moltnet.core import history
from moltnet.core.access import Viewer, require
from moltnet.core.messaging import send_message
from moltnet.http.answer import Answer, json_reply
from moltnet.http.call import READ, Call, HungUp, begin
from moltnet.http.failures import failure
from moltnet.http.floods import flood
from moltnet.http.moments import messages_asked_for
from moltnet.http.representation import Representation
from moltnet.http.request_headers import RequestHeaders
from moltnet.protocol import limits
from moltnet.protocol.messages import SendMessageRequest


async def send(call: Call) -> Answer:
    """``POST /v1/messages``."""
    claims = call.require(Scope.WRITE, Scope.PAIR)
    call.app.admission.admit_message(claims, call.client.source)
    return json_reply(await send_message(call.app.context, await call.read_json(SendMessageRequest), claims), 202)


async def room_messages(call: Call, room_id: str) -> Answer:
    """``GET /v1/rooms/{roomID}/messages``."""
    _, viewer = call.reader(*READ)
    page = messages_asked_for(call.args)
    return json_reply(await history.room_messages(call.app.context, room_id.strip(), viewer, page))


async def thread_messages(call: Call, thread_id: str) -> Answer:
    """``GET /v1/threads/{threadID}/messages``."""
    _, viewer = call.reader(*READ)
    page = messages_asked_for(call.args)
    return json_reply(await history.thread_messages(call.app.context, thread_id.strip(), viewer, page))


async def direct_messages(call: Call, direct_id: str) -> Answer:
    """``GET /v1/dms/{dmID}/messages``."""
    viewer = participant(call)
    page = messages_asked_for(call.args)
    return json_reply(await history.direct_messages(call.app.context, direct_id.strip(), viewer, page))


def participant(call: Call) -> Viewer:
    """A caller who may have direct conversations: the public has none."""
    claims, viewer = call.reader(*READ)
    if not viewer.agents:
        require(claims, *READ)
    return viewer


@attrs.frozen
class HotRoute:
    """``name`` is what metrics and logs call it; ``handle`` is given the id in the path."""

    name: str
    handle: Callable[[Call, str], Awaitable[Answer]]


async def _send(call: Call, _nothing: str) -> Answer:
    return await send(call)


_SEND_PATH: Final = "/v1/messages"
_SEND: Final = HotRoute("POST /v1/messages", _send)
_PAGES: Final[Mapping[str, HotRoute]] = {
    "rooms": HotRoute("GET /v1/rooms/{roomID}/messages", room_messages),
    "threads": HotRoute("GET /v1/threads/{threadID}/messages", thread_messages),
    "dms": HotRoute("GET /v1/dms/{dmID}/messages", direct_messages),
}
_PAGE_PATH: Final = re.compile(r"/v1/(rooms|threads|dms)/([A-Za-z0-9][A-Za-z0-9._:-]*)/messages")


def hot_route(method: str, path: str) -> tuple[HotRoute, str] | None:
    """The route of a call, and the id in its path; ``None`` for all others, and for paths that only might mean it."""
    if method == "POST":
        return (_SEND, "") if path == _SEND_PATH else None
    if method == "GET" and (match := _PAGE_PATH.fullmatch(path)) is not None:
        return _PAGES[match[1]], match[2]
    return None


_LENGTH: Final = b"content-length"
_LENGTH_DIGITS: Final = re.compile(rb"0|[1-9][0-9]{0,6}")
# Browsers bring a session, which takes answers of its own; the others change how a body ends or begins.
_UNUSUAL: Final = (b"cookie", b"transfer-encoding", b"expect", b"upgrade")


def is_plain(method: str, headers: RequestHeaders) -> bool:
    """Whether a request of a hot route is answered without a framework: no cookie, a small body of known length."""
    first = headers.first
    for name in _UNUSUAL:
        if name in first:
            return False
    if method != "POST":
        return _LENGTH not in first
    length = first.get(_LENGTH, b"")
    is_one = _LENGTH not in headers.repeated and _LENGTH_DIGITS.fullmatch(length) is not None
    return is_one and int(length) <= limits.FREE_BODY_BYTES


@attrs.frozen(eq=False)
class HotAnswers:
    """What the hot routes answer, whole, with all that holds for every answer."""

    _representation: Representation = attrs.field(factory=Representation)

    async def answer(self, call: Call, route: HotRoute, wanted: str) -> Answer:
        """The answer to a plain call, whatever happens. Raises ``HungUp`` if the client left before it was whole."""
        exchange = call.exchange
        try:
            if (refusal := flood(call.app, call.path, call.headers, exchange)) is not None:
                raise refusal
            exchange.route = route.name
            await begin(call)
            answer = await route.handle(call, wanted)
        except HungUp:
            raise
        except Exception as error:
            answer = failure(error, exchange.request_id, asked_for_room=call.method == "POST")
        return await self.finish(call, answer)

    async def finish(self, call: Call, answer: Answer) -> Answer:
        """What every answer gets before it leaves."""
        status, body = await self._representation.finish(call, answer.status, answer.headers, answer.body)
        answer.status, answer.body = status, body or b""
        answer.headers["X-Request-Id"] = call.exchange.request_id
        return answer
