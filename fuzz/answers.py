"""Invariant: whatever another server answers, a call gives a typed value or one error of ours, and shows no token.

That holds for the networks that we are paired with (``RemoteUnavailable``, ``Refused``), whose ids are ids when they
are passed on, and for event streams, which give the same events however they are cut into pieces.

An input is the name of a call, a line break, and the bytes that come back.
"""

import sys
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, Final, cast

import trio

from fuzz.campaign import Target, main, shape
from moltnet.client.connection import Connection
from moltnet.client.http import Answer, HttpClient, Request
from moltnet.client.sse import SseParser, SseTooLarge
from moltnet.pairing.limits import MAX_REMOTE_ANSWER_BYTES
from moltnet.pairing.remote import Accepted, Refused, RemoteNetwork, RemoteRefusedCursor, RemoteUnavailable
from moltnet.protocol.identity import member_problem
from moltnet.protocol.pages import AgentPage, PageRequest, RoomPage

TOKEN: Final = "PLANTED-SECRET-OF-pairing"
STREAM: Final = "stream"
MAX_SSE_BYTES: Final = 4096
MAX_KIND_CHARACTERS: Final = 40
"""What follows is often the other side's own text, and each would be a kind."""
CALLS: Final[Mapping[str, Callable[[RemoteNetwork], Awaitable[object]]]] = {
    "send": lambda remote: remote.send_message(b'{"id":"m1"}'),
    "network": lambda remote: remote.network(),
    "rooms": lambda remote: remote.rooms(PageRequest(limit=10, after="general")),
    "agents": lambda remote: remote.agents(PageRequest(limit=10)),
}
TOKENS: Final = tuple(
    token.encode()
    for token in (
        *(f"{call}\n" for call in (*CALLS, STREAM)),
        *(
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 202 Accepted\r\n",
            "HTTP/1.1 404 Not Found\r\n",
            "HTTP/1.1 429 Too Many\r\n",
        ),
        *("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 307 There\r\n", "HTTP/1.1 500 x\r\n", "HTTP/1.0 200 OK\r\n"),
        *("Content-Length: 2\r\n", "Transfer-Encoding: chunked\r\n", "Content-Encoding: gzip\r\n", "\r\n", "0\r\n\r\n"),
        *("Location: http://u:p@x/y?z\r\n", "Retry-After: 5\r\n", "Retry-After: Fri, 01 Jan 2027 00:00:00 GMT\r\n"),
        *('{"message_id":"m1","event_id":"evt_1","accepted":true}', '{"error":"no","code":"room_not_found"}', TOKEN),
        *('"rooms":[', '"agents":[', '"id":', '"page":{"has_more":true}', "{", "}", "[", "]", "null", "data: ", "id: "),
        *("event: ", "\n", "\n\n", "\r", "\ufeff", ": "),
    )
)


def check(data: bytes) -> Hashable:
    """Raises if an answer breaks the invariant; otherwise says what it was taken for."""
    name, _, answer = data.partition(b"\n")
    call = name.decode(errors="replace")
    if call == STREAM:
        return _kind_of_stream(answer)
    if call not in CALLS:
        return "no call"
    return call, *trio.run(_kind_of_answer, CALLS[call], answer)


async def _kind_of_answer(call: Callable[[RemoteNetwork], Awaitable[object]], data: bytes) -> tuple[Hashable, ...]:
    remote = RemoteNetwork("b", cast("HttpClient", _Wire(data)), TOKEN)
    try:
        value = await call(remote)
    except RemoteUnavailable as error:
        if TOKEN in str(error) or not error.reason or "\n" in error.reason:
            raise AssertionError(f"{error.reason!r} is no line, or shows the token") from error
        if error.retry_after_seconds is not None and not error.retry_after_seconds >= 0:
            raise AssertionError(f"wait {error.retry_after_seconds} s") from error
        return "unavailable", shape(error.reason)[:MAX_KIND_CHARACTERS]
    except RemoteRefusedCursor as error:
        return "cursor refused", TOKEN in str(error)
    if TOKEN in repr(value):
        raise AssertionError("the answer holds our token and was taken")
    if isinstance(value, RoomPage | AgentPage):
        entries: tuple[Any, ...] = value.rooms if isinstance(value, RoomPage) else value.agents
        if any(member_problem(entry.id) is not None for entry in entries):
            raise AssertionError("what is no id is passed on")
        return type(value).__name__, min(len(entries), 3), value.page.has_more
    if isinstance(value, Refused) and not 400 <= value.status < 500:
        raise AssertionError(f"{value.status} is taken for a refusal")
    return type(value).__name__, isinstance(value, Accepted)


class _Wire:
    """In place of a client: every exchange is answered with the same bytes, and then the connection ends."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def exchange(self, request: Request, *, max_bytes: int) -> Answer:
        assert max_bytes == MAX_REMOTE_ANSWER_BYTES
        connection = Connection("b.example", cast("trio.socket.SocketType", None), _Pieces(self._data))
        headers = [("Host", "b.example"), ("Content-Length", str(len(request.body)))]
        await connection.send_request(request.method, request.path, headers, request.body)
        head = await connection.receive_head()
        return Answer(head, await connection.receive_body(max_bytes))


class _Pieces(trio.abc.Stream):
    """Gives what it has in small pieces; takes everything."""

    def __init__(self, data: bytes, size_bytes: int = 1000) -> None:
        self._pieces = [data[start : start + size_bytes] for start in range(0, len(data), size_bytes)][::-1]

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        return self._pieces.pop() if self._pieces else b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


def _kind_of_stream(data: bytes) -> Hashable:
    whole, in_pieces = SseParser(max_bytes=MAX_SSE_BYTES), SseParser(max_bytes=MAX_SSE_BYTES)
    try:
        events = whole.receive(data)
        for start in range(len(data)):
            for event in in_pieces.receive(data[start : start + 1]):
                if not events or event != events[0]:
                    raise AssertionError(f"in pieces it is {event}, whole {events[:1]}")
                events.pop(0)
    except SseTooLarge:
        return STREAM, "too large"
    if events or whole.last_id != in_pieces.last_id:
        raise AssertionError(f"in pieces {events} are missing")
    return STREAM, bool(whole.last_id), bool(events)


TARGET: Final = Target("answers", check, TOKENS)

if __name__ == "__main__":
    sys.exit(main([TARGET]))
