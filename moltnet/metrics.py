"""What a server counts, for Prometheus: every metric with its name, its labels and what is recorded under it.

Each part of the server holds the recorder of its own subject; made without a registry, a recorder counts for nobody.
Every label has a bounded set of values, which docs/metrics.md lists. When something is recorded is decided where it
happens, who may read it and how it is asked for in ``moltnet.http.metrics``.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, Self

import attrs
from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, Info, PlatformCollector
from prometheus_client import Metric as Family
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE_OPENMETRICS
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from moltnet import __version__
from moltnet.log import written_lines
from moltnet.protocol.events import EventType

OTHER: Final = "other"
"""The label of whatever has none of its own."""
UNMATCHED: Final = "unmatched"
"""The route of a request for something that there is not: a path is the caller's to choose, a label is ours."""
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
WAKE_RESULTS: Final = ("delivered", "failed")
WAKE_REASONS: Final = ("dm", "mention")
RELAY_RESULTS: Final = ("success", "error", "dropped")
_QUEUE: Final = (
    ("moltnet_relay_waiting_messages", "Messages that wait to be relayed."),
    ("moltnet_relay_dead_letters", "Messages that a paired network refused for good."),
    ("moltnet_relay_oldest_waiting_seconds", "For how long the oldest of them has waited; 0 if none does."),
)
COMMIT_FAILURES: Final = ("full", "failed", "crashed")
LIMITS: Final = (
    "requests",
    "messages",
    "failed_authentications",
    "registrations",
    "attachments",
    "pending_handshakes",
    "streams",
    "connections",
    "request_bodies",
)
"""What can be too much; ``moltnet.core.admission.Limit`` has the same words."""

# HTTP API §9: dashboards for the reference add up these.
SECONDS_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# A good disk syncs within one of the first three.
COMMIT_SECONDS_BUCKETS: Final = (0.0005, 0.001, 0.0025, *SECONDS_BUCKETS)
BATCH_BUCKETS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

Registry = CollectorRegistry | None


def _of_each(counter: Counter, values: Iterable[str]) -> Mapping[str, Counter]:
    """The counter of each value of its only label: there from the start, and found without prometheus-client."""
    return {value: counter.labels(value) for value in values}


