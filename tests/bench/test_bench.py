"""Each benchmark in a tiny configuration: it runs, and says what it should. No number is judged."""

import json
import math
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest

from tests.bench import __main__ as program
from tests.bench import report
from tests.bench.benchmark import Benchmark, Case, run_benchmark
from tests.bench.contestants import BARE_ASGI, Contestant, Running, contestant
from tests.bench.measurement import Figure, Load
from tests.bench.processes import LoadFailed, open_generator
from tests.bench.rows.stages import Served, open_served
from tests.bench.servers import Target
from tests.bench.settings import TINY, Settings
from tests.bench.table import BENCHMARKS
from tests.fakes.network import open_test_server
from tests.fakes.postgres import PostgresServer

pytestmark = pytest.mark.slow

TWO_TURNS = attrs.evolve(TINY, turns=2, starts=2)
SELF = contestant("self")
# A foreign server for all that is known of it: it gets only what all implementations understand.
COMMAND = contestant(f"other={sys.executable} -P -m moltnet.cli.main start")
SHOWN = {
    "send": ["send ×1", "send ×2"],
    "fanout": ["3 attachments, burst", "3 attachments, one post at a time"],
    "crowd": ["4 attachments, burst", "4 attachments, one post at a time"],
    "stuck": ["3 attachments beside 1 that do not read, burst"],
    "attach": ["4 handshakes at once"],
    "idle": ["of 6 handshakes in 20 s", "idle attachments"],
    "history": ["history ×1", "history ×8"],
    "mixed": ["2 writers + 1 readers, written", "2 writers + 1 readers, read", "2 writers + 1 readers, both"],
    "sse": ["3 event streams, burst"],
    "resume": ["resume of 10 events"],
    "replay": ["resume of 10 events after a restart"],
    "relay": [
        "relay backlog of 1 room", "plain posts there ×1", "relay backlog of 16 rooms", "plain posts there ×8",
    ],
    "node": [
        "node with 2 attachments, all attached", "node with 2 attachments, idle",
        "node with 2 attachments, events that wake nobody",
    ],
    "start": ["cold start, and memory then"],
    "memory": ["memory after 200 messages"],
    "commits": ["commits of 1", "commits of 8", "commits of 64", "commits of 512"],
    "reads": [
        "page of 100 messages", "page of 100 messages beside a writer",
        "replay of 256 events", "replay of 256 events beside a writer",
    ],
}  # fmt: skip
ANY_SERVER = ["send", "fanout", "crowd", "attach", "history", "mixed", "sse"]
WITH_MEMORY = {"idle": "of 6 handshakes in 20 s", "start": "cold start, and memory then", "memory": "memory after"}


def check(name: str, figures: Sequence[Figure]) -> None:
    assert list(report.by_case(figures)) == SHOWN[name]
    for figure in figures:
        assert not figure.failure
        assert figure.turns
        for load in figure.turns:
            assert load.amount > 0
            assert load.seconds > 0
            assert load.latency_ms(50) <= load.latency_ms(99) * (1 + 1e-9) or not load.latencies_ms
            # So little CPU time may be less than one tick of its clock.
            assert load.server_cpu_seconds >= 0 or math.isnan(load.server_cpu_seconds)
            assert load.load_cpu_seconds >= 0 or math.isnan(load.load_cpu_seconds)
    assert report.table("shown", figures).row_count == len(report.as_json(figures)) == len(figures)


def test_every_benchmark_is_tried_here() -> None:
    assert set(SHOWN) == set(BENCHMARKS)


@pytest.mark.parametrize("name", SHOWN)
async def test_a_benchmark_measures_a_server_of_its_own(name: str) -> None:
    figures = await run_benchmark(BENCHMARKS[name], [SELF], TINY)
    check(name, figures)
    expected = [] if BENCHMARKS[name].alone else ["self"]
    expected += [each.name for each in BENCHMARKS[name].ceilings]
    assert list(dict.fromkeys(figure.server for figure in figures)) == expected
    if name in WITH_MEMORY:
        (found,) = {
            figure.case: figure.middle(report.memory)
            for figure in figures
            if figure.server == "self" and figure.case.startswith(WITH_MEMORY[name])
        }.values()
        assert found > 0


