"""``GET /v1/events/stream``: committed events as server-sent events (HTTP API §5).

A stream is a subscription, so one that is read slowly is served from the store and holds no queue here. On the fast
lane the hub moves streams along (``moltnet.lane.events``); who may read what is the same.
"""

from collections.abc import AsyncIterator, Iterator, Sequence

import attrs
import trio
from quart import Blueprint, Response

from moltnet.app import App
from moltnet.auth.leases import Lease
from moltnet.broker import Position, StreamEnded
from moltnet.core.access import can_see, viewer_of
from moltnet.fanout.frames import stream_event
from moltnet.http.current import current_call
from moltnet.http.streams import CACHE_CONTROL, CONTENT_TYPE, KEEP_ALIVE, OPEN, open_stream
from moltnet.log import get_logger
from moltnet.protocol import limits
from moltnet.storage.records import EventRecord
from moltnet.storage.store import StorageError

log = get_logger("events")


def events_routes(app: App) -> Blueprint:
    routes = Blueprint("events", __name__)

    @routes.get("/v1/events/stream")
    async def stream() -> Response:
        opened = await open_stream(current_call())
        return _answer(b"" if opened is None else EventStream(app, opened.lease, opened.position).chunks())

    return routes


def _answer(body: bytes | AsyncIterator[bytes]) -> Response:
    answer = Response(body, content_type=CONTENT_TYPE, headers={"Cache-Control": CACHE_CONTROL})
    # A stream has no end: without this the framework would cut it after a minute.
    answer.timeout = None
    return answer


@attrs.define(eq=False)
class EventStream:
    """One reader. What it may see is decided for each event, so who loses a room loses its events at once.

    The lease ends with the token: at its time, by a reload, or with the agent, whose id may soon be somebody else's.
    """

    app: App
    lease: Lease
    position: Position

    async def chunks(self) -> AsyncIterator[bytes]:
        """Bytes to write, until the server drains or the lease ends. No scope stays open across a ``yield``."""
        yield OPEN
        if self.position.gap is not None:
            yield stream_event(self.position.gap)
        subscription = self.app.broker.subscribe(self.position.seq)
        quiet_until = trio.current_time() + limits.SSE_KEEP_ALIVE_SECONDS
        while True:
            records: Sequence[EventRecord] = ()
            try:
                with self.lease.watched(quiet_until):
                    records = await subscription.receive()
            except StreamEnded:
                return
            except StorageError as error:
                log.warning("stream ended", reason=str(error))
                return
            if self.lease.problem:
                log.info("stream ended", reason=self.lease.problem)
                return
            for chunk in self._chunks(records) if records else (KEEP_ALIVE,):
                yield chunk
                quiet_until = trio.current_time() + limits.SSE_KEEP_ALIVE_SECONDS
            # Once the peer is gone, writing neither waits nor fails: this loop must not keep the others from running.
            await trio.lowlevel.checkpoint()

    def _chunks(self, records: Sequence[EventRecord]) -> Iterator[bytes]:
        """What may be seen of it, many small events at once. Made when it is written: a slow reader holds one chunk."""
        policy, directory = self.app.context.policy, self.app.context.directory
        viewer = viewer_of(self.lease.claims, policy, directory)
        frames, size_bytes = list[bytes](), 0
        for record in records:
            if not can_see(viewer, record, policy, directory):
                continue
            frame = self.app.hub.frames.frame(record).streamed
            if frames and size_bytes + len(frame) > limits.SSE_CHUNK_BYTES:
                yield b"".join(frames)
                frames, size_bytes = [], 0
                # That took a while, maybe.
                if self.lease.problem:
                    return
                policy = self.app.context.policy
                viewer = viewer_of(self.lease.claims, policy, directory)
            frames.append(frame)
            size_bytes += len(frame)
        if frames:
            yield b"".join(frames)
