"""``GET /metrics``: the counts of this server for Prometheus (HTTP API §9), and how a route is named in them."""

import functools
import re
import time
from typing import Final

import trio
from quart import Blueprint, Response, request

from moltnet.app import App
from moltnet.config.settings import Scope
from moltnet.http.auth import Gate
from moltnet.protocol import limits
from moltnet.protocol.times import parse_timestamp

_PARAMETER: Final = re.compile(r"<(?:\w+:)?(\w+)>")
_NAMES: Final = {
    "room_id": "roomID",
    "thread_id": "threadID",
    "direct_id": "dmID",
    "agent_id": "agentID",
    "pairing_id": "pairingID",
    "message_id": "messageID",
    "approval_id": "approvalID",
}


def metrics_routes(app: App) -> Blueprint:
    routes = Blueprint("metrics", __name__)
    gate = Gate(app)
    scrapes = trio.CapacityLimiter(limits.CONCURRENT_SCRAPES)

    @routes.get("/metrics")
    async def scrape() -> Response:
        gate.require(Scope.ADMIN)
        if app.peers is None:
            text, content_type = await own_metrics(app, request.headers.get("Accept", ""), limiter=scrapes)
        else:
            text, content_type = await own_metrics(app, limiter=scrapes)
            text = (await app.peers.metrics(text.decode())).encode()
        return Response(text, content_type=content_type)

    return routes


async def own_metrics(app: App, accept: str = "", *, limiter: trio.CapacityLimiter | None = None) -> tuple[bytes, str]:
    """What this process counts, and the type of that text (``Metrics.text``)."""
    await read_gauges(app)
    # The text is made from thousands of series, and the process is asked for its files: not in everybody's way.
    return await trio.to_thread.run_sync(app.metrics.text, accept, limiter=limiter)


async def read_gauges(app: App) -> None:
    """Set the gauges that nobody keeps. Here, because what they count changes between our checkpoints only."""
    metrics = app.metrics
    began = time.perf_counter()
    await trio.lowlevel.checkpoint()
    metrics.runtime.round_seconds.set(time.perf_counter() - began)
    metrics.runtime.tasks.set(trio.lowlevel.current_statistics().tasks_living)
    metrics.journal.waiting.set(app.context.journal.waiting)
    metrics.broker.newest_seq.set(app.broker.newest_seq)
    metrics.attach.active.set(len(app.gateway.registry))
    metrics.attach.pending.set(len(app.gateway.pending))
    metrics.attach.wakes_pending.set(app.gateway.registry.count_pending_wakes())
    metrics.attach.reports_waiting.set(app.gateway.reports.waiting)
    await _read_queues(app)


async def _read_queues(app: App) -> None:
    """How much waits to be relayed; without pairings nobody asks the storage."""
    depths = await app.context.store.outbox_depths() if app.config.pairings else ()
    queues = {pairing.id: (0, 0, 0.0) for pairing in app.config.pairings}
    for depth in depths:
        oldest = depth.oldest_waiting_at
        age_seconds = (app.context.clock() - parse_timestamp(oldest)).total_seconds() if oldest else 0.0
        queues[depth.pairing_id] = (depth.waiting, depth.dead, max(0.0, age_seconds))
    app.metrics.relay.queues = queues


@functools.lru_cache(maxsize=256)  # as many as there are routes
def route_name(method: str, rule: str) -> str:
    """A registered route as the reference names it: ``GET /v1/rooms/{roomID}``. HEAD is part of GET."""
    path = _PARAMETER.sub(lambda parameter: f"{{{_NAMES.get(parameter[1], parameter[1])}}}", rule)
    return f"{'GET' if method == 'HEAD' else method} {path}"
