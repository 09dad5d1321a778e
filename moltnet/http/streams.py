"""Who may read the event stream, and from where on: the same for every way to serve it. No framework in here."""

from typing import Final

import attrs

from moltnet.app import App
from moltnet.auth.leases import Lease, Suffices
from moltnet.broker import Position
from moltnet.core.access import viewer_of
from moltnet.http.call import READ, Call
from moltnet.http.entrance import require_origin
from moltnet.protocol.ids import is_id

CONTENT_TYPE: Final = "text/event-stream"
CACHE_CONTROL: Final = "no-cache"
# Comments: that the stream is there, and that it is still there.
OPEN: Final = b": stream-open\n\n"
KEEP_ALIVE: Final = b": keep-alive\n\n"


@attrs.frozen
class Opened:
    """A stream that was let in, and its place in the log."""

    lease: Lease
    position: Position


async def open_stream(call: Call) -> Opened | None:
    """Check who reads, and that there is a place for it; it has that until the exchange ends. ``None`` for a HEAD.

    Raises ``Refused``, ``StorageError``.
    """
    app, exchange = call.app, call.exchange
    require_origin(app, call.headers.get(b"origin"), call.client)
    claims, _ = call.reader(*READ)
    if call.method != "HEAD":
        exchange.held.enter_context(app.admission.stream(claims, call.client.source))
    position = await app.broker.locate(_cursor(call), app.context.clock())
    if call.method == "HEAD":
        return None
    exchange.begin_stream()
    return Opened(call.lease(claims, _sees_something(app)), position)


def _sees_something(app: App) -> Suffices:
    return lambda claims: not viewer_of(claims, app.context.policy, app.context.directory).sees_nothing


def _cursor(call: Call) -> str:
    """The event to resume after: an unusable header falls through to the query, an unusable query to live."""
    candidates = (call.headers.get(b"last-event-id") or "", call.args.get("last_event_id", ""))
    return next((cursor.strip() for cursor in candidates if is_id(cursor.strip())), "")
