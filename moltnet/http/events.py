"""``GET /v1/events/stream``: committed events as server-sent events (HTTP API §5).

A stream is a subscription, so one that is read slowly is served from the store and holds no queue here.
"""

from collections.abc import AsyncIterator, Iterator, Sequence

import attrs
import trio
from quart import Blueprint, Response, request

from moltnet.app import App
from moltnet.auth.leases import Lease, Suffices
from moltnet.broker import Position, StreamEnded
from moltnet.core.access import can_see, viewer_of
from moltnet.http.auth import Gate, require_origin
from moltnet.http.exchange import exchange_of
from moltnet.http.rooms import READ
from moltnet.log import get_logger
from moltnet.protocol import limits
from moltnet.protocol.ids import is_id
from moltnet.storage.records import EventRecord
from moltnet.storage.store import StorageError

log = get_logger("events")
KEEP_ALIVE = b": keep-alive\n\n"


def events_routes(app: App) -> Blueprint:
    routes = Blueprint("events", __name__)
    gate = Gate(app)

    @routes.get("/v1/events/stream")
    async def stream() -> Response:
        exchange = exchange_of(request.scope)
        require_origin(app, request.headers.get("Origin"), exchange.client)
        claims, _ = gate.reader(*READ)
        if request.method != "HEAD":
            exchange.held.enter_context(app.admission.stream(claims, exchange.client.source))
        position = await app.broker.locate(_cursor(), app.context.clock())
        if request.method == "HEAD":
            return _answer(b"")
        exchange.begin_stream()
        return _answer(EventStream(app, gate.lease(claims, _sees_something(app)), position).chunks())

    return routes


def _sees_something(app: App) -> Suffices:
    return lambda claims: not viewer_of(claims, app.context.policy, app.context.directory).sees_nothing


def _answer(body: bytes | AsyncIterator[bytes]) -> Response:
    answer = Response(body, content_type="text/event-stream", headers={"Cache-Control": "no-cache"})
    # A stream has no end: without this the framework would cut it after a minute.
    answer.timeout = None
    return answer


def _cursor() -> str:
    """The event to resume after: an unusable header falls through to the query, an unusable query to live."""
    candidates = (request.headers.get("Last-Event-ID", ""), request.args.get("last_event_id", ""))
    return next((cursor.strip() for cursor in candidates if is_id(cursor.strip())), "")


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
        yield b": stream-open\n\n"
        if self.position.gap is not None:
            yield _frame(self.position.gap)
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
            frame = _frame(record)
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


def _frame(record: EventRecord) -> bytes:
    return f"id: {record.id}\nevent: {record.type}\ndata: ".encode() + record.wire + b"\n\n"