@attrs.define(eq=False)
class HttpMetrics:
    """Requests, event streams and attachments as HTTP sees them: recorded when they end."""

    _requests: Counter
    _seconds: Histogram
    in_progress: int = attrs.field(default=0, init=False)
    streams: int = attrs.field(default=0, init=False)
    # To look a series up takes prometheus-client longer than to count on it.
    _series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = attrs.field(factory=dict, init=False)

    @classmethod
    def on(cls, registry: Registry = None) -> Self:
        http = cls(
            Counter(
                "moltnet_http_requests_total",
                "Requests that have ended.",
                ("method", "route", "status"),
                registry=registry,
            ),
            Histogram(
                "moltnet_http_request_duration_seconds",
                "From the head of a request to the end of its answer, stream or attachment.",
                ("method", "route"),
                buckets=SECONDS_BUCKETS,
                registry=registry,
            ),
        )
        in_progress = Gauge("moltnet_http_requests_in_progress", "Requests that have not ended.", registry=registry)
        in_progress.set_function(lambda: http.in_progress)
        streams = Gauge("moltnet_active_sse_subscribers", "Event streams that are open.", registry=registry)
        streams.set_function(lambda: http.streams)
        return http

    def ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request. ``route`` is a registered pattern or ``UNMATCHED``; a method may be anything."""
        key = (method if method in METHODS else OTHER, route, status)
        series = self._series.get(key)
        if series is None:
            method, route, _ = key
            series = (self._requests.labels(method, route, status), self._seconds.labels(method, route))
            self._series[key] = series
        requests, duration = series
        requests.inc()
        duration.observe(seconds)


@attrs.frozen(eq=False)
class RetentionMetrics:
    """What was removed because it had grown old."""

    _events: Counter
    _messages: Counter

    @classmethod
    def on(cls, registry: Registry = None) -> Self:
        return cls(
            events=Counter("moltnet_pruned_events_total", "Old events that were removed.", registry=registry),
            messages=Counter("moltnet_pruned_messages_total", "Old messages that were removed.", registry=registry),
        )

    def pruned(self, events: int, messages: int) -> None:
        self._events.inc(events)
        self._messages.inc(messages)


@attrs.frozen(eq=False)
class JournalMetrics:
    """The one writer, and whether it can write. ``waiting`` is set when somebody asks."""

    waiting: Gauge
    health: Gauge
    _batches: Histogram
    _seconds: Histogram
    _failures: Mapping[str, Counter]

    @classmethod
    def on(cls, registry: Registry = None) -> Self:
        failures = Counter(
            "moltnet_journal_commit_failures_total", "Commits that failed.", ("reason",), registry=registry
        )
        return cls(
            waiting=Gauge("moltnet_journal_waiting_commands", "Changes that wait for a commit.", registry=registry),
            health=Gauge(
                "moltnet_store_health",
                "Whether the latest commit or readiness probe could write: 1 or 0; 0 before the first.",
                registry=registry,
            ),
            batches=Histogram(
                "moltnet_journal_batch_commands", "Changes in one commit.", buckets=BATCH_BUCKETS, registry=registry
            ),
            seconds=Histogram(
                "moltnet_journal_commit_duration_seconds",
                "How long a commit took, failed ones too.",
                buckets=COMMIT_SECONDS_BUCKETS,
                registry=registry,
            ),
            failures=_of_each(failures, COMMIT_FAILURES),
        )

    def committed(self, commands: int, seconds: float) -> None:
        self._batches.observe(commands)
        self._seconds.observe(seconds)
        self.health.set(1)

    def failed(self, reason: str, seconds: float) -> None:
        """``reason`` is one of ``COMMIT_FAILURES``. A crash is ours and says nothing of the store."""
        self._seconds.observe(seconds)
        self._failures[reason].inc()
        if reason != "crashed":
            self.health.set(0)


@attrs.frozen(eq=False)
class BrokerMetrics:
    """Committed events and their readers. ``newest_seq`` is set when somebody asks."""

    newest_seq: Gauge
    store_reads: Counter
    _published: Mapping[str, Counter]

    @classmethod
    def on(cls, registry: Registry = None) -> Self:
        published = Counter(
            "moltnet_events_published_total", "Events that were committed and published.", ("type",), registry=registry
        )
        return cls(
            newest_seq=Gauge(
                "moltnet_newest_event_seq", "The place of the newest event in the log.", registry=registry
            ),
            store_reads=Counter(
                "moltnet_event_store_reads_total",
                "Times that a reader was behind the events in memory and got the next ones from the store.",
                registry=registry,
            ),
            published=_of_each(published, (*EventType, OTHER)),
        )

    def published(self, event_type: str) -> None:
        self._published.get(event_type, self._published[OTHER]).inc()


@attrs.frozen(eq=False)
class AttachMetrics:
    """Attachments and what they report. The gauges are set when somebody asks."""

    active: Gauge
    pending: Gauge
    reports_waiting: Gauge
    wakes_pending: Gauge
    opened: Counter
    events_dropped: Counter
    _closed: Counter
    _refused: Counter
    _wakes: Mapping[tuple[str, str], Counter]

    @classmethod
    def on(cls, registry: Registry = None) -> Self:
        wakes = Counter(
            "moltnet_wakes_total", "Wakes that were acknowledged, or failed.", ("result", "reason"), registry=registry
        )
        return cls(
            active=Gauge("moltnet_active_attachments", "Agents' attachments that are ready.", registry=registry),
            pending=Gauge("moltnet_pending_attachments", "Handshakes that wait for IDENTIFY.", registry=registry),
            reports_waiting=Gauge(
                "moltnet_waiting_reports", "Presence and wake reports that wait for the journal.", registry=registry
            ),
            wakes_pending=Gauge(
                "moltnet_pending_wakes", "Wakes that were sent to agents and not acknowledged.", registry=registry
            ),
            opened=Counter("moltnet_attachments_opened_total", "Attachments that became ready.", registry=registry),
            events_dropped=Counter(
                "moltnet_events_dropped_total",
                "Presence and wake reports that never reached the log. Messages are never dropped.",
                registry=registry,
            ),
            closed=Counter(
                "moltnet_attachments_closed_total",
                "Attachments that were ready and ended.",
                ("ending",),
                registry=registry,
            ),
            refused=Counter(
                "moltnet_attach_failures_total",
                "Upgrades and handshakes that ended before READY.",
                ("reason",),
                registry=registry,
            ),
            wakes={
                (result, reason): wakes.labels(result, reason) for result in WAKE_RESULTS for reason in WAKE_REASONS
            },
        )

    def closed(self, ending: str) -> None:
        """An attachment ended. ``ending`` is the label that reports of it have."""
        self._closed.labels(ending).inc()

    def refused(self, reason: str) -> None:
        """Somebody did not get in. ``reason`` is an ``ErrorCode``, or names what happened instead of a refusal."""
        self._refused.labels(reason).inc()

    def woken(self, result: str, reason: str) -> None:
        """A wake is settled: one of ``WAKE_RESULTS`` and one of ``WAKE_REASONS``."""
        self._wakes[result, reason].inc()


@attrs.frozen(eq=False)
class LimitMetrics:
    """What was refused because it was too much."""

    _refused: Mapping[str, Counter]

    @classmethod
    def on(cls, registry: Registry = None) -> Self:
        refused = Counter("moltnet_limited_total", "What a limit has refused.", ("limit",), registry=registry)
        return cls(_of_each(refused, LIMITS))

    def refused(self, limit: str) -> None:
        """``limit`` is one of ``LIMITS``."""
        self._refused[limit].inc()


@attrs.frozen(eq=False)
class RuntimeMetrics:
    """The event loop. The gauges are set when somebody asks."""

    tasks: Gauge
    round_seconds: Gauge

    @classmethod
    def on(cls, registry: Registry = None) -> Self:
        return cls(
            Gauge("moltnet_trio_tasks", "Tasks that are alive.", registry=registry),
            Gauge(
                "moltnet_trio_round_seconds",
                "How long a task that was ready waited for its turn, tried once for this scrape.",
                registry=registry,
            ),
        )


@attrs.define(eq=False)
class RelayMetrics(Collector):
    """Tries to relay, by ``RELAY_RESULTS``; ``queues``, by pairing, as ``_QUEUE`` says, is set when somebody asks."""

    relayed: Mapping[str, Counter]
    queues: Mapping[str, tuple[int, int, float]] = attrs.field(factory=dict, init=False)

    @classmethod
    def on(cls, registry: Registry = None) -> Self:
        relayed = Counter("moltnet_relay_total", "Messages relayed to paired networks.", ("result",), registry=registry)
        metrics = cls(_of_each(relayed, RELAY_RESULTS))
        (registry or CollectorRegistry()).register(metrics)
        return metrics

    def collect(self) -> Iterator[Family]:
        for place, (name, what) in enumerate(_QUEUE):
            family = GaugeMetricFamily(name, what, labels=["pairing"])
            for pairing_id, queue in self.queues.items():
                family.add_metric([pairing_id], queue[place])
            yield family


class _LogLines(Collector):
    """The lines that this process has logged, whichever of its networks they are about."""

    def collect(self) -> Iterator[Family]:
        family = CounterMetricFamily("moltnet_log_lines", "Lines that this process has logged.", labels=["level"])
        for level, lines in written_lines().items():
            family.add_metric([level], lines)
        yield family


@attrs.frozen(eq=False)
class _Shown(Collector):
    """A registry without the time at which each series began: as many lines again, which no dashboard reads."""

    registry: CollectorRegistry

    def collect(self) -> Iterator[Family]:
        for family in self.registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


def _process_registry() -> CollectorRegistry:
    """A registry that knows what there is to know of the process."""
    registry = CollectorRegistry()
    Info("moltnet_build", "The version of this server.", registry=registry).info({"version": __version__})
    for collector in (ProcessCollector(registry=None), PlatformCollector(registry=None), _LogLines()):
        registry.register(collector)
    GCCollector(registry=registry)
    return registry


@attrs.frozen(eq=False)
class Metrics:
    """All metrics of one server, in a registry of its own."""

    registry: CollectorRegistry
    http: HttpMetrics
    journal: JournalMetrics
    retention: RetentionMetrics
    broker: BrokerMetrics
    attach: AttachMetrics
    limits: LimitMetrics
    runtime: RuntimeMetrics
    relay: RelayMetrics

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """Everything as it stands, and its content type: OpenMetrics if an ``Accept`` header asks for it.

        Takes milliseconds and reads files of the system, so it belongs into a thread; it may run in any.
        """
        wanted = (kind.split(";")[0].strip().lower() for kind in accept.split(","))
        if "application/openmetrics-text" in wanted:
            text: bytes = generate_openmetrics(_Shown(self.registry))  # type: ignore[no-untyped-call]  # theirs
            return text, CONTENT_TYPE_OPENMETRICS
        return generate_latest(_Shown(self.registry)), CONTENT_TYPE_PLAIN_0_0_4


def new_metrics() -> Metrics:
    """Metrics that have counted nothing yet."""
    registry = _process_registry()
    return Metrics(
        registry=registry,
        http=HttpMetrics.on(registry),
        journal=JournalMetrics.on(registry),
        retention=RetentionMetrics.on(registry),
        broker=BrokerMetrics.on(registry),
        attach=AttachMetrics.on(registry),
        limits=LimitMetrics.on(registry),
        runtime=RuntimeMetrics.on(registry),
        relay=RelayMetrics.on(registry),
    )