@pytest.mark.parametrize("name", ["send", "idle", "start"])
async def test_two_servers_take_turns(name: str) -> None:
    figures = await run_benchmark(BENCHMARKS[name], [SELF, COMMAND], TWO_TURNS)
    check(name, figures)
    for case in report.by_case(figures).values():
        reference = report.reference_of(case)
        assert reference is not None
        assert reference.server == "other"
        ratio = case[0].ratio(reference, report.rate)
        assert ratio is not None
        assert 0 < ratio.least <= ratio.middle <= ratio.most


@pytest.mark.parametrize("name", ANY_SERVER)
async def test_a_benchmark_measures_a_server_that_is_running(name: str) -> None:
    benchmark = attrs.evolve(BENCHMARKS[name], ceilings=())
    async with open_test_server() as server:
        unseen = await run_benchmark(benchmark, [Running("unseen", server.url)], TINY)
        check(name, unseen)
        assert all(math.isnan(figure.middle(report.cpu)) for figure in unseen)
        seen = await run_benchmark(benchmark, [Running("seen", server.url, pid=os.getpid())], TINY)
        assert any(figure.middle(report.cpu) >= 0 for figure in seen)


async def test_what_needs_a_server_of_its_own_leaves_a_running_one_out() -> None:
    running = Running("running", "http://127.0.0.1:1")
    can = [name for name, benchmark in BENCHMARKS.items() if benchmark.takes(running)]
    assert can == [name for name in BENCHMARKS if name in {*ANY_SERVER, "stuck", "idle"}]
    assert not BENCHMARKS["relay"].takes(COMMAND)


async def test_postgres_is_measured_like_sqlite(postgres_server: PostgresServer) -> None:
    settings = attrs.evolve(TINY, storage="postgres", postgres=postgres_server)
    check("start", await run_benchmark(BENCHMARKS["start"], [SELF], settings))


@asynccontextmanager
async def served(contestant: Contestant, settings: Settings) -> AsyncIterator[Served]:
    async with open_served(contestant, settings) as target:
        yield Served(target, settings)


async def test_a_server_that_fails_is_a_finding_and_the_others_go_on() -> None:
    async def post(stage: Served) -> Load:
        target = attrs.evolve(stage.target, room_id="nowhere")
        async with open_generator("callers") as callers:
            await callers.ask("call", **target.address, request=target.post, clients=1, amount=1)
        return Load(1, 1.0)

    cases: Sequence[Case[Served]] = [Case("post", "messages", post), Case("again", "messages", post)]
    trial: Benchmark[Served] = Benchmark("trial", "", served, lambda settings: cases, ceilings=(BARE_ASGI,))
    figures = await run_benchmark(trial, [SELF], TINY)
    by_server = {(figure.server, figure.case): figure for figure in figures}
    assert not by_server["self", "post"].turns
    assert 'unknown room \\"nowhere\\"' in by_server["self", "again"].failure
    assert len(by_server["bare ASGI", "again"].turns) == TINY.turns
    assert list(report.failures({"trial": figures})) == [f"self: {by_server['self', 'post'].failure}"]


async def test_many_things_are_asked_of_one_generator() -> None:
    async with open_test_server() as server, open_generator("callers") as callers:
        target = Target(server.url)
        for clients, amount in ((1, 3), (4, 10), (2, 1)):
            reply = await callers.ask("call", **target.address, request=target.post, clients=clients, amount=amount)
            assert reply["amount"] == amount == len(reply["latencies_ms"])
        elsewhere = Target(server.url, room_id="nowhere")
        with pytest.raises(LoadFailed, match="unknown room"):
            await callers.ask("call", **elsewhere.address, request=elsewhere.post, clients=1, amount=1)


def test_a_run_prints_a_table_and_one_line_of_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "bench.json"
    arguments = ["start", "--turns", "1", "--compare", "self", "self:MOLTNET_FASTLANE=0", "--json", str(written)]
    assert program.main(arguments) == 0
    out = capsys.readouterr().out
    assert "cold start" in out
    summary = json.loads(out.splitlines()[-1])
    assert summary == json.loads(written.read_text())
    assert summary["servers"] == ["self", "self:MOLTNET_FASTLANE=0"]
    assert [each["server"] for each in summary["results"]["start"]] == summary["servers"]
