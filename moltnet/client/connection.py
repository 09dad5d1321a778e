"""One connection that speaks HTTP/1.1: h11 over a Trio stream, one request and one answer at a time.

Where connections come from is ``dialing``, which of them is used and kept is ``http``.
"""

import attrs
import h11
import trio

from moltnet.client.errors import AnswerTooLarge, ServerMisbehaved, ServerUnreachable, one_line
from moltnet.client.limits import MAX_HEAD_BYTES, MAX_INFORMATIONAL_ANSWERS, RECEIVE_BYTES


@attrs.frozen
class Head:
    """Status and headers of an answer; names are lower-case."""

    status: int
    headers: tuple[tuple[str, str], ...]

    def header(self, name: str) -> str:
        """The first value of a header, by its lower-case name; empty if there is none."""
        return next((value for key, value in self.headers if key == name), "")


@attrs.define(eq=False)
class Connection:
    """A stream in use by one task.

    Each method is cancelled or fails at the cost of the connection: close it then, its state is unknown. The
    exception is ``receive_data``, which may be called again after it was cancelled.
    """

    server: str
    """How errors name the other side."""
    socket: trio.socket.SocketType
    _stream: trio.abc.Stream
    _http: h11.Connection = attrs.field(
        factory=lambda: h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES), init=False
    )
    answer_begun: bool = attrs.field(default=False, init=False)
    """Whether any byte arrived since the last request was sent."""
    _sent_whole: bool = attrs.field(default=True, init=False)
    _ended: bool = attrs.field(default=False, init=False)

    async def send_request(self, method: str, target: str, headers: list[tuple[str, str]], body: bytes) -> None:
        """Send one request, whole. A peer that stops reading may still have answered: that is no error here."""
        self.answer_begun = False
        events = [h11.Request(method=method, target=target, headers=headers), h11.Data(body), h11.EndOfMessage()]
        data = b"".join(self._http.send(event) or b"" for event in events)
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError:
            self._sent_whole = False

    async def receive_head(self) -> Head:
        """The answer's status and headers; informational (1xx) answers before it are skipped.

        Raises:
            ServerUnreachable: the connection ended first.
            ServerMisbehaved: what came is not HTTP.
        """
        for _ in range(MAX_INFORMATIONAL_ANSWERS + 1):
            event = await self._next_event()
            if isinstance(event, h11.Response):
                fields = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)
                return Head(event.status_code, fields)
        raise ServerMisbehaved(self.server, f"sent more than {MAX_INFORMATIONAL_ANSWERS} informational answers")

    async def receive_data(self) -> bytes:
        """The next piece of the answer's body, as it arrives; empty at its end. Raises as ``receive_head`` does."""
        event = await self._next_event()
        # Of the events that can follow a head only data has content; the rest means the end.
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    async def receive_body(self, max_bytes: int) -> bytes:
        """The rest of the body. Raises ``AnswerTooLarge`` as soon as more than ``max_bytes`` came."""
        pieces: list[bytes] = []
        length = 0
        while piece := await self.receive_data():
            length += len(piece)
            if length > max_bytes:
                raise AnswerTooLarge(self.server, max_bytes)
            pieces.append(piece)
        return b"".join(pieces)

    def prepare_next(self) -> bool:
        """After a complete answer: whether the connection can carry another request."""
        if not self._sent_whole or self._ended or self._http.trailing_data[0]:
            return False
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    def is_quiet(self) -> bool:
        """Whether nothing arrived while idle: a server that closed, or speaks unasked, is not quiet."""
        return not self.socket.is_readable()

    async def aclose(self) -> None:
        """Close at once, cancelled or not. No TLS goodbye: nobody waits for it."""
        await trio.aclose_forcefully(self._stream)

    async def _next_event(self) -> h11.Event:
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                if self._ended:
                    raise ServerUnreachable(
                        self.server, "ended the connection before its answer was complete", request_sent=True
                    ) from error
                raise ServerMisbehaved(
                    self.server, f"does not speak HTTP as expected: {one_line(str(error))}"
                ) from error
            if event is h11.NEED_DATA:
                await self._receive()
            elif isinstance(event, h11.Event):
                return event
            else:  # h11 pauses after an answer and after an upgrade: who asks for more now has not read the end.
                raise ServerMisbehaved(self.server, "changed the protocol unasked")

    async def _receive(self) -> None:
        try:
            data = await self._stream.receive_some(RECEIVE_BYTES)
        except trio.BrokenResourceError as error:
            raise ServerUnreachable(self.server, "the connection broke", request_sent=True) from error
        self.answer_begun = self.answer_begun or bool(data)
        self._ended = not data
        self._http.receive_data(bytes(data))
