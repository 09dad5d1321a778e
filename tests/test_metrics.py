"""What is counted, under which names, and that nobody outside can make the list longer."""

import io
import re
from collections.abc import Iterator

import pytest
import trio
import trio.testing
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from moltnet import __version__
from moltnet.attach import registry
from moltnet.attach.delivery import AttachedAgent, Reporter
from moltnet.attach.registry import Dismissal
from moltnet.attach.reports import open_reports
from moltnet.journal import open_journal
from moltnet.log import configure, get_logger
from moltnet.metrics import (
    COMMIT_FAILURES,
    LIMITS,
    METHODS,
    OTHER,
    RELAY_RESULTS,
    SECONDS_BUCKETS,
    UNMATCHED,
    WAKE_REASONS,
    WAKE_RESULTS,
    BrokerMetrics,
    HttpMetrics,
    JournalMetrics,
    Metrics,
    new_metrics,
)
from moltnet.protocol import limits
from moltnet.protocol.events import EventType
from moltnet.protocol.identity import agent_fqid
from moltnet.protocol.times import Timestamp
from moltnet.storage.commands import RecordEvents
from moltnet.storage.store import StorageError, StorageFull
from tests.docs.pages import ROOT, doc
from tests.expected_errors import ExpectedErrors
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.network import NETWORK

Labels = dict[str, str]

# HTTP API §9: what dashboards for the reference ask for.
REFERENCE = {
    "moltnet_http_requests_total": ("counter", {"method", "route", "status"}),
    "moltnet_http_request_duration_seconds": ("histogram", {"method", "route"}),
    "moltnet_active_attachments": ("gauge", set()),
    "moltnet_active_sse_subscribers": ("gauge", set()),
    "moltnet_relay_total": ("counter", {"result"}),
    "moltnet_events_dropped_total": ("counter", set()),
    "moltnet_store_health": ("gauge", set()),
}


def used_metrics() -> Metrics:
    """Metrics in which every label has been used once."""
    metrics = new_metrics()
    metrics.http.ended("GET", "GET /v1/rooms", 200, 0.1)
    metrics.attach.closed("client_closed")
    metrics.attach.refused("invalid_token")
    metrics.relay.queues = {"partner": (0, 0, 0.0)}
    return metrics


def shown(metrics: Metrics) -> dict[str, tuple[str, set[str]]]:
    """Every metric by its name: its type and the labels that it has."""
    found = {}
    for family in text_string_to_metric_families(metrics.text()[0].decode()):
        # The text has a counter's whole name, the parser drops its ending.
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = (family.type, {label for sample in family.samples for label in sample.labels} - {"le"})
    return found


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_the_names_types_and_labels_are_those_of_the_reference() -> None:
    found = shown(used_metrics())
    assert {name: found[name] for name in REFERENCE} == REFERENCE


def test_the_buckets_are_those_of_the_reference() -> None:
    text = used_metrics().text()[0].decode()
    buckets = re.findall(r'^moltnet_http_request_duration_seconds_bucket\{le="([^"]+)"', text, re.MULTILINE)
    assert [float(bucket) for bucket in buckets] == [
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, float("inf")
    ]  # fmt: skip
    assert len(SECONDS_BUCKETS) == len(buckets) - 1


def test_names_follow_the_conventions_of_prometheus() -> None:
    for name, (kind, _) in shown(used_metrics()).items():
        assert re.fullmatch(r"(moltnet|process|python)_[a-z0-9_]+", name)
        assert name.endswith("_total") is (kind == "counter"), name
        assert not re.search(r"_(ms|milliseconds|kb|kib|mb|minutes)(_|$)", name), name


def test_results_are_there_before_they_have_happened() -> None:
    """A rate over something that appears with its first failure misses that failure."""
    metrics = new_metrics()
    assert [value(metrics, "moltnet_relay_total", result=result) for result in RELAY_RESULTS] == [0, 0, 0]
    assert value(metrics, "moltnet_journal_commit_failures_total", reason="full") == 0
    assert value(metrics, "moltnet_events_published_total", type="message.created") == 0
    assert value(metrics, "moltnet_wakes_total", result="failed", reason="dm") == 0
    assert value(metrics, "moltnet_store_health") == 0


def test_the_version_is_shown() -> None:
    assert value(new_metrics(), "moltnet_build_info", version=__version__) == 1


def test_two_servers_in_one_process_do_not_share_their_counts() -> None:
    one, other = new_metrics(), new_metrics()
    one.http.ended("GET", "GET /v1/rooms", 200, 0.1)
    labels = {"method": "GET", "route": "GET /v1/rooms", "status": "200"}
    assert (
        value(one, "moltnet_http_requests_total", **labels),
        value(other, "moltnet_http_requests_total", **labels),
    ) == (1, None)


