"""``GET /v1/events/stream`` on the fast lane: committed events as server-sent events, straight on the socket.

Who may read what, and what is written, is the same as elsewhere (``moltnet.http.events``). The connection's own task
only notices when the client leaves; the hub moves the stream along (``moltnet.fanout``), so its events are made into
bytes once for all streams.
"""

import math
from contextlib import suppress
from email.utils import formatdate
from typing import Final

import attrs
import trio

from moltnet.attach.link import OneAtATime
from moltnet.auth.claims import Claims
from moltnet.auth.leases import Lease
from moltnet.auth.policy import AuthPolicy
from moltnet.broker import StreamEnded
from moltnet.core.access import Viewer, viewer_of
from moltnet.fanout.frames import Batch, chunk
from moltnet.fanout.reader import Reader
from moltnet.http.call import Call
from moltnet.http.exchange import CLIENT_LEFT, CUT
from moltnet.http.headers import SECURITY
from moltnet.http.streams import CACHE_CONTROL, CONTENT_TYPE, KEEP_ALIVE, OPEN, open_stream
from moltnet.lane.wire import Wire
from moltnet.log import get_logger
from moltnet.protocol import limits
from moltnet.storage.store import StorageError

log = get_logger("events")

_OK: Final = 200
_LAST_CHUNK: Final = b"0\r\n\r\n"
_KEEP_ALIVE: Final = chunk(KEEP_ALIVE)
# What a client says on a stream is of no interest, only that it is there.
_RECEIVE_BYTES: Final = 1 * limits.KIB


async def serve_events_raw(call: Call, wire: Wire) -> None:
    """Check who reads, and stream events to it until it leaves, its lease ends or the server drains.

    What holds for every call has been checked. Raises what refuses a request before anything is written.
    """
    opened = await open_stream(call)
    assert opened is not None  # the lane takes no HEAD
    exchange = call.exchange
    exchange.status = _OK
    stream = WireStream(wire, opened.lease, hub=call.app.hub)
    try:
        wire.write(_head(exchange.request_id))
        stream.write(chunk(OPEN))
        with opened.lease.watched() as stream.scope, suppress(StreamEnded):
            try:
                call.app.hub.admit(stream, opened.position)
                while await wire.receive(_RECEIVE_BYTES):
                    wire.received.clear()
                exchange.ending = CLIENT_LEFT
            finally:
                call.app.hub.drop(stream)
        if exchange.ending:
            return
        if opened.lease.problem:
            log.info("stream ended", reason=opened.lease.problem)
        stream.write(_LAST_CHUNK)
        with trio.move_on_after(limits.CLOSE_SECONDS):
            await stream.flush()
        if wire.unsent_bytes or wire.is_broken:
            exchange.ending = CUT
    finally:
        exchange.answered(_OK, stream.written_bytes)


def _head(request_id: str) -> bytes:
    fields = {
        "Cache-Control": CACHE_CONTROL,
        "Content-Type": CONTENT_TYPE,
        **SECURITY,
        "X-Request-Id": request_id,
        "Date": formatdate(usegmt=True),
        "Transfer-Encoding": "chunked",
    }
    lines = (f"{name.lower()}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {_OK} \r\n{''.join(lines)}\r\n".encode()


@attrs.define(eq=False)
class WireStream(Reader):
    """One reader. What it may see is what its credential may at that moment."""

    _wire: Wire
    _lease: Lease
    written_bytes: int = attrs.field(init=False, default=0)
    scope: trio.CancelScope = attrs.field(init=False, factory=trio.CancelScope)
    _quiet_until: float = attrs.field(init=False, default=-math.inf)
    _has_failed: bool = attrs.field(init=False, default=False)
    _one_flush: OneAtATime = attrs.field(init=False, factory=OneAtATime)
    _seen: Viewer = attrs.field(init=False, factory=Viewer)
    _seen_under: tuple[Claims, AuthPolicy, int] | None = attrs.field(init=False, default=None)

    @property
    def follows_agents(self) -> bool:
        return True

    def look(self) -> Viewer:
        claims, context = self._lease.claims, self.hub.context
        under, agents = self._seen_under, context.directory.agent_changes
        if under is None or under[0] is not claims or under[1] is not context.policy or under[2] != agents:
            self._seen = viewer_of(claims, context.policy, context.directory)
            self._seen_under = (claims, context.policy, agents)
        return self._seen

    def room(self) -> int:
        return 0 if self._has_failed or self._lease.problem else limits.REPLAY_PAGE_EVENTS

    def put(self, batch: Batch) -> bool:
        self.write(batch.chunk)
        return not self._wire.unsent_bytes

    def write(self, data: bytes) -> None:
        """Send a whole chunk. Never waits."""
        self._wire.write(data)
        self.written_bytes += len(data)
        self._quiet_until = trio.current_time() + limits.SSE_KEEP_ALIVE_SECONDS

    async def flush(self) -> None:
        await self._one_flush.until(lambda: not self._wire.unsent_bytes or self._wire.is_broken, self._wire.flush)
        if self._wire.is_broken:
            self._wire.cut()  # so that who waits for the client to leave learns of it

    def fail(self, error: Exception) -> None:
        self._has_failed = True
        if isinstance(error, StorageError):
            log.warning("stream ended", reason=str(error))
        elif not isinstance(error, StreamEnded):
            log.error("stream crashed", exc_info=error)
        self.scope.cancel(reason="the stream has ended")

    def attend(self, now: float) -> float:
        if self._quiet_until <= now + limits.TIMER_SLACK_SECONDS:
            self.write(_KEEP_ALIVE)
            if self._wire.unsent_bytes:
                self.start_flushing()
        return self._quiet_until
