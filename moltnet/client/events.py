"""The event stream as a client sees it: events in order, resumed after a loss, without end."""

from collections import deque
from http import HTTPStatus
from typing import Self

import attrs
import trio

from moltnet.backoff import backoff_delays
from moltnet.client.answers import check_status
from moltnet.client.errors import ClientError, ServerAnswered, ServerMisbehaved, ServerUnreachable, one_line
from moltnet.client.http import HttpClient, OpenAnswer, Request
from moltnet.client.limits import EVENT_RETRY_BASE_SECONDS, EVENT_RETRY_CAP_SECONDS
from moltnet.client.sse import SseParser, SseTooLarge
from moltnet.protocol.codec import DecodeError, decode
from moltnet.protocol.events import Event

_PATH = "/v1/events/stream"


@attrs.define(eq=False)
class EventStream:
    """``async for event in stream``: every event once, in the server's order, for as long as the caller wants.

    A lost or silent connection is made again after the last event that was handed out, with growing delays and without
    limit: bound the loop with a scope. What the server no longer has shows as an event ``stream.replay_gap``. A
    server that refuses (401, 403, …) ends the iteration with ``ServerAnswered``, a loss before the first event with
    ``ServerUnreachable``. Cancelling it loses nothing; it may be continued.
    """

    _http: HttpClient
    last_event_id: str
    _silence_seconds: float = attrs.field(kw_only=True)
    _answer: OpenAnswer | None = attrs.field(default=None, init=False)
    _parser: SseParser = attrs.field(factory=SseParser, init=False)
    _ready: deque[Event] = attrs.field(factory=deque, init=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        await trio.lowlevel.checkpoint()
        while not self._ready:
            await self._receive_more()
        event = self._ready.popleft()
        self.last_event_id = event.id
        return event

    async def connect(self) -> None:
        """Subscribe. Raises what any call raises; no retry. Failed or cancelled, it is not subscribed."""
        await self.aclose()
        # Begun anew after the last event that was handed out: what waited here comes again.
        self._ready.clear()
        self._parser = SseParser(self.last_event_id)
        headers = [("Accept", "text/event-stream"), ("Cache-Control", "no-cache")]
        if self.last_event_id:
            headers.append(("Last-Event-ID", self.last_event_id))
        self._answer = await self._http.start(Request("GET", _PATH, tuple(headers)))
        try:
            await self._check_head(self._answer)
            # The first bytes come once the server has subscribed us; the head may come before.
            await self._read(self._answer)
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Unsubscribe."""
        answer, self._answer = self._answer, None
        if answer is not None:
            await answer.aclose()

    @property
    def _server(self) -> str:
        return str(self._http.server)

    async def _check_head(self, answer: OpenAnswer) -> None:
        if answer.head.status == HTTPStatus.OK and "text/event-stream" in answer.head.header("content-type"):
            return
        check_status(self._server, await answer.receive_rest())
        raise ServerMisbehaved(self._server, "answered the event stream with something else")

    async def _receive_more(self) -> None:
        if self._answer is not None:
            try:
                await self._read(self._answer)
            except ServerUnreachable:
                await self.aclose()
                if not self.last_event_id:
                    raise  # Nothing to resume after: what happens until the next connection would be missed in silence.
            else:
                return
        await self._reconnect()

    async def _reconnect(self) -> None:
        for delay_seconds in backoff_delays(base_seconds=EVENT_RETRY_BASE_SECONDS, cap_seconds=EVENT_RETRY_CAP_SECONDS):
            try:
                # A server that takes the connection and says nothing would hold us for ever.
                with trio.move_on_after(self._silence_seconds) as connecting:
                    await self.connect()
                if not connecting.cancelled_caught:
                    return
                wait_seconds = delay_seconds
            except ClientError as error:
                if not error.worth_repeating:
                    raise
                asked = error.retry_after_seconds if isinstance(error, ServerAnswered) else None
                wait_seconds = max(delay_seconds, asked or 0.0)
            await trio.sleep(wait_seconds)

    async def _read(self, answer: OpenAnswer) -> None:
        """Take what the connection has next; ``ServerUnreachable`` if it ended or stays silent for too long."""
        with trio.move_on_after(self._silence_seconds) as waiting:
            data = await answer.receive_some()
        if waiting.cancelled_caught:
            raise ServerUnreachable(self._server, f"silent for {self._silence_seconds:g} s")
        if not data:
            raise ServerUnreachable(self._server, "ended the event stream")
        try:
            self._ready.extend(decode(event.data, Event) for event in self._parser.receive(data))
        except (DecodeError, SseTooLarge) as error:
            raise ServerMisbehaved(self._server, f"sent an event that can't be read: {one_line(str(error))}") from error