def test_a_recorder_without_a_registry_counts_for_nobody() -> None:
    HttpMetrics.on().ended("GET", UNMATCHED, 404, 0.1)
    BrokerMetrics.on().published(EventType.MESSAGE_CREATED)
    JournalMetrics.on().failed("full", 0.1)


class TestRequests:
    def test_they_are_counted_and_timed(self) -> None:
        metrics = new_metrics()
        for status, seconds in ((200, 0.004), (200, 0.3), (503, 20)):
            metrics.http.ended("GET", "GET /readyz", status, seconds)
        labels = {"method": "GET", "route": "GET /readyz"}
        assert value(metrics, "moltnet_http_requests_total", **labels, status="200") == 2
        assert value(metrics, "moltnet_http_requests_total", **labels, status="503") == 1
        duration = "moltnet_http_request_duration_seconds"
        assert value(metrics, f"{duration}_count", **labels) == 3
        assert value(metrics, f"{duration}_sum", **labels) == pytest.approx(20.304)
        assert value(metrics, f"{duration}_bucket", **labels, le="0.005") == 1
        assert value(metrics, f"{duration}_bucket", **labels, le="10.0") == 2

    def test_a_method_that_nobody_knows_is_one_of_the_others(self) -> None:
        metrics = new_metrics()
        for number in range(100):
            metrics.http.ended(f"BREW{number}", UNMATCHED, 404, 0.1)
        labels = {"method": OTHER, "route": UNMATCHED, "status": "404"}
        assert value(metrics, "moltnet_http_requests_total", **labels) == 100
        assert len(metrics.http._series) == 1

    def test_gauges_follow_what_is_open(self) -> None:
        metrics = new_metrics()
        metrics.http.in_progress, metrics.http.streams = 3, 2
        assert value(metrics, "moltnet_http_requests_in_progress") == 3
        assert value(metrics, "moltnet_active_sse_subscribers") == 2


class TestTheJournal:
    async def test_commits_are_counted_with_their_size_and_time(self) -> None:
        metrics = new_metrics()
        async with open_journal(FaultyStore(), lambda committed: None, metrics.journal) as journal:
            await journal.commit(RecordEvents(()))
            await journal.commit(RecordEvents(()))
        assert value(metrics, "moltnet_journal_batch_commands_sum") == 2
        assert value(metrics, "moltnet_journal_commit_duration_seconds_count") == 2
        assert value(metrics, "moltnet_store_health") == 1

    @pytest.mark.parametrize(("error", "reason"), [(StorageFull("full"), "full"), (StorageError("gone"), "failed")])
    async def test_a_failed_commit_makes_the_store_unwell_until_the_next_one(
        self, error: StorageError, reason: str
    ) -> None:
        metrics, store = new_metrics(), FaultyStore()
        async with open_journal(store, lambda committed: None, metrics.journal) as journal:
            store.failures.append(error)
            with pytest.raises(StorageError):
                await journal.commit(RecordEvents(()))
            assert value(metrics, "moltnet_store_health") == 0
            assert value(metrics, "moltnet_journal_commit_failures_total", reason=reason) == 1
            await journal.commit(RecordEvents(()))
            assert value(metrics, "moltnet_store_health") == 1

    async def test_a_crash_is_ours_and_says_nothing_of_the_store(self, expected_errors: ExpectedErrors) -> None:
        def choke(commands: object) -> None:
            raise ZeroDivisionError

        metrics, store = new_metrics(), FaultyStore()
        async with open_journal(store, lambda committed: None, metrics.journal) as journal:
            await journal.commit(RecordEvents(()))
            store.refuse = choke
            with pytest.raises(StorageError):
                await journal.commit(RecordEvents(()))
        expected_errors.take("commit crashed")
        assert value(metrics, "moltnet_store_health") == 1
        assert value(metrics, "moltnet_journal_commit_failures_total", reason="crashed") == 1

    async def test_what_waits_is_told(self) -> None:
        store = FaultyStore()
        async with open_journal(store, lambda committed: None) as journal, trio.open_nursery() as nursery:
            store.hold()
            for _ in range(4):
                nursery.start_soon(journal.commit, RecordEvents(()))
            await trio.testing.wait_all_tasks_blocked()
            waiting = journal.waiting
            store.release()
        assert (waiting, journal.waiting) == (4 - len(store.batches[0]), 0)


