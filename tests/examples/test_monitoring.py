"""The example alerts and dashboard: every metric in them is one that a server shows, with labels that it has."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from moltnet.metrics import new_metrics
from tests.docs.pages import doc
from tests.examples.programs import program

EXAMPLES = Path(__file__).parents[2] / "examples" / "monitoring"
ALERTS = yaml.safe_load((EXAMPLES / "alerts.yaml").read_text())["groups"][0]["rules"]
DASHBOARD = json.loads((EXAMPLES / "grafana.json").read_text())

# Of Prometheus itself, and what every time series gets when it is scraped.
ITS_OWN = {"up": {"job", "instance"}}
SCRAPED = {"job", "instance", "le"}
_NAME = re.compile(r"\b((?:moltnet|process|python)_\w+|up)\b(\{[^}]*\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")


def shown() -> dict[str, set[str]]:
    """Every series of a server by name, and its labels."""
    metrics = new_metrics()
    metrics.relay.queues = {"partner": (1, 0, 1.0)}
    metrics.http.ended("GET", "GET /x", 200, 0.1)
    metrics.attach.closed("read_error")
    metrics.attach.refused("invalid_token")
    found: dict[str, set[str]] = dict(ITS_OWN)
    for line in metrics.text()[0].decode().splitlines():
        if match := re.match(r"([a-z_]+)(?:\{(.*)\})? ", line):
            found.setdefault(match[1], set()).update(re.findall(r'(\w+)="', match[2] or ""))
    return found


def expressions() -> Iterator[tuple[str, str]]:
    yield from ((rule["alert"], rule["expr"]) for rule in ALERTS)
    for panel in DASHBOARD["panels"]:
        yield from ((panel["title"], target["expr"]) for target in panel.get("targets", ()))


@pytest.mark.parametrize(("name", "expression"), list(expressions()))
def test_an_expression_asks_for_what_there_is(name: str, expression: str) -> None:
    series = shown()
    used = list(_NAME.findall(expression))
    assert used, name
    for metric, selector in used:
        assert metric in series, f"{name}: there is no {metric}"
        for label in _LABEL.findall(selector):
            assert label in series[metric] | SCRAPED, f"{name}: {metric} has no label {label}"
    grouped = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(", ")}
    assert grouped <= SCRAPED.union(*(series[metric] for metric, _ in used)), name


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    asked = {family(metric) for _, expression in expressions() for metric, _ in _NAME.findall(expression)}
    assert sorted({family(name) for name in shown() if name.startswith("moltnet_")} - asked) == []


def family(series: str) -> str:
    """The histogram that a series is of."""
    return re.sub("_(bucket|sum|count)$", "", series)


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS) >= 10
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("page", "warn")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["action"]


def test_a_label_that_is_compared_has_that_value() -> None:
    page = doc("metrics.md").text
    for name, expression in expressions():
        for label, value in re.findall(r'\b(ending|reason|result|limit|level)=~?"([^"]+)"', expression):
            for word in value.split("|"):
                assert f"`{word}`" in page, f"{name}: {label}={word}"


def test_the_panels_do_not_lie_over_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert taken.isdisjoint(cells), panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_prometheus_is_told_of_the_alerts_and_of_the_job_that_they_name() -> None:
    config = yaml.safe_load((EXAMPLES / "prometheus.yaml").read_text())
    assert config["rule_files"] == ["alerts.yaml"]
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    assert {job for _, expression in expressions() for job in re.findall(r'job="(\w+)"', expression)} == jobs


@pytest.mark.slow
def test_prometheus_takes_the_alerts() -> None:
    promtool = str(program("promtool"))
    check = [promtool, "check", "config", "--syntax-only", str(EXAMPLES / "prometheus.yaml")]
    assert subprocess.run(check, capture_output=True, check=False).returncode == 0
    ran = subprocess.run(
        [promtool, "check", "rules", str(EXAMPLES / "alerts.yaml")], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{len(ALERTS)} rules found" in ran.stdout
