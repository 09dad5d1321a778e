"""Calls to the server of another network, with the token of its pairing and to no other place (pairing §2, §5).

Every call is bounded in time and size, follows no redirect, and shows its token to nobody else. What the answers
mean for the pairing is ``status``, which messages are sent is ``relay``.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final, TypeVar

import attrs
import trio

from moltnet import __version__
from moltnet.client.address import ServerAddress, parse_server_address
from moltnet.client.answers import error_envelope, read_answer
from moltnet.client.calls import paged
from moltnet.client.dialing import trusting
from moltnet.client.errors import BadServerAddress, ClientError, ServerAnswered
from moltnet.client.guard import AddressGuard, is_named_address
from moltnet.client.http import Answer, HttpClient, Request, open_http
from moltnet.config.settings import PairingSettings
from moltnet.pairing.limits import MAX_REMOTE_ANSWER_BYTES, REMOTE_CALL_SECONDS
from moltnet.protocol.identity import member_problem
from moltnet.protocol.messages import MessageAccepted
from moltnet.protocol.network import Network
from moltnet.protocol.pages import AgentPage, PageRequest, RoomPage

T = TypeVar("T")

_JSON: Final = (("Content-Type", "application/json"),)
# How servers answer a cursor that is not, or no longer, in their list.
_BAD_CURSOR: Final = frozenset({400, 422})
# Not about one message: the whole pairing is refused, or asked to wait.
_ABOUT_THE_PAIRING: Final = frozenset({401, 407, 408, 425, 429})


class RemoteUnavailable(Exception):
    """The call did not succeed, and may later: nothing is known of what the remote did with it.

    ``retry_after_seconds`` is when the remote wants to be asked again, if it says so.
    """

    def __init__(self, reason: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


@attrs.frozen
class Accepted:
    """The remote has stored the message, now or before."""

    answer: MessageAccepted


@attrs.frozen
class Refused:
    """The remote will never take this message as it is; other messages are none the worse for it."""

    status: int
    code: str
    message: str


@attrs.define(eq=False)
class RemoteNetwork:
    """The server behind one pairing. Any number of tasks may use it. Made by ``open_remote``."""

    pairing_id: str
    _http: HttpClient | None
    _token: str = attrs.field(default="", repr=False)
    _problem: str = ""

    async def send_message(self, body: bytes) -> Accepted | Refused:
        """Post the JSON of one message. Safe to repeat: its id makes it the same message.

        Cancelled, the remote may or may not have it. Raises ``RemoteUnavailable``.
        """
        answer = await self._exchange(Request("POST", "/v1/messages", _JSON, body))
        try:
            return Accepted(self._read(answer, MessageAccepted))
        except ServerAnswered as error:
            # A 404 that is no answer of a Moltnet server comes from something else at that address.
            about_message = 400 <= error.status < 500 and error.status not in _ABOUT_THE_PAIRING
            if about_message and error_envelope(answer.body)[1]:
                return Refused(error.status, error.code, error.message)
            raise RemoteUnavailable(error.text, error.retry_after_seconds) from error
        except ClientError as error:
            raise RemoteUnavailable(error.text) from error

    async def network(self) -> Network:
        """What the remote says of itself: ``GET /v1/network``. Raises ``RemoteUnavailable``."""
        return await self._get("/v1/network", Network)

    async def rooms(self, page: PageRequest) -> RoomPage:
        """A page of the rooms that it shows us. Raises ``RemoteUnavailable``, ``RemoteRefusedCursor``."""
        found = await self._get_page("/v1/rooms", page, RoomPage)
        _check_ids(room.id for room in found.rooms)
        return found

    async def agents(self, page: PageRequest) -> AgentPage:
        """A page of the agents that it shows us. Raises as ``rooms`` does."""
        found = await self._get_page("/v1/agents", page, AgentPage)
        _check_ids(agent.id for agent in found.agents)
        return found

    async def _get_page(self, path: str, page: PageRequest, kind: type[T]) -> T:
        try:
            return await self._get(paged(path, page), kind)
        except RemoteUnavailable as error:
            cause = error.__cause__
            if (page.before or page.after) and isinstance(cause, ServerAnswered) and cause.status in _BAD_CURSOR:
                raise RemoteRefusedCursor(cause.message) from error
            raise

    async def _get(self, path: str, kind: type[T]) -> T:
        answer = await self._exchange(Request("GET", path))
        try:
            return self._read(answer, kind)
        except ServerAnswered as error:
            raise RemoteUnavailable(error.text, error.retry_after_seconds) from error
        except ClientError as error:
            raise RemoteUnavailable(error.text) from error

    async def _exchange(self, request: Request) -> Answer:
        if self._http is None:
            raise RemoteUnavailable(self._problem)
        with trio.move_on_after(REMOTE_CALL_SECONDS) as calling:
            try:
                answer = await self._http.exchange(request, max_bytes=MAX_REMOTE_ANSWER_BYTES)
            except ClientError as error:
                raise RemoteUnavailable(self._masked(error.text)) from error
            self._check_secrecy(answer)
            return answer
        assert calling.cancelled_caught
        raise RemoteUnavailable(f"no complete answer within {REMOTE_CALL_SECONDS:g} s")

    def _check_secrecy(self, answer: Answer) -> None:
        """Whoever sends our token back wants to see it in our logs, or to show it to our readers."""
        held = [answer.body.decode("latin-1"), *(value for _, value in answer.head.headers)]
        if self._token and any(self._token in text for text in held):
            raise RemoteUnavailable("its answer holds the token of this pairing")

    def _masked(self, text: str) -> str:
        return text.replace(self._token, "…") if self._token else text

    def _read(self, answer: Answer, kind: type[T]) -> T:
        return read_answer(self.pairing_id, answer, kind)


def _check_ids(ids: Iterable[str]) -> None:
    """What we pass on is for clients of ours, who rely on ids being ids."""
    if any(member_problem(each) is not None for each in ids):
        raise RemoteUnavailable("its list holds something that has no valid id")


class RemoteRefusedCursor(Exception):
    """The remote knows no such place in its list. The text is its own."""


@asynccontextmanager
async def open_remote(settings: PairingSettings, environ: Mapping[str, str]) -> AsyncIterator[RemoteNetwork]:
    """The remote that ``settings`` name. Nothing is connected yet; leaving the block closes what is idle.

    Never fails: what makes it unusable (a CA file that is gone) is what its calls then raise. ``environ`` gives the
    proxy variables.
    """
    async with AsyncExitStack() as stack:
        try:
            http = await stack.enter_async_context(await _http(settings, environ))
        except (BadServerAddress, OSError) as error:
            # ``ssl.SSLError`` is an ``OSError``; its texts name the file at most.
            yield RemoteNetwork(settings.id, None, problem=f"can't be asked: {error}")
        else:
            yield RemoteNetwork(settings.id, http, "" if settings.token is None else settings.token.reveal())


async def _http(settings: PairingSettings, environ: Mapping[str, str]) -> AbstractAsyncContextManager[HttpClient]:
    headers = {"User-Agent": f"moltnet/{__version__}", "Accept": "application/json"}
    if settings.token is not None:
        headers["Authorization"] = f"Bearer {settings.token.reveal()}"
    server = parse_server_address(settings.remote_base_url)
    tls = None if settings.ca_file is None else await trio.to_thread.run_sync(trusting, settings.ca_file)
    guard = AddressGuard(allow_private=_may_be_private(settings, server))
    return open_http(server, headers=headers, environ=environ, tls=tls, guard=guard)


def _may_be_private(settings: PairingSettings, server: ServerAddress) -> bool:
    if settings.allow_private_address is not None:
        return settings.allow_private_address
    return is_named_address(server.host)