class TestReports:
    async def test_those_that_do_not_reach_the_log_are_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "MAX_QUEUED_REPORTS", 2)
        metrics, store = new_metrics(), FaultyStore()
        agent = AttachedAgent(NETWORK, "alpha", agent_fqid(NETWORK, "alpha"), "")
        reporter = Reporter(agent, lambda: Timestamp("2026-01-02T03:04:05Z"))
        async with (
            open_journal(store, lambda committed: None) as journal,
            open_reports(journal, metrics.attach) as reports,
        ):
            store.hold()
            store.failures.append(StorageError("hiccup"))
            reports.add(reporter.connected())
            await trio.testing.wait_all_tasks_blocked()  # it is being written, and will be lost
            for _ in range(5):
                reports.add(reporter.connected())
            assert reports.waiting == 2
            assert value(metrics, "moltnet_events_dropped_total") == 3
            store.release()
        assert value(metrics, "moltnet_events_dropped_total") == 4
        assert len(await store.events_after(0, 10)) == 2


class TestEvents:
    def test_they_are_counted_by_type(self) -> None:
        collected = CollectorRegistry()
        metrics = BrokerMetrics.on(collected)
        for event_type in (EventType.MESSAGE_CREATED, EventType.MESSAGE_CREATED, "message.edited", "x"):
            metrics.published(event_type)
        name = "moltnet_events_published_total"
        assert collected.get_sample_value(name, {"type": "message.created"}) == 2
        assert collected.get_sample_value(name, {"type": OTHER}) == 2
        (family,) = (family for family in collected.collect() if family.name == "moltnet_events_published")
        assert len({sample.labels["type"] for sample in family.samples}) == len(EventType) + 1


class TestLogLines:
    def test_they_are_counted_by_level_when_they_are_written(self, expected_errors: ExpectedErrors) -> None:
        metrics = new_metrics()

        def written(level: str) -> float:
            return value(metrics, "moltnet_log_lines_total", level=level) or 0

        levels = ("debug", "info", "warning", "error")
        before = {level: written(level) for level in levels}
        configure(stream=io.StringIO(), level="info")
        for level in levels:
            getattr(get_logger("test"), level)("one line")
        expected_errors.take("one line")
        assert [written(level) - before[level] for level in levels] == [0, 1, 1, 1]


class TestTheText:
    def test_it_is_the_text_format_unless_openmetrics_is_asked_for(self) -> None:
        metrics = used_metrics()
        for accept in ("", "*/*", "text/plain;version=0.0.4", "text/plain;version=1.0.0;escaping=allow-utf-8"):
            text, content_type = metrics.text(accept)
            assert content_type == "text/plain; version=0.0.4; charset=utf-8"
            assert not text.endswith(b"# EOF\n")
        for accept in (
            "application/openmetrics-text",
            "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.4",
            "application/openmetrics-text;version=x;escaping=y",
        ):
            text, content_type = metrics.text(accept)
            assert content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
            assert text.endswith(b"# EOF\n")

    @pytest.mark.parametrize("accept", ["", "application/openmetrics-text"])
    def test_it_does_not_tell_when_each_series_began(self, accept: str) -> None:
        assert b"_created" not in re.sub(rb'"[^"]*"', b"", used_metrics().text(accept)[0])


def described() -> Iterator[tuple[str, str, set[str]]]:
    """Name, type and labels of every metric that docs/metrics.md has a row for."""
    for row in re.findall(r"^\| (`(?:moltnet|process|python)_.*) \|$", doc("metrics.md").text, re.MULTILINE):
        names, kind, labels, _ = re.split(r" *\| *", row, maxsplit=3)
        for name in re.findall(r"`([^`]+)`", names):
            yield name, kind, set(re.findall(r"`([^`]+)`", labels))


class TestTheDocumentation:
    def test_it_has_exactly_the_metrics_that_exist(self) -> None:
        documented = {name: (kind, labels) for name, kind, labels in described()}
        assert documented == shown(used_metrics())

    def test_it_has_every_value_of_every_label(self) -> None:
        text = doc("metrics.md").text
        code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "moltnet" / "attach").glob("*.py"))
        endings = {
            *re.findall(r'ending\.set\(\s*"(\w+)"', code),
            *re.findall(r'label: str = "(\w+)"', code),
            *re.findall(r'label = \{1000: "(\w+)", 1001: "(\w+)"\}', code)[0],
            *(each.label for each in vars(registry).values() if isinstance(each, Dismissal)),
        }
        assert len(endings) >= 9
        outcomes = {*WAKE_RESULTS, *WAKE_REASONS, *RELAY_RESULTS, *COMMIT_FAILURES, *LIMITS}
        words = {*endings, *outcomes, *METHODS, OTHER, UNMATCHED}
        assert [word for word in sorted(words) if f"`{word}`" not in text] == []
